//! The cores that this process may use: its CPU affinity and the quota of its cgroups, not the cores of the host.

use std::fs;
use std::path::Path;

use super::cgroups::Limit;
use crate::domain::workers;

/// The processors and processor time that the kernel grants this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Number of processors that its threads may run on.
    pub affinity: usize,
    /// The tightest quota of its cgroups: processor time per period, both in microseconds.
    pub quota: Option<(u64, u64)>,
}

impl Cores {
    /// Reads affinity and quota from the kernel. Without `/proc`, as in a sandbox, there is no quota.
    pub fn detect() -> Self {
        let affinity = match rustix::thread::sched_getaffinity(None) {
            Ok(set) => usize::try_from(set.count()).unwrap_or(1),
            Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
        };
        Self { affinity, quota: quota(Path::new("/proc/self"), Path::new("/")) }
    }

    /// Returns the usable cores with fractions, for display.
    pub fn share(self) -> f64 {
        let affinity = self.affinity as f64;
        self.quota.map_or(affinity, |(time, period)| affinity.min(time as f64 / period as f64))
    }

    /// Returns the usable cores, rounded up.
    pub fn whole(self) -> usize {
        workers::whole_cores(self.affinity, self.quota)
    }
}

const QUOTA: Limit<(u64, u64)> = Limit { controller: "cpu", read: quota_of_group };

/// Returns the tightest quota of the process's cgroups and their parents. `proc_self` is `/proc/self`, `root` is `/`.
fn quota(proc_self: &Path, root: &Path) -> Option<(u64, u64)> {
    QUOTA.all(proc_self, root).into_iter().min_by(|a, b| compare(*a, *b))
}

fn quota_of_group(folder: &Path, unified: bool) -> Option<(u64, u64)> {
    let (time, period) = if unified {
        let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
        let (time, period) = text.trim().split_once(' ')?;
        // "max" means no limit, and does not parse.
        (time.parse().ok()?, period.parse().ok()?)
    } else {
        let number = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok();
        // -1 means no limit, and does not parse as an unsigned number.
        (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
    };
    (time > 0 && period > 0).then_some((time, period))
}

/// Compares two fractions without rounding.
fn compare((time, period): (u64, u64), (other_time, other_period): (u64, u64)) -> std::cmp::Ordering {
    (u128::from(time) * u128::from(other_period)).cmp(&(u128::from(other_time) * u128::from(period)))
}

#[cfg(test)]
mod tests {
    use super::super::cgroups::file_system;
    use super::*;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    /// The quota that a process with these files in its file system would see.
    fn quota_of(files: &[(&str, &str)]) -> Option<(u64, u64)> {
        let root = file_system(files);
        quota(&root.path().join("proc/self"), root.path())
    }

    #[test]
    fn unified_hierarchy_gives_the_quota() {
        let own = ("proc/self/cgroup", "0::/\n");
        let mount = ("proc/self/mountinfo", V2);
        assert_eq!(quota_of(&[own, mount, ("sys/fs/cgroup/cpu.max", "150000 100000\n")]), Some((150_000, 100_000)));
        assert_eq!(quota_of(&[own, mount, ("sys/fs/cgroup/cpu.max", "max 100000\n")]), None);
        assert_eq!(quota_of(&[own, mount]), None, "the root cgroup of a host has no cpu.max");
    }

    #[test]
    fn tighter_quota_of_a_parent_applies() {
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
    fn version_1_hierarchy_beside_the_unified_one_gives_the_quota() {
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
    fn group_outside_the_mount_is_taken_for_the_mount() {
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
    fn missing_files_mean_no_quota() {
        assert_eq!(quota_of(&[]), None);
        assert!(Cores::detect().whole() >= 1);
    }
}
