//! Byte counts as people read them, base 1024.

/// `1.5 GiB`: at most two decimals.
pub fn binary_bytes(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (value, unit) = scaled(bytes);
    format!("{} {}", (value * 100.0).round() / 100.0, UNITS[unit])
}

/// `3.0 GB`: one or two decimals, negative counts as 0. Host templates and pages have always shown this form.
pub fn template_bytes(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes <= 0 {
        return "0 B".to_owned();
    }
    let (value, unit) = scaled(bytes);
    let number = format!("{value:.2}");
    format!("{} {}", number.strip_suffix('0').unwrap_or(&number), UNITS[unit])
}

/// The count in the largest unit that it fills, and the power of 1024 of that unit: at most 6, for 64 bits.
fn scaled(bytes: i64) -> (f64, usize) {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value.abs() >= 1024.0 {
        value /= 1024.0;
        unit += 1;
    }
    (value, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_bytes_have_at_most_two_decimals() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_610_612_736, "1.5 GiB"),
            (1_320_702_443, "1.23 GiB"),
            (-3_072, "-3 KiB"),
            (i64::MAX, "8 EiB"),
            (i64::MIN, "-8 EiB"),
        ] {
            assert_eq!(binary_bytes(bytes), text);
        }
    }

    #[test]
    fn template_bytes_have_one_or_two_decimals() {
        for (bytes, text) in [
            (0, "0 B"),
            (-5, "0 B"),
            (1, "1.0 B"),
            (1_023, "1023.0 B"),
            (1_024, "1.0 KB"),
            (1_536, "1.5 KB"),
            (3_221_225_472, "3.0 GB"),
            (1_320_702_443, "1.23 GB"),
            (i64::MAX, "8.0 EB"),
        ] {
            assert_eq!(template_bytes(bytes), text);
        }
    }
}
