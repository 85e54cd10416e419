//! The texts of moments that requests may hold: those that Marzneshin reads, and no other form of ISO 8601.

use crate::domain::moment::Moment;

/// Parses `YYYY-MM-DD`, which may continue with `T`, `t`, a space or `_`, `HH:MM`, seconds, a fraction, and `Z` or an offset;
/// or a number of unix seconds or milliseconds.
pub(super) fn parse(text: &str) -> Option<Moment> {
    let text = text.trim();
    if is_number(text) {
        return Moment::from_unix_number(text.parse().ok()?);
    }
    is_iso(text).then(|| Moment::parse(&text.replacen('_', "T", 1)))?
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_iso(text: &str) -> bool {
    let Some(time) = after("dddd-dd-dd", text) else { return false };
    let Some(time) = time.strip_prefix(['T', 't', ' ', '_']) else { return time.is_empty() };
    let Some(mut rest) = after("dd:dd", time) else { return false };
    if let Some(seconds) = after(":dd", rest) {
        if rest.starts_with(":6") {
            return false;
        }
        rest = seconds;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            rest = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if rest.len() == fraction.len() {
                return false;
            }
        }
    }
    let Some(offset) = rest.strip_prefix(['+', '-']) else { return matches!(rest, "" | "Z" | "z") };
    after("dd:dd", offset).or_else(|| after("dddd", offset)) == Some("")
}

/// Returns what follows a form, in which `d` is a digit.
fn after<'a>(form: &str, text: &'a str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(form.len())?;
    let fits = |(form, byte): (u8, u8)| if form == b'd' { byte.is_ascii_digit() } else { byte == form };
    form.bytes().zip(start.bytes()).all(fits).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_marzneshin_reads_are_read() {
        for (text, expected) in [
            ("2031-05-05T10:20:30", "2031-05-05T10:20:30"),
            ("2031-05-05t10:20:30z", "2031-05-05T10:20:30"),
            ("2031-05-05_10:20", "2031-05-05T10:20:00"),
            (" 2031-05-05 10:20:30.5 ", "2031-05-05T10:20:30.500000"),
            ("2031-05-05T10:20:30,000001Z", "2031-05-05T10:20:30.000001"),
            ("2031-05-05T10:20:30+0200", "2031-05-05T08:20:30"),
            ("2031-05-05T10:20-02:30", "2031-05-05T12:50:00"),
            ("2031-05-05", "2031-05-05T00:00:00"),
            ("20310505", "1970-08-24T01:48:25"),
            ("1935830430", "2031-05-06T10:40:30"),
            ("1935830430000", "2031-05-06T10:40:30"),
            ("-1.5", "1969-12-31T23:59:58.500000"),
        ] {
            assert_eq!(parse(text).map(Moment::naive_iso).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "soon",
            "20310505T102030",
            "2031-05-05T102030",
            "2031-05-05T10",
            "2031-W19-1",
            "2031-125",
            "+002031-05-05",
            "2031-05-05T10:20:30[Europe/Berlin]",
            "2031-05-05T10:20:30+02",
            "2031-05-05T10:20:60",
            "2031-05-05T10:20:30.",
            "2031-05-05T24:00:00",
            "2031-13-05",
            "2031-05-05T10:20:30 UTC",
            "1e5",
            "inf",
            "1.2.3",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
