//! A software authenticator and its browser: they make passkeys and sign with them (WebAuthn).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const WITH_CREDENTIAL: u8 = 0x40;

/// A passkey in the software authenticator.
#[derive(Debug)]
pub struct SoftPasskey {
    /// The page in whose name the browser answers.
    pub origin: String,
    /// The domain that the answers are for.
    pub rp_id: String,
    /// True if the authenticator verifies its user, as by a fingerprint.
    pub verifies_user: bool,
    /// The uses so far; 0: the authenticator does not count.
    pub counter: u32,
    id: Vec<u8>,
    user_handle: String,
    key: EcdsaKeyPair,
}

impl SoftPasskey {
    /// Makes a passkey for the options that a panel sent to a page of `origin`.
    pub fn new(origin: &str, options: &Value) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self {
            origin: origin.to_owned(),
            rp_id: text(&options["rp"]["id"]),
            verifies_user: true,
            counter: 0,
            id: digest(&SHA256, key.public_key().as_ref()).as_ref().to_vec(),
            user_handle: text(&options["user"]["id"]),
            key,
        }
    }

    /// The answer of the browser to the options of a new passkey.
    pub fn registration(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.create", options);
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let mut data = self.authenticator_data(WITH_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).expect("a short id").to_be_bytes());
        data.extend(&self.id);
        // COSE: {1: EC2, 3: ES256, -1: P-256, -2: x, -3: y}.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(x);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(y);
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": bytes}.
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(u8::try_from(data.len()).expect("short data"));
        attestation.extend(data);
        json!({
            "id": self.id(),
            "rawId": self.id(),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": BASE64URL.encode(client_data),
                "attestationObject": BASE64URL.encode(attestation),
                "transports": ["internal"],
            },
            "clientExtensionResults": {},
        })
    }

    /// The answer of the browser to the options of a sign-in.
    pub fn assertion(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(0);
        let signed = [data.as_slice(), digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("a signature");
        json!({
            "id": self.id(),
            "rawId": self.id(),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": BASE64URL.encode(client_data),
                "authenticatorData": BASE64URL.encode(data),
                "signature": BASE64URL.encode(signature),
                "userHandle": self.user_handle,
            },
            "clientExtensionResults": {},
        })
    }

    fn id(&self) -> String {
        BASE64URL.encode(&self.id)
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let (challenge, origin) = (&options["challenge"], &self.origin);
        json!({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false}).to_string()
    }

    fn authenticator_data(&self, more: u8) -> Vec<u8> {
        let verified = if self.verifies_user { USER_VERIFIED } else { 0 };
        let mut data = digest(&SHA256, self.rp_id.as_bytes()).as_ref().to_vec();
        data.push(USER_PRESENT | verified | more);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
