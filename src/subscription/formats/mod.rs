//! All subscription formats. A new format is a folder here and a line in [`ALL`].

pub(super) mod clash;
mod group;
mod links;
mod refused_members;
mod shadowsocks;
pub(super) mod sing_box;
pub(super) mod template_object;
mod unique_names;
mod wireguard;
pub(super) mod xhttp;
pub(super) mod xray;

use crate::domain::client_rule::RuleResult;

use super::format::Format;
use super::refusal::FORMATS;
pub use clash::{CLASH, CLASH_META};
pub use links::{BASE64_LINKS, LINKS};
pub use sing_box::SING_BOX;
pub use wireguard::WIREGUARD;
pub use xray::XRAY;

/// All formats, in the order in which texts list them.
pub static ALL: [&Format; FORMATS] = [&LINKS, &BASE64_LINKS, &XRAY, &SING_BOX, &CLASH, &CLASH_META, &WIREGUARD];

impl Format {
    /// The client types of all formats.
    pub fn client_types() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|format| format.client_type)
    }

    /// All formats.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ALL.into_iter()
    }

    /// The format that a subscription's URL asks for.
    pub fn from_client_type(client_type: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|format| format.client_type == client_type)
    }

    /// Its position in [`ALL`].
    pub(super) fn index(&self) -> usize {
        ALL.iter().position(|format| std::ptr::eq(*format, self)).unwrap_or(FORMATS)
    }

    /// The format that a client rule selects; `None`: the web page, or nothing.
    pub fn from_rule_result(result: RuleResult) -> Option<&'static Self> {
        ALL.into_iter().find(|format| format.rule_result == Some(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_types_are_unique_and_each_rule_result_selects_one_format() {
        for format in ALL {
            let same_type = ALL.iter().filter(|other| other.client_type == format.client_type);
            assert_eq!(same_type.count(), 1, "{}", format.client_type);
        }
        for result in RuleResult::ALL {
            let selected = ALL.iter().filter(|format| format.rule_result == Some(result)).count();
            let expected = usize::from(!matches!(result, RuleResult::Template | RuleResult::Block));
            assert_eq!(selected, expected, "{result:?}");
        }
    }
}
