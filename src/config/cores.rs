//! The cores that this process may use: its affinity and the quota of its control groups, not what the host has.

use std::fs;
use std::path::Path;

use super::control_groups::Limit;
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

const QUOTA: Limit<(u64, u64)> = Limit { controller: "cpu", read: quota_of_group };

/// The tightest quota on the way from the process's own groups up. `proc_self` is `/proc/self`, `root` is `/`.
fn quota(proc_self: &Path, root: &Path) -> Option<(u64, u64)> {
    QUOTA.all(proc_self, root).into_iter().min_by(|a, b| compare(*a, *b))
}

fn quota_of_group(folder: &Path, unified: bool) -> Option<(u64, u64)> {
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
    use super::super::control_groups::file_system;
    use super::*;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    /// A file system with these files, and the quota that a process there would see.
    fn quota_of(files: &[(&str, &str)]) -> Option<(u64, u64)> {
        let root = file_system(files);
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
