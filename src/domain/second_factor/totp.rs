//! Codes of authenticator apps: TOTP of RFC 6238, as the apps expect it (SHA-1, 6 digits, 30 seconds).

use totp_rs::{Builder, Secret, Totp};

use crate::domain::moment::Moment;

/// Digits of a code.
pub const DIGITS: usize = 6;
/// Wrong codes in a row, after which codes of an app are no longer accepted: somebody who knows the password guesses them. With
/// three good codes at a time, the chance to guess one before is 1 in 6,600.
pub const MOST_WRONG: i64 = 50;

/// The name of the panel in apps.
const ISSUER: &str = "Sarban";

/// A new secret of 160 random bits, in base32.
pub fn new_secret() -> String {
    Secret::generate().to_base32()
}

/// The text of the QR code that apps read.
pub fn url(secret: &str, username: &str) -> Option<String> {
    // A colon separates the issuer from the name.
    let name = username.replace(':', "_");
    let totp = builder(secret)?.with_account_name(name.as_str()).with_issuer(Some(ISSUER)).build().ok()?;
    totp.to_url().ok()
}

/// Returns the 30 seconds that a code is of, if it is right and later than the last accepted one: the present ones, those before or
/// those after, because clocks differ.
pub fn accepted_step(secret: &str, code: &str, now: Moment, last_step: i64) -> Option<i64> {
    let step = totp(secret)?.check(code, u64::try_from(now.seconds()).ok()?)?;
    i64::try_from(step).ok().filter(|step| *step > last_step)
}

fn totp(secret: &str) -> Option<Totp> {
    builder(secret)?.build().ok()
}

fn builder(secret: &str) -> Option<Builder> {
    Some(Builder::new().with_secret(Secret::try_from_base32(secret).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::SECOND;

    /// `12345678901234567890`, the secret of RFC 6238's examples.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    const fn at(seconds: i64) -> Moment {
        Moment::from_micros(seconds * SECOND)
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // The last six digits of its table.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(accepted_step(SECRET, code, at(seconds), 0), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn clocks_may_differ_by_one_step() {
        let step = 1_111_111_111 / 30;
        for (seconds, accepted) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
            let found = accepted_step(SECRET, "050471", at(1_111_111_111 + seconds), 0);
            assert_eq!(found, accepted.then_some(step), "{seconds}");
        }
    }

    #[test]
    fn code_is_accepted_once_and_no_earlier_one_after_it() {
        let step = 1_111_111_111 / 30;
        let now = at(1_111_111_111);
        assert_eq!(accepted_step(SECRET, "050471", now, step - 1), Some(step));
        assert_eq!(accepted_step(SECRET, "050471", now, step), None);
        assert_eq!(accepted_step(SECRET, "050471", now, step + 1), None);
    }

    #[test]
    fn other_texts_are_no_codes() {
        for code in ["", "05047", "0504711", "050472", "abcdef"] {
            assert_eq!(accepted_step(SECRET, code, at(1_111_111_111), 0), None, "{code}");
        }
        assert_eq!(accepted_step("not base32!", "050471", at(1_111_111_111), 0), None);
    }

    #[test]
    fn url_names_the_panel_and_the_admin() {
        let url = url(SECRET, "a:b c").expect("a URL");
        assert_eq!(url, format!("otpauth://totp/Sarban:a_b%20c?secret={SECRET}&issuer=Sarban"));
        let (one, two) = (new_secret(), new_secret());
        assert!(one.len() == 32 && one != two, "{one} {two}");
    }
}
