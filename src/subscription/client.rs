//! The client that fetches a subscription: its program and the version of its core, read from the User-Agent.

use std::sync::LazyLock;

use regex::{RegexSet, RegexSetBuilder};

use crate::domain::programs::{Core, PROGRAMS, Program};

/// Bytes of a User-Agent that are read; the rest is ignored.
const MAX_LENGTH: usize = 512;

/// A client.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    user_agent: &'a str,
    program: Option<&'static Program>,
    version: Option<Version>,
}

/// The version of a core: major, minor and patch number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The age of a core, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// The client does not have this core, or does not say what it is.
    Unknown,
    /// The client has this core and does not tell its version: a living app, taken for current.
    Current,
    /// The version.
    Of(Version),
}

impl<'a> Client<'a> {
    /// Reads a User-Agent. An empty text is an unknown client.
    pub fn of(user_agent: &'a str) -> Self {
        static PATTERNS: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
            let anchored = PROGRAMS.iter().map(|program| format!("^(?:{})", program.pattern));
            RegexSetBuilder::new(anchored).case_insensitive(true).build().ok()
        });
        let user_agent = &user_agent[..user_agent.floor_char_boundary(MAX_LENGTH)];
        // `matches` yields the lowest index first.
        let first = PATTERNS.as_ref().and_then(|patterns| patterns.matches(user_agent).iter().next());
        let program = first.and_then(|index| PROGRAMS.get(index));
        let version = program.filter(|program| !program.core_names.is_empty()).and_then(|program| {
            let lower = user_agent.to_ascii_lowercase();
            program.core_names.iter().find_map(|name| Version::after(name, &lower))
        });
        Self { user_agent, program, version }
    }

    /// The User-Agent.
    pub const fn user_agent(&self) -> &'a str {
        self.user_agent
    }

    /// The program, if it is a known one.
    pub const fn program(&self) -> Option<&'static Program> {
        self.program
    }

    /// The version of the program's core, if the client tells it, as in `1.12.0`.
    pub fn core_version(&self) -> Option<Version> {
        self.version
    }

    /// The age of this core in the client.
    pub fn age(&self, core: Core) -> Age {
        match (self.program, self.version) {
            (Some(program), Some(version)) if program.core == core => Age::Of(version),
            (Some(program), None) if program.core == core => Age::Current,
            _ => Age::Unknown,
        }
    }
}

impl Age {
    /// True when the core is certainly this version or a later one.
    pub fn is_known_from(self, version: Version) -> bool {
        matches!(self, Self::Of(known) if known >= version)
    }

    /// True when the core is certainly older than this version.
    pub fn is_known_before(self, version: Version) -> bool {
        matches!(self, Self::Of(known) if known < version)
    }

    /// True when the core is this version or a later one, or of a living app that does not tell.
    pub fn is_from(self, version: Version) -> bool {
        self == Self::Current || self.is_known_from(version)
    }
}

impl Version {
    /// The version that follows a word, as in `sing-box 1.12.0-beta.2` or `clash.meta/v1.19.10`.
    fn after(word: &str, text: &str) -> Option<Self> {
        text.match_indices(word).find_map(|(at, _)| {
            let rest = &text[at + word.len()..];
            let digits = rest.trim_start_matches([' ', '/', ':']).trim_start_matches('v');
            // Without a separator the digits would belong to the word.
            if digits.len() == rest.len() || !digits.starts_with(|letter: char| letter.is_ascii_digit()) {
                return None;
            }
            let mut numbers = digits.splitn(4, |letter: char| !letter.is_ascii_digit()).map(str::parse);
            // A number with too many digits is no version.
            let mut number = || numbers.next().map_or(Some(0), |number| number.or_else(only_empty).ok());
            Some(Self(number()?, number()?, number()?))
        })
    }
}

