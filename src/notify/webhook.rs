//! The webhook: one POST per entry, with an idempotency key and a signature.

use aws_lc_rs::hmac;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::http::{self, ClientError, Failure};
use crate::config::secret::Secret;
use crate::store::notify::outbox::OutboxEntry;

/// The operator's webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    client: Client,
    url: Secret,
    secret: Option<Secret>,
}

impl Webhook {
    /// With a secret, each request has the headers `x-webhook-secret` and `x-webhook-signature`.
    pub fn new(url: Secret, secret: Option<Secret>) -> Result<Self, ClientError> {
        Ok(Self { client: http::client(None)?, url, secret })
    }

    /// Posts an entry. Any 2xx status means that it was delivered.
    pub(super) async fn send(&self, entry: &OutboxEntry) -> Result<(), Failure> {
        let mut request = self
            .client
            .post(self.url.expose())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("idempotency-key", &entry.cause);
        if let Some(secret) = &self.secret {
            request = request
                .header("x-webhook-secret", secret.expose())
                .header("x-webhook-signature", signature(secret, entry.payload.as_bytes()));
        }
        let status = http::send(request.body(entry.payload.clone())).await?.status();
        if status.is_success() { Ok(()) } else { Err(http::refused(status)) }
    }
}

/// Returns `sha256=` and the body's HMAC-SHA256 in hex, keyed with the webhook's secret.
fn signature(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let digits = hex::encode(hmac::sign(&key, body));
    format!("sha256={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_matches_rfc_4231_test_case() {
        let signed = signature(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
