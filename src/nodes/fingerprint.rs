//! Fingerprints of certificates.

use std::fmt;

use rustls::crypto::aws_lc_rs;

/// SHA-256 of a certificate in DER; printed as 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a certificate in DER. `None`: the crypto provider has no SHA-256.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        // rustls exposes SHA-256 as the hash of a cipher suite.
        let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
        suite.common.hash_provider.hash(certificate).as_ref().try_into().ok().map(Self)
    }

    /// Parses 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_displayed_fingerprint_and_refuses_other_text() {
        let fingerprint = Fingerprint::of(b"abc").expect("SHA-256 is available");
        let printed = fingerprint.to_string();
        assert_eq!(printed, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Fingerprint::parse(&printed), Some(fingerprint));
        assert_eq!(Fingerprint::parse(&printed[1..]), None);
        assert_eq!(Fingerprint::parse(&printed.replace('b', "x")), None);
    }
}
