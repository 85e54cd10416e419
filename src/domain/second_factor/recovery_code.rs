//! Recovery codes: for an admin who has lost its phone. Each is good once.

use aws_lc_rs::digest::{SHA256, digest};
use totp_rs::Secret;

/// Codes that an admin gets at once.
pub const COUNT: usize = 10;

/// Letters of a code, of 5 random bits each: 80 bits, so a fast hash protects them.
const LETTERS: usize = 16;

/// New codes, in groups of four letters.
pub fn new_codes() -> Vec<String> {
    (0..COUNT).map(|_| new_code()).collect()
}

/// The hash under which a code is stored. Case is ignored; the code has no spaces and hyphens.
pub fn hash(plain: &str) -> String {
    hex::encode(digest(&SHA256, plain.to_ascii_lowercase().as_bytes()))
}

/// The hash of a code as it is shown.
pub fn hash_of_shown(code: &str) -> String {
    hash(&code.replace('-', ""))
}

fn new_code() -> String {
    let letters: Vec<char> = Secret::generate().to_base32().to_ascii_lowercase().chars().take(LETTERS).collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::OneTimeCode;
    use super::*;

    #[test]
    fn codes_differ_and_are_read_as_they_are_shown() {
        let codes = new_codes();
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), COUNT);
        for code in codes {
            assert!(code.len() == 19 && code.split('-').all(|group| group.len() == 4), "{code}");
            assert_eq!(OneTimeCode::read(&code), OneTimeCode::Recovery(hash_of_shown(&code)));
        }
    }
}
