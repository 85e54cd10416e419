//! Passwords as bcrypt hashes: slow on purpose, so a few at a time and away from the threads that serve requests.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::timeout;

use crate::config::secret::Secret;

/// About a quarter of a second on one core.
const COST: u32 = 12;

/// A hash that no password matches. Names without an admin are checked against it, so that the answer takes as long as
/// any other.
const NOBODY: &str = "$2b$12$NobodyKnowsThisSalt..euH0vWJYlGfbZ0NcvAiHEC3b6mO9sQ1K";

/// Passwords that are hashed at once, so that other requests keep most of the processor.
static TURNS: Semaphore = Semaphore::const_new(4);
/// A caller that waits longer for a turn gets an error.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Errors of hashing or checking a password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many other passwords are waiting.
    #[error("too many passwords are being checked")]
    Busy,
    /// The library refused.
    #[error("hashing a password failed")]
    Hash(#[source] bcrypt::BcryptError),
    /// The thread that hashed it has ended.
    #[error("the thread that hashed a password has ended")]
    Thread(#[source] JoinError),
}

/// Hashes a password: `$2b$`, cost 12. Only its first 72 bytes count.
pub async fn hash(password: Secret) -> Result<String, PasswordError> {
    slowly(move || bcrypt::hash(password.expose(), COST)).await?.map_err(PasswordError::Hash)
}

/// Returns true if a password matches its hash. Without a hash, and for the empty password, it returns false after the
/// same time.
pub async fn verify(password: Secret, hash: Option<String>) -> Result<bool, PasswordError> {
    slowly(move || {
        let matches = bcrypt::verify(password.expose(), hash.as_deref().unwrap_or(NOBODY));
        // A hash that can't be parsed (a row written by hand) matches no password.
        matches.unwrap_or(false) && hash.is_some() && !password.expose().is_empty()
    })
    .await
}

async fn slowly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
    // The semaphore is never closed, so this is always a permit. The thread holds it even if the caller has gone.
    let turn = timeout(LONGEST_WAIT, TURNS.acquire()).await.map_err(|_| PasswordError::Busy)?.ok();
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await.map_err(PasswordError::Thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the lowest cost.
    fn cheap(password: &str) -> String {
        bcrypt::hash(password, 4).expect("a hash")
    }

    #[tokio::test]
    async fn only_the_first_72_bytes_count() {
        let hash = cheap(&"x".repeat(72));
        assert!(verify(Secret::new("x".repeat(80)), Some(hash.clone())).await.expect("checked"));
        assert!(!verify(Secret::new("x".repeat(71)), Some(hash)).await.expect("checked"));
    }

    #[tokio::test]
    async fn odd_passwords_and_odd_hashes_are_simply_wrong() {
        assert!(!verify(Secret::new("a\0b"), Some(cheap("a"))).await.expect("checked"));
        assert!(!verify(Secret::new(""), Some(cheap("a"))).await.expect("checked"));
        assert!(!verify(Secret::new(""), Some(cheap(""))).await.expect("checked"), "such an admin can't sign in");
        assert!(!verify(Secret::new("a"), Some("not a hash".to_owned())).await.expect("checked"));
    }

    #[test]
    fn nobody_is_checked_as_slowly_as_an_admin() {
        let parts: bcrypt::HashParts = NOBODY.parse().expect("a hash");
        assert_eq!(parts.get_cost(), COST);
        assert!(!bcrypt::verify("x", NOBODY).expect("a hash to compare with"));
    }

    #[tokio::test]
    async fn new_hashes_have_the_form_that_other_programs_know() {
        let hash = hash(Secret::new("secret")).await.expect("hashed");
        assert!(hash.starts_with("$2b$12$") && hash.len() == 60, "{hash}");
        assert!(verify(Secret::new("secret"), Some(hash)).await.expect("checked"));
    }
}
