//! The second factor of an admin: codes of an authenticator app (TOTP), recovery codes and passkeys.

pub mod passkey;
pub mod recovery_code;
pub mod totp;

/// The factors that an admin has set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// An authenticator app was confirmed with a code.
    pub totp: bool,
    /// Number of passkeys.
    pub passkeys: i64,
    /// Number of recovery codes that were not used.
    pub recovery_codes: i64,
}

/// The form of a one-time code, of which each admin knows two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneTimeCode {
    /// Six digits of an authenticator app.
    Totp(String),
    /// A recovery code, by its hash.
    Recovery(String),
}

impl Factors {
    /// True if the password alone is not enough. Recovery codes by themselves are no factor.
    pub const fn any(self) -> bool {
        self.totp || self.passkeys > 0
    }
}

impl OneTimeCode {
    /// Reads what an admin typed, with or without spaces and hyphens.
    pub fn read(text: &str) -> Self {
        let plain: String = text.chars().filter(|it| !it.is_whitespace() && *it != '-').collect();
        if plain.len() == totp::DIGITS && plain.bytes().all(|it| it.is_ascii_digit()) {
            Self::Totp(plain)
        } else {
            Self::Recovery(recovery_code::hash(&plain))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_as_people_type_it() {
        for text in ["123456", "123 456", " 123-456 "] {
            assert_eq!(OneTimeCode::read(text), OneTimeCode::Totp("123456".to_owned()), "{text}");
        }
        let recovery = OneTimeCode::read("abcd-efgh-ijkl-mnop");
        assert!(matches!(recovery, OneTimeCode::Recovery(_)));
        assert_eq!(OneTimeCode::read("ABCD efgh IJKL mnop"), recovery);
        for other in ["", "12345", "1234567", "१२३४५६", "abcd-efgh-ijkl-mnoq"] {
            assert!(matches!(OneTimeCode::read(other), OneTimeCode::Recovery(_)), "{other}");
            assert_ne!(OneTimeCode::read(other), recovery, "{other}");
        }
    }

    #[test]
    fn recovery_codes_alone_are_no_factor() {
        assert!(!Factors { recovery_codes: 10, ..Factors::default() }.any());
        assert!(Factors { totp: true, ..Factors::default() }.any());
        assert!(Factors { passkeys: 1, ..Factors::default() }.any());
    }
}
