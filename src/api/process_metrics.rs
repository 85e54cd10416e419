//! Memory and open files of this process, measured when the metrics are asked for.

/// Measures them, under the names of Prometheus's own libraries.
pub(super) fn measure() {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(kib) = resident_kib(&status)
    {
        metrics::gauge!("process_resident_memory_bytes").set(kib * 1024.0);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the open folder itself.
        metrics::gauge!("process_open_fds").set(open.count().saturating_sub(1) as f64);
    }
}

/// Reads the line `VmRSS:     1234 kB` of `/proc/self/status`.
fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_resident_memory() {
        assert_eq!(resident_kib("VmHWM:\t 99 kB\nVmRSS:\t   1234 kB\n"), Some(1234.0));
        assert_eq!(resident_kib("Name: x"), None);
        let here = std::fs::read_to_string("/proc/self/status").expect("Linux");
        assert!(resident_kib(&here) > Some(1_000.0));
    }
}
