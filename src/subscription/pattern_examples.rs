//! Texts that a pattern matches, to find out whether two rules are for the same clients.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::client_rules::MAX_USER_AGENT;

/// Examples of a pattern, at most.
const MOST: usize = 200;
/// Bytes of an example, at most: as many as rules see of a User-Agent.
const LONGEST: usize = MAX_USER_AGENT;

/// Returns texts that the pattern matches, some for each of its alternatives; none if it looks around or refers back.
pub(super) fn examples(pattern: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut all = texts(&hir, true)?;
    all.extend(texts(&hir, false)?);
    Some(all)
}

/// Takes the first or the last character of each class: with `(?i)`, capital or small letters.
fn texts(hir: &Hir, first: bool) -> Option<Vec<String>> {
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8(literal.0.to_vec()).ok()?],
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            // `(?i)s` also matches a long s, which no client has in its name.
            let ascii = ranges.iter().rfind(|range| range.start().is_ascii());
            let last = ascii.map_or(ranges.last()?.end(), |range| range.end().min('~'));
            let c = if first { ranges.first()?.start() } else { last };
            vec![c.to_string()]
        }
        HirKind::Class(Class::Bytes(class)) => vec![char::from(class.ranges().first()?.start()).to_string()],
        HirKind::Repetition(repetition) if repetition.min == 0 => vec![String::new()],
        HirKind::Repetition(repetition) => texts(&repetition.sub, first)?
            .into_iter()
            .map(|text| bounded(text.repeat(usize::try_from(repetition.min).unwrap_or(MOST).min(MOST))))
            .collect(),
        HirKind::Capture(capture) => texts(&capture.sub, first)?,
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let next = texts(part, first)?;
                let pairs = all.iter().flat_map(|begin| next.iter().map(move |end| bounded(format!("{begin}{end}"))));
                all = pairs.take(MOST).collect();
            }
            all
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(texts(part, first)?);
                all.truncate(MOST);
            }
            all
        }
    })
}

/// Cuts a text where rules stop to read a User-Agent.
fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alternative_has_an_example() {
        for (pattern, expected) in [
            ("^(?:clash|My[A-Z]pp/\\d{2})", &["clash", "MyApp/00", "MyZpp/"][..]),
            ("(?i)ab?cs", &["ACS", "acs"]),
            ("^(aa|bb)(cc|dd)", &["aacc", "aadd", "bbcc", "bbdd"]),
            (".*", &[""]),
        ] {
            let examples = examples(pattern).expect(pattern);
            for text in expected {
                assert!(examples.iter().any(|example| example.starts_with(text)), "{text}: {examples:?}");
            }
        }
        assert_eq!((examples("^a(?!b)"), examples("(a)\\1")), (None, None));
        for pattern in ["(a|b)".repeat(60), format!("{}(c{{100}}){{100}}", "(a|b)".repeat(8)).repeat(2)] {
            let all = examples(&pattern).expect("examples");
            assert!(all.len() <= 2 * MOST && all.iter().all(|text| text.len() <= LONGEST), "{pattern}");
        }
    }
}
