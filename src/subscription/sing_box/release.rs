//! Which sing-box reads the configuration: the program drops old settings as it grows, and refuses what it does not know.

/// What a program says about the sing-box in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing. Such programs read what they can and get what they have always got.
    Unknown,
    /// It is sing-box itself, older than 1.12 or of unknown age: a document with one wrong entry is refused as a whole.
    Old,
    /// 1.12 or later: the same, and WireGuard is an endpoint, special outbounds are actions of rules.
    Current,
}

impl Release {
    /// From the User-Agent: the official apps write `SFA/1.12.0 (570; sing-box 1.12.0; language de)`.
    pub fn of(user_agent: &str) -> Self {
        const NAME: &str = "sing-box";
        let found =
            user_agent.as_bytes().windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME.as_bytes()));
        let Some(version) = found.and_then(|at| user_agent.get(at + NAME.len()..)) else {
            return Self::Unknown;
        };
        let mut numbers = version.trim_start_matches([' ', '/', 'v']).split(|letter: char| !letter.is_ascii_digit());
        let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
        if (number(), number()) >= (1, 12) { Self::Current } else { Self::Old }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_which_they_have() {
        for (user_agent, release) in [
            ("", Release::Unknown),
            ("SFA/1.8.0", Release::Unknown),
            ("SFA/1.8.0 (181; sing-box 1.8.0)", Release::Old),
            ("SFA/1.11.9 (540; sing-box 1.11.9; language fa_IR)", Release::Old),
            ("SFI/1.12.0 (Build 1; sing-box 1.12.0-beta.2; language de)", Release::Current),
            ("Sing-Box/v1.14.4", Release::Current),
            ("sing-box 2.0", Release::Current),
            ("HiddifyNext/2.5 (android) like ClashMeta v2ray sing-box", Release::Old),
            ("sing-box 99999999999999999999.1", Release::Old),
            ("ü sing-box 1.12 ü", Release::Current),
        ] {
            assert_eq!(Release::of(user_agent), release, "{user_agent}");
        }
    }
}
