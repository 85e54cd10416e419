//! Bearer tokens: JWTs, signed with HS256 and a secret that all processes share.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::moment::{Moment, SECOND};
use crate::store::access::secrets;
use crate::store::{Db, StoreError};

/// Tolerated difference between the clocks of hosts, in microseconds: a new token must be valid on all of them.
const CLOCK_SKEW: i64 = 5 * SECOND;

/// Signs and checks tokens. The secret is read from the database on first use, or stored there if there is none.
pub struct Signer {
    candidate: Secret,
    keys: OnceCell<Keys>,
}

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// The content of a valid token.
#[derive(Clone, Debug, PartialEq)]
pub struct Bearer {
    /// The admin's username.
    pub username: String,
    issued_at: Option<Moment>,
}

impl Bearer {
    /// Returns true if the token was issued before the last change of the password, or does not say when.
    pub fn is_older_than(&self, password_reset_at: Option<Moment>) -> bool {
        match (password_reset_at, self.issued_at) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(reset_at), Some(issued_at)) => issued_at < reset_at,
        }
    }
}

impl Signer {
    /// Creates a signer. `candidate` (64 random hex digits) becomes the secret if the database has none.
    pub fn new(candidate: Secret) -> Self {
        Self { candidate, keys: OnceCell::new() }
    }

    /// Signs a token for `admin` that expires after `minutes`, or never if that is 0.
    pub async fn sign(&self, db: &Db, admin: &Admin, now: Moment, minutes: u32) -> Result<String, SignError> {
        let access = if admin.is_sudo { "sudo" } else { "admin" };
        let issued_at = now.seconds();
        let mut claims = json!({ "sub": admin.username, "access": access, "iat": issued_at });
        if minutes != 0 {
            claims["exp"] = json!(issued_at + i64::from(minutes) * 60);
        }
        let keys = self.keys(db).await.map_err(SignError::Store)?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys.encoding).map_err(SignError::Encode)
    }

    /// Returns the content of a token, if the token is valid at `now`.
    pub async fn check(&self, db: &Db, token: &str, now: Moment) -> Result<Option<Bearer>, StoreError> {
        // The library tolerates a token that expired a minute ago and reads the system's clock. `bearer` checks the claims.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let keys = self.keys(db).await?;
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, &keys.decoding, &validation);
        Ok(token.ok().and_then(|token| bearer(&token.claims, now)))
    }

    async fn keys(&self, db: &Db) -> Result<&Keys, StoreError> {
        self.keys
            .get_or_try_init(|| async {
                let secret = secrets::jwt(db, self.candidate.expose()).await?;
                Ok(Keys {
                    encoding: EncodingKey::from_secret(secret.as_bytes()),
                    decoding: DecodingKey::from_secret(secret.as_bytes()),
                })
            })
            .await
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// An error while signing a token.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The secret could not be read.
    #[error(transparent)]
    Store(StoreError),
    /// The library failed.
    #[error("could not sign a token")]
    Encode(#[source] jsonwebtoken::errors::Error),
}

/// Checks the claims. `access` must be one of the two texts, but is not used: rights come from the database.
fn bearer(claims: &Map<String, Value>, now: Moment) -> Option<Bearer> {
    let present = |name: &str| claims.get(name).filter(|value| !value.is_null());
    let username = present("sub")?.as_str()?.to_owned();
    if !matches!(present("access")?.as_str()?, "sudo" | "admin") || present("aud").is_some() {
        return None;
    }
    let issued_at = time(present("iat"))?;
    let not_before = time(present("nbf"))?;
    let expires_at = time(present("exp"))?;
    let is_future = |moment: Option<Moment>| moment.is_some_and(|moment| moment > now.plus(CLOCK_SKEW));
    if is_future(issued_at) || is_future(not_before) || expires_at.is_some_and(|moment| moment <= now) {
        return None;
    }
    Some(Bearer { username, issued_at })
}

/// Reads a time claim in whole or fractional unix seconds. Returns `None` if the claim is present but not a time.
fn time(claim: Option<&Value>) -> Option<Option<Moment>> {
    let Some(claim) = claim else { return Some(None) };
    let micros = claim.as_f64()? * SECOND as f64;
    // The cast saturates, and `from_micros` clamps to the years 1 to 9999.
    micros.is_finite().then(|| Some(Moment::from_micros(micros as i64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_466_185;

    fn read(claims: Value) -> Option<Bearer> {
        bearer(claims.as_object().expect("an object"), Moment::from_micros(NOW * SECOND))
    }

    #[test]
    fn token_is_accepted_with_valid_claims_and_without_times() {
        for claims in [
            json!({"sub": "root", "access": "sudo", "iat": NOW, "exp": NOW + 10}),
            json!({"sub": "root", "access": "admin", "iat": NOW, "exp": NOW + 10}),
            json!({"sub": "root", "access": "sudo", "iat": NOW}),
            json!({"sub": "root", "access": "sudo", "exp": NOW + 10}),
            json!({"sub": "root", "access": "sudo", "iat": NOW as f64 - 0.5, "nbf": NOW}),
        ] {
            assert_eq!(read(claims.clone()).map(|bearer| bearer.username).as_deref(), Some("root"), "{claims}");
        }
    }

    #[test]
    fn token_is_refused_with_an_invalid_missing_or_expired_claim() {
        for claims in [
            json!({"sub": "root", "access": "sudo", "iat": NOW - 100, "exp": NOW}),
            json!({"sub": "root", "access": "sudo", "iat": NOW + 3600}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "nbf": NOW + 3600}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "aud": "x"}),
            json!({"sub": "root", "access": "sudo", "iat": "abc"}),
            json!({"sub": "root", "access": "sudo", "exp": "never"}),
            json!({"access": "sudo", "iat": NOW}),
            json!({"sub": 5, "access": "sudo", "iat": NOW}),
            json!({"sub": "root", "access": "other", "iat": NOW}),
            json!({"sub": "root", "iat": NOW}),
        ] {
            assert_eq!(read(claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn token_older_than_the_password_is_refused() {
        let reset_at = Some(Moment::from_micros(NOW * SECOND));
        let token = |claims: Value| read(claims).expect("a good token");
        assert!(token(json!({"sub": "a", "access": "admin", "iat": NOW - 1})).is_older_than(reset_at));
        assert!(token(json!({"sub": "a", "access": "admin"})).is_older_than(reset_at));
        assert!(!token(json!({"sub": "a", "access": "admin", "iat": NOW})).is_older_than(reset_at));
        assert!(!token(json!({"sub": "a", "access": "admin"})).is_older_than(None));
    }
}
