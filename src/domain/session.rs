//! A session of an admin: what a sign-in began, and its token carries on.

use uuid::Uuid;

use super::moment::{Moment, SECOND};

/// Longest user agent that is stored, in characters.
pub const MAX_USER_AGENT: usize = 256;

/// The end of a token of `minutes` that is signed at `now`; 0: it does not expire.
pub fn expires_at(minutes: u32, now: Moment) -> Option<Moment> {
    (minutes > 0).then(|| now.plus(i64::from(minutes) * 60 * SECOND))
}

/// A session that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The claim `sid` of its tokens.
    pub id: Uuid,
    /// When the admin signed in.
    pub created_at: Moment,
    /// The last request with one of its tokens, up to a minute behind.
    pub last_used_at: Moment,
    /// When its token expires; none: never.
    pub expires_at: Option<Moment>,
    /// The client's address at the last use; none for a Unix socket.
    pub address: Option<String>,
    /// The client's program at sign-in, as the program names itself.
    pub user_agent: String,
}
