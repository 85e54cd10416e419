//! Names of back-ups in a folder.

use uuid::Uuid;

use crate::domain::moment::Moment;

const PREFIX: &str = "sarban-";
const TIME: &str = "0000-00-00T00-00-00Z";
const SUFFIX: &str = ".backup";
const SUFFIX_ENCRYPTED: &str = ".backup.age";
const PARTIAL: &str = ".partial";

/// Name of a back-up in a folder: names in alphabetical order are in the order of time.
pub(super) fn name(now: Moment, encrypted: bool) -> String {
    let time: String = now.naive_iso().chars().take(19).map(|it| if it == ':' { '-' } else { it }).collect();
    format!("{PREFIX}{time}Z{}", if encrypted { SUFFIX_ENCRYPTED } else { SUFFIX })
}

/// True for a name that [`name`] returns. Files that somebody named are others: they are never the newest, and stay.
pub(super) fn is_name(name: &str) -> bool {
    let Some((time, suffix)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_at_checked(TIME.len())) else {
        return false;
    };
    let has_form = time.chars().zip(TIME.chars()).all(|(c, form)| c == form || (form == '0' && c.is_ascii_digit()));
    has_form && (suffix == SUFFIX || suffix == SUFFIX_ENCRYPTED)
}

/// True for a name with the suffix of a back-up.
pub(super) fn is_file_of_back_up(name: &str) -> bool {
    name.ends_with(SUFFIX) || name.ends_with(SUFFIX_ENCRYPTED)
}

/// Returns those of these back-ups of a folder, the oldest first, that are too many if `keep` stay. The one that was just made stays
/// in any case: others have later names if a clock was ahead.
pub(super) fn too_many<T>(mut back_ups: Vec<T>, name: impl Fn(&T) -> &str, made: &str, keep: usize) -> Vec<T> {
    back_ups.retain(|it| name(it) != made);
    back_ups.truncate(back_ups.len().saturating_sub(keep.saturating_sub(1)));
    back_ups
}

/// Name of a file that is being written, until it gets the name `name`.
pub(super) fn partial_name(name: &str) -> String {
    format!("{name}.{}{PARTIAL}", Uuid::new_v4().simple())
}

/// True for a name that [`partial_name`] returns for a back-up in a folder.
pub(super) fn is_partial(partial: &str) -> bool {
    let parts = partial.strip_suffix(PARTIAL).and_then(|rest| rest.rsplit_once('.'));
    parts.is_some_and(|(name, id)| is_name(name) && Uuid::try_parse(id).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_back_ups_from_other_files() {
        let name = name(Moment::from_micros(1_796_000_000_000_000), true);
        assert_eq!(name, "sarban-2026-11-30T00-53-20Z.backup.age");
        assert!(is_name(&name) && is_name("sarban-2026-11-30T00-53-20Z.backup"));
        for other in [
            "sarban-2026.partial",
            "other.backup",
            "sarban-before-upgrade.backup",
            "sarban-2026-old.backup",
            "sarban-2026-11-30T00-53-20Z.backup.old",
            "sarban-2026-11-30T00-53-20Z-2.backup",
            "sarban-2026-11-3\u{660}T00-53-20Z.backup",
        ] {
            assert!(!is_name(other), "{other}");
        }
        assert!(
            is_partial(&partial_name(&name)) && !is_partial(&partial_name("sarban-mine.backup")) && !is_partial(&name)
        );
    }
}
