//! The memory that this process may use: the limit of its cgroups and the memory of the host.

use std::fs;
use std::path::Path;

use super::cgroups::Limit;

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The tightest limit of its cgroups, above which the kernel kills processes.
    pub limit: Option<u64>,
    /// The memory of the host; none without `/proc`.
    pub host: Option<u64>,
}

const LIMIT: Limit<u64> = Limit { controller: "memory", read: limit_of_group };

impl Memory {
    /// Reads limit and size from the kernel.
    pub fn detect() -> Self {
        Self::read(Path::new("/proc/self"), Path::new("/"))
    }

    /// Returns the limit, or else the memory of the host.
    pub fn available(self) -> Option<u64> {
        self.limit.or(self.host)
    }

    fn read(proc_self: &Path, root: &Path) -> Self {
        let host = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| total(&text));
        let limit = LIMIT.all(proc_self, root).into_iter().min();
        // Version 1 writes "no limit" as a number larger than any host's memory.
        Self { limit: limit.filter(|limit| host.is_none_or(|host| *limit < host)), host }
    }
}

/// Parses the line `MemTotal:  1234 kB`; the result is in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn limit_of_group(folder: &Path, unified: bool) -> Option<u64> {
    let name = if unified { "memory.max" } else { "memory.limit_in_bytes" };
    // "max" means no limit, and does not parse.
    fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::cgroups::file_system;
    use super::*;

    const HOST: (&str, &str) = ("proc/meminfo", "MemTotal:        4194304 kB\nMemFree: 5 kB\n");
    const MB: u64 = 1_048_576;

    fn memory_of(files: &[(&str, &str)]) -> Memory {
        let root = file_system(&[&[HOST], files].concat());
        Memory::read(&root.path().join("proc/self"), root.path())
    }

    #[test]
    fn tightest_limit_of_the_unified_hierarchy_applies() {
        let own = ("proc/self/cgroup", "0::/panel.slice/sarban.service\n");
        let mount = ("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let service = |limit| ("sys/fs/cgroup/panel.slice/sarban.service/memory.max", limit);
        let slice = ("sys/fs/cgroup/panel.slice/memory.max", "536870912\n");
        assert_eq!(memory_of(&[own, mount, service("1073741824\n"), slice]).limit, Some(512 * MB));
        assert_eq!(memory_of(&[own, mount, service("268435456\n"), slice]).limit, Some(256 * MB));
        assert_eq!(memory_of(&[own, mount, service("max\n")]), Memory { limit: None, host: Some(4_096 * MB) });
    }

    #[test]
    fn version_1_limit_is_read_and_its_unlimited_value_ignored() {
        let files = |limit| {
            [
                ("proc/self/cgroup", "9:memory:/docker/0f\n3:cpu,cpuacct:/docker/0f\n0::/\n"),
                (
                    "proc/self/mountinfo",
                    "32 31 0:29 /docker/0f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                     33 31 0:30 /docker/0f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", limit),
            ]
        };
        assert_eq!(memory_of(&files("1073741824\n")).limit, Some(1_024 * MB));
        let unlimited = memory_of(&files("9223372036854771712\n"));
        assert_eq!((unlimited.limit, unlimited.available()), (None, Some(4_096 * MB)));
    }

    #[test]
    fn missing_files_mean_no_limit() {
        assert_eq!(memory_of(&[]).limit, None);
        assert!(Memory::detect().available() > Some(64 * MB));
    }
}
