//! Signals that the parent of this process told it to ignore, as `nohup` does.

/// True if the process ignores the signal with this number, as Linux shows it.
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Bit 0 is that of signal 1.
    let bit = signal.checked_sub(1).and_then(|bit| u32::try_from(bit).ok()).and_then(|bit| 1_u64.checked_shl(bit));
    bit.is_some_and(|bit| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_programs_ignore_broken_pipes_alone() {
        let (pipe, terminate) = (13, 15);
        assert!(is_ignored(pipe) && !is_ignored(terminate) && !is_ignored(0));
    }
}