/// Takes a missing number for 0.
fn only_empty(error: std::num::ParseIntError) -> Result<u32, std::num::ParseIntError> {
    if *error.kind() == std::num::IntErrorKind::Empty { Ok(0) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client_rule::RuleResult;

    #[test]
    fn all_patterns_compile() {
        for program in &PROGRAMS {
            assert!(regex::Regex::new(program.pattern).is_ok(), "{}", program.name);
        }
        assert!(Client::of("SFA/1.12.0").program().is_some());
    }

    #[test]
    fn programs_are_known_by_their_user_agents() {
        for (user_agent, name) in [
            ("clash.meta/v1.19.10", "Clash.Meta"),
            ("ClashMetaForAndroid/2.11.3.Meta", "Clash.Meta"),
            ("mihomo/1.19.10", "Mihomo"),
            ("mihomo.party/v1.7.0 (clash.meta)", "Mihomo"),
            ("ClashX Meta/1.4.0", "ClashX Meta"),
            ("FlClash/v0.8.80", "FlClash"),
            ("Flowvy/0.3.3 Mihomo/1.19.27", "Flowvy"),
            ("clash-nyanpasu/v1.6.1", "Clash Nyanpasu"),
            ("Clash Verge/2.4", "Clash Verge"),
            ("clash-verge/v2.4.2", "Clash Verge"),
            ("ClashMi/1.0.4", "Clash Mi"),
            ("Clash Party/1.0", "Clash Party"),
            ("koala-clash/1.0", "Koala Clash"),
            ("Stash/3.1 Clash/1.9", "Stash"),
            ("ClashforWindows/0.20.39", "Clash"),
            ("sing-box 1.13.2", "sing-box"),
            ("SFA/1.8.0", "sing-box for Android"),
            ("HiddifyNext/2.5.7 (android) like ClashMeta v2ray sing-box", "Hiddify"),
            ("Karing/1.0.25", "Karing"),
            ("v2rayN/7.12.7", "v2rayN"),
            ("v2rayN/6.41", "v2rayN"),
            ("v2rayN/6.40", "v2rayN before 6.41"),
            ("v2rayNG/1.10.3", "v2rayNG"),
            ("v2rayNG/2.0.1", "v2rayNG"),
            ("v2rayNG/1.8.16", "v2rayNG before 1.8.17"),
        ] {
            assert_eq!(Client::of(user_agent).program().map(|program| program.name), Some(name), "{user_agent}");
        }
        for user_agent in ["", "Mozilla/5.0", "Happ/3.4", "my clash"] {
            assert!(Client::of(user_agent).program().is_none(), "{user_agent}");
        }
    }

    #[test]
    fn samples_of_a_program_are_taken_for_it() {
        for program in &PROGRAMS {
            assert!(!program.user_agents.is_empty(), "{}", program.name);
            for user_agent in program.user_agents {
                let found = Client::of(user_agent).program().map(|program| program.name);
                assert_eq!(found, Some(program.name), "{user_agent}");
            }
        }
    }

    #[test]
    fn version_of_the_core_is_read_where_the_program_tells_it() {
        let of = |major, minor, patch| Age::Of(Version(major, minor, patch));
        for (user_agent, core, age) in [
            ("", Core::SingBox, Age::Unknown),
            ("Karing/1.0.25", Core::SingBox, Age::Current),
            ("Karing/1.0.25", Core::Xray, Age::Unknown),
            ("SFA/1.8.0", Core::SingBox, of(1, 8, 0)),
            ("SFA/1.12.0 (570; sing-box 1.12.1; language de)", Core::SingBox, of(1, 12, 1)),
            ("SFI/1.12.0 (Build 1; sing-box 1.12.0-beta.2; language de)", Core::SingBox, of(1, 12, 0)),
            ("Sing-Box/v1.14.4", Core::SingBox, of(1, 14, 4)),
            ("sing-box", Core::SingBox, Age::Current),
            ("sing-box 2.0", Core::SingBox, of(2, 0, 0)),
            ("sing-box 99999999999999999999.1", Core::SingBox, Age::Current),
            ("HiddifyNext/2.5.7 (android) like ClashMeta v2ray sing-box", Core::SingBox, Age::Current),
            ("clash.meta/v1.19.10", Core::Mihomo, of(1, 19, 10)),
            ("mihomo.party/v1.7.0 (clash.meta)", Core::Mihomo, Age::Current),
            ("Flowvy/0.3.3 Mihomo/1.19.27", Core::Mihomo, of(1, 19, 27)),
            ("Xray/26.10.10", Core::Xray, of(26, 10, 10)),
            ("v2rayNG/1.10.3", Core::Xray, Age::Current),
        ] {
            assert_eq!(Client::of(user_agent).age(core), age, "{user_agent}");
        }
        let long = "ü".repeat(1_000_000);
        assert!(Client::of(&long).user_agent().len() <= MAX_LENGTH);
    }

    #[test]
    fn living_apps_count_as_current_and_unknown_clients_do_not() {
        let version = Version(1, 12, 0);
        assert!(Age::Current.is_from(version) && !Age::Current.is_known_from(version));
        assert!(Age::Of(version).is_from(version) && Age::Of(version).is_known_from(version));
        assert!(Age::Of(Version(1, 11, 9)).is_known_before(version) && !Age::Of(version).is_known_before(version));
        assert!(!Age::Current.is_known_before(version) && !Age::Unknown.is_known_before(version));
        assert!(!Age::Of(Version(1, 11, 9)).is_from(version) && !Age::Unknown.is_from(version));
    }

    #[test]
    fn each_program_reads_a_document() {
        for program in &PROGRAMS {
            assert!(!matches!(program.reads, RuleResult::Template | RuleResult::Block), "{}", program.name);
        }
    }
}
