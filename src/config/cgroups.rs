//! Limits of this process's control groups (cgroups), in version 1 and version 2.

use std::fs;
use std::path::{Path, PathBuf};

/// A kind of limit, such as the CPU quota.
pub(super) struct Limit<T> {
    /// The controller of the limit in version 1.
    pub controller: &'static str,
    /// Reads the limit from the folder of a group; `unified` is version 2. `None`: no limit.
    pub read: fn(&Path, unified: bool) -> Option<T>,
}

/// A mounted hierarchy of control groups.
struct Hierarchy {
    /// The group at the mount point.
    root: PathBuf,
    mount_point: PathBuf,
    /// Version 2.
    unified: bool,
}

impl<T> Limit<T> {
    /// Returns the limits of the process's groups and of their parents. `proc_self` is `/proc/self`, `root` is `/`.
    pub(super) fn all(&self, proc_self: &Path, root: &Path) -> Vec<T> {
        let read = |name| fs::read_to_string(proc_self.join(name)).unwrap_or_default();
        let (mounts, groups) = (read("mountinfo"), read("cgroup"));
        let hierarchies = mounts.lines().filter_map(|line| hierarchy(line, self.controller));
        let limits = hierarchies.flat_map(|hierarchy| {
            let group = groups.lines().find_map(|line| group_in(line, &hierarchy, self.controller));
            group.map(|group| self.upwards(&hierarchy, group, root)).unwrap_or_default()
        });
        limits.collect()
    }

    fn upwards(&self, hierarchy: &Hierarchy, group: &str, root: &Path) -> Vec<T> {
        // A container often sees its own group at the mount point, but under the name that the host gives it. A group
        // that is not below the mount point is therefore taken for the group at the mount point.
        let below = Path::new(group).strip_prefix(&hierarchy.root).unwrap_or(Path::new(""));
        let outside = below.components().any(|part| part.as_os_str() == "..");
        let below = if outside { Path::new("") } else { below };
        let top = root.join(hierarchy.mount_point.strip_prefix("/").unwrap_or(&hierarchy.mount_point));
        below.ancestors().filter_map(|group| (self.read)(&top.join(group), hierarchy.unified)).collect()
    }
}

/// Parses a line of `mountinfo`: `id parent device root mount-point options … - type source options`.
fn hierarchy(line: &str, controller: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, mount_point) = (PathBuf::from(mount.next()?), PathBuf::from(mount.next()?));
    let mut filesystem = filesystem.split(' ');
    let unified = match filesystem.next()? {
        "cgroup2" => true,
        "cgroup" if filesystem.nth(1)?.split(',').any(|option| option == controller) => false,
        _ => return None,
    };
    Some(Hierarchy { root, mount_point, unified })
}

/// Parses a line of `cgroup`: `id:controllers:group`; in version 2 the list of controllers is empty.
fn group_in<'a>(line: &'a str, hierarchy: &Hierarchy, controller: &str) -> Option<&'a str> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    let ours =
        if hierarchy.unified { controllers.is_empty() } else { controllers.split(',').any(|name| name == controller) };
    ours.then_some(group)
}

/// Writes the files below a new temporary root, for tests.
#[cfg(test)]
pub(super) fn file_system(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    root
}
