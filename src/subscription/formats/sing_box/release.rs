//! The version of sing-box that reads a configuration: newer versions drop old settings and refuse unknown ones.

/// The sing-box version range of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The client does not name sing-box. It skips what it does not know, and gets the document that the old panel
    /// rendered.
    Unknown,
    /// sing-box before 1.12 or of an unknown version: it refuses a document with one invalid entry.
    Old,
    /// sing-box 1.12 or later: as strict as `Old`, with WireGuard as an endpoint and rule actions in place of special
    /// outbounds.
    Current,
}

impl Release {
    /// Reads the User-Agent: the official apps send `SFA/1.12.0 (570; sing-box 1.12.0; language de)`.
    pub fn from_user_agent(user_agent: &str) -> Self {
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
    fn version_is_read_from_the_user_agent() {
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
            assert_eq!(Release::from_user_agent(user_agent), release, "{user_agent}");
        }
    }
}
