//! Bearer tokens: JWTs, signed with HS256 and a secret that all processes share.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

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
    /// The claim `sid`: the session; none for tokens of Marzneshin and of earlier versions.
    pub session: Option<Uuid>,
    issued_at: Option<Moment>,
    account: Option<Account>,
}

/// The account and the password that a token was issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    /// The claim `aid`: the admin's id.
    id: i64,
    /// The claim `pwv`: when the password was last changed, in unix microseconds; 0: never.
    password_version: i64,
}

impl Account {
    fn of(admin: &Admin) -> Self {
        Self { id: admin.id.0, password_version: admin.password_reset_at.map_or(0, Moment::micros) }
    }
}

impl Bearer {
    /// Returns true if the token was issued for this account, since its last change of the password. A later admin may
    /// have the same name, and after a restored back-up the same id.
    pub fn is_for(&self, admin: &Admin) -> bool {
        match (self.account, self.issued_at) {
            (Some(account), issued_at) => {
                let earliest = admin.created_at.plus(-CLOCK_SKEW);
                account == Account::of(admin) && issued_at.is_some_and(|issued_at| issued_at >= earliest)
            }
            // Tokens of Marzneshin, issued at whole seconds.
            (None, Some(issued_at)) => {
                let reset_at = admin.password_reset_at;
                issued_at.seconds() >= admin.created_at.seconds()
                    && reset_at.is_none_or(|reset_at| issued_at >= reset_at)
            }
            (None, None) => admin.password_reset_at.is_none(),
        }
    }
}

impl Signer {
    /// Creates a signer. `candidate` (64 random hex digits) becomes the secret if the database has none.
    pub fn new(candidate: Secret) -> Self {
        Self { candidate, keys: OnceCell::new() }
    }

    /// Signs a token of a session of `admin` that expires after `minutes`, or never if that is 0.
    pub async fn sign(
        &self,
        db: &Db,
        admin: &Admin,
        session: Option<Uuid>,
        now: Moment,
        minutes: u32,
    ) -> Result<String, SignError> {
        let access = if admin.is_sudo { "sudo" } else { "admin" };
        let issued_at = now.seconds();
        let Account { id, password_version } = Account::of(admin);
        let mut claims =
            json!({ "sub": admin.username, "access": access, "iat": issued_at, "aid": id, "pwv": password_version });
        if minutes != 0 {
            claims["exp"] = json!(issued_at + i64::from(minutes) * 60);
        }
        if let Some(session) = session {
            claims["sid"] = json!(session);
        }
        self.sign_claims(db, &claims).await
    }

    /// Signs claims. With `aud` they are no token of a session.
    pub async fn sign_claims(&self, db: &Db, claims: &Value) -> Result<String, SignError> {
        let keys = self.keys(db).await.map_err(SignError::Store)?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &keys.encoding).map_err(SignError::Encode)
    }

    /// Returns the content of a token, if the token is valid at `now`.
    pub async fn check(&self, db: &Db, token: &str, now: Moment) -> Result<Option<Bearer>, StoreError> {
        Ok(self.claims(db, token).await?.and_then(|claims| bearer(&claims, now)))
    }

    /// Returns the claims of a token that is signed, expired or not.
    pub async fn claims(&self, db: &Db, token: &str) -> Result<Option<Map<String, Value>>, StoreError> {
        // The library tolerates a token that expired a minute ago and reads the system's clock. `bearer` checks the claims.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let keys = self.keys(db).await?;
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, &keys.decoding, &validation);
        // No extension of JWTs is known here, so a token that requires one is refused.
        let token = token.ok().filter(|token| token.header.crit.is_none());
        Ok(token.map(|token| token.claims))
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
    // No admin has such a name, and PostgreSQL fails on a text with NUL.
    let username = present("sub")?.as_str().filter(|name| !name.contains('\0'))?.to_owned();
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
    let account = match (present("aid"), present("pwv")) {
        (None, None) => None,
        (id, version) => Some(Account { id: id?.as_i64()?, password_version: version?.as_i64()? }),
    };
    let session = match present("sid") {
        None => None,
        Some(id) => Some(Uuid::try_parse(id.as_str()?).ok()?),
    };
    Some(Bearer { username, session, issued_at, account })
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
    use crate::domain::ids::AdminId;

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
            json!({"sub": "ro\0ot", "access": "sudo", "iat": NOW}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "aid": 1}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "pwv": 0}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "aid": "1", "pwv": 0}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "sid": 7}),
            json!({"sub": "root", "access": "sudo", "iat": NOW, "sid": "seven"}),
        ] {
            assert_eq!(read(claims.clone()), None, "{claims}");
        }
    }

    /// An admin with the id 7, created at that second, whose password was last changed at that moment.
    fn admin(created_at: i64, reset_at: Option<i64>) -> Admin {
        Admin {
            id: AdminId(7),
            username: "a".to_owned(),
            is_sudo: false,
            enabled: true,
            all_services_access: false,
            modify_users_access: true,
            service_ids: Vec::new(),
            subscription_url_prefix: String::new(),
            password_reset_at: reset_at.map(Moment::from_micros),
            created_at: Moment::from_micros(created_at * SECOND),
            role: None,
            requires_second_factor: false,
        }
    }

    fn is_for(claims: Value, admin: &Admin) -> bool {
        let mut all = json!({"sub": "a", "access": "admin"});
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        read(all).expect("a good token").is_for(admin)
    }

    #[test]
    fn token_without_an_account_is_for_an_admin_as_old_as_the_token() {
        let reset = admin(0, Some(NOW * SECOND));
        assert!(!is_for(json!({"iat": NOW - 1}), &reset));
        assert!(!is_for(json!({}), &reset));
        assert!(is_for(json!({"iat": NOW}), &reset));
        assert!(is_for(json!({}), &admin(0, None)));
        assert!(is_for(json!({"iat": NOW}), &admin(NOW, None)));
        assert!(!is_for(json!({"iat": NOW - 1}), &admin(NOW, None)), "of an earlier admin of that name");
    }

    #[test]
    fn token_with_an_account_is_for_that_account_and_password_only() {
        let token = |id: i64, version: i64| json!({"iat": NOW, "aid": id, "pwv": version});
        let change = NOW * SECOND + 400_000;
        assert!(is_for(token(7, change), &admin(0, Some(change))), "issued in the second of the change");
        assert!(!is_for(token(7, change - 1), &admin(0, Some(change))), "of the password before, in the same second");
        assert!(!is_for(token(7, 0), &admin(0, Some(change))));
        assert!(is_for(token(7, 0), &admin(NOW, None)));
        assert!(!is_for(token(8, 0), &admin(NOW, None)), "of another admin of that name");
        assert!(!is_for(token(7, 0), &admin(NOW + 60, None)), "of another admin of that name and id");
        assert!(is_for(token(7, 0), &admin(NOW + 2, None)), "the clocks of hosts differ");
    }
}
