//! The cores that this process may use: its affinity and the quota of its control groups, not what the host has.

use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::workers;

/// What the kernel lets this process use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The processors that its threads may run on.
    pub affinity: usize,
    /// Processor time per period, in microseconds each: the tightest limit of its control groups.
    pub quota: Option<(u64, u64)>,
}

impl Cores {
    /// Asks the kernel. Where it does not answer (no `/proc` in a sandbox) there is no quota.
    pub fn detect() -> Self {
        let affinity = match rustix::thread::sched_getaffinity(None) {
            Ok(set) => usize::try_from(set.count()).unwrap_or(1),
            Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
        };
        Self { affinity, quota: quota(Path::new("/proc/self"), Path::new("/")) }
    }

    /// How much of the host's processors this is, to the part of a core: for people.
    #[allow(clippy::cast_precision_loss)]
    pub fn share(self) -> f64 {
        let affinity = self.affinity as f64;
        self.quota.map_or(affinity, |(time, period)| affinity.min(time as f64 / period as f64))
    }

    /// Whole cores; a part of one counts as one.
    pub fn whole(self) -> usize {
        workers::whole_cores(self.affinity, self.quota)
    }
}

/// Where a version of control groups is mounted, and how it writes its limit.
struct Hierarchy {
    /// The group that the mount shows as its top.
    root: PathBuf,
    /// The folder of that group.
    mount_point: PathBuf,
    unified: bool,
}

/// The tightest quota on the way from the process's own groups up. `proc_self` is `/proc/self`, `root` is `/`.
fn quota(proc_self: &Path, root: &Path) -> Option<(u64, u64)> {
    let mounts = fs::read_to_string(proc_self.join("mountinfo")).ok()?;
    let groups = fs::read_to_string(proc_self.join("cgroup")).ok()?;
    let hierarchies = mounts.lines().filter_map(hierarchy);
    let quotas = hierarchies.filter_map(|hierarchy| {
        let group = groups.lines().find_map(|line| group_in(line, hierarchy.unified))?;
        tightest(&hierarchy, group, root)
    });
    quotas.min_by(|a, b| compare(*a, *b))
}

/// Reads a line of `mountinfo`: `id parent device root mount-point options … - type source options`.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, mount_point) = (PathBuf::from(mount.next()?), PathBuf::from(mount.next()?));
    let mut filesystem = filesystem.split(' ');
    let unified = match filesystem.next()? {
        "cgroup2" => true,
        "cgroup" if filesystem.nth(1)?.split(',').any(|option| option == "cpu") => false,
        _ => return None,
    };
    Some(Hierarchy { root, mount_point, unified })
}

/// Reads a line of `cgroup`: `id:controllers:group`, without controllers for the unified hierarchy.
fn group_in(line: &str, unified: bool) -> Option<&str> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, parts.next()?);
    let ours = if unified { controllers.is_empty() } else { controllers.split(',').any(|name| name == "cpu") };
    ours.then_some(group)
}

fn tightest(hierarchy: &Hierarchy, group: &str, root: &Path) -> Option<(u64, u64)> {
    // A container often sees its own group as the top of the mount but its name as on the host. What can't be found
    // below the mount is then the mount itself.
    let below = Path::new(group).strip_prefix(&hierarchy.root).unwrap_or(Path::new(""));
    let outside = below.components().any(|part| part.as_os_str() == "..");
    let below = if outside { Path::new("") } else { below };
    let top = root.join(hierarchy.mount_point.strip_prefix("/").unwrap_or(&hierarchy.mount_point));
    let limits = below.ancestors().filter_map(|group| limit(&top.join(group), hierarchy.unified));
    limits.min_by(|a, b| compare(*a, *b))
}

fn limit(folder: &Path, unified: bool) -> Option<(u64, u64)> {
    let (time, period) = if unified {
        let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
        let (time, period) = text.trim().split_once(' ')?;
        // "max" is no number: no limit.
        (time.parse().ok()?, period.parse().ok()?)
    } else {
        let number = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok();
        // -1 is no unsigned number: no limit.
        (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    };
    (time > 0 && period > 0).then_some((time, period))
}

/// Which of two fractions is the smaller.
fn compare((time, period): (u64, u64), (other_time, other_period): (u64, u64)) -> std::cmp::Ordering {
    (u128::from(time) * u128::from(other_period)).cmp(&(u128::from(other_time) * u128::from(period)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    /// A file system with these files, and the quota that a process there would see.
    fn quota_of(files: &[(&str, &str)]) -> Option<(u64, u64)> {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        quota(&root.path().join("proc/self"), root.path())
    }

    #[test]
    fn reads_the_unified_hierarchy() {
        let own = ("proc/self/cgroup", "0::/\n");
        let mount = ("proc/self/mountinfo", V2);
        assert_eq!(quota_of(&[own, mount, ("sys/fs/cgroup/cpu.max", "150000 100000\n")]), Some((150_000, 100_000)));
        assert_eq!(quota_of(&[own, mount, ("sys/fs/cgroup/cpu.max", "max 100000\n")]), None);
        assert_eq!(quota_of(&[own, mount]), None, "the top group of a host has no file");
    }

    #[test]
    fn a_parents_limit_counts_when_it_is_tighter() {
        let found = quota_of(&[
            ("proc/self/cgroup", "0::/panel.slice/sarban.service/web\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/panel.slice/cpu.max", "100000 50000"),
            ("sys/fs/cgroup/panel.slice/sarban.service/cpu.max", "150000 100000"),
            ("sys/fs/cgroup/panel.slice/sarban.service/web/cpu.max", "300000 100000"),
            ("sys/fs/cgroup/other.slice/cpu.max", "1000 100000"),
        ]);
        assert_eq!(found, Some((150_000, 100_000)));
    }

    #[test]
    fn reads_the_old_hierarchy_beside_the_unified_one() {
        let found = quota_of(&[
            ("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/docker/0f\n1:name=systemd:/a\n0::/\n"),
            (
                "proc/self/mountinfo",
                "32 31 0:29 /docker/0f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n\
                 33 31 0:30 /docker/0f /sys/fs/cgroup/cpuacct ro - cgroup cgroup rw,cpuacct\n\
                 41 31 0:38 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n",
            ),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(found, Some((50_000, 100_000)));
        let unlimited = quota_of(&[
            ("proc/self/cgroup", "1:cpu:/\n"),
            ("proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(unlimited, None);
    }

    #[test]
    fn a_group_that_the_mount_does_not_show_is_the_mount_itself() {
        for group in ["0::/docker/0f\n", "0::/../../outside\n"] {
            let found = quota_of(&[
                ("proc/self/cgroup", group),
                ("proc/self/mountinfo", "31 23 0:28 /elsewhere /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
                ("sys/fs/cgroup/cpu.max", "200000 100000\n"),
            ]);
            assert_eq!(found, Some((200_000, 100_000)), "{group}");
        }
    }

    #[test]
    fn nothing_to_read_is_no_quota() {
        assert_eq!(quota_of(&[]), None);
        assert!(Cores::detect().whole() >= 1);
    }
}
