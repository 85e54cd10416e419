//! A user as copies store and transfer it: about 150 bytes, and readable by versions that know fewer or more fields.

use prost::Message as _;

use super::checksum::{sealed, unsealed};
use crate::domain::ids::{AdminId, ServiceId, UserId};
use crate::domain::moment::Moment;
use crate::domain::user::{Expiry, ExpiryFields, Owner, ResetStrategy, User};

/// A user with everything that its links show. Moments are unix microseconds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CopiedUser {
    /// Id.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// Username.
    #[prost(string, tag = "2")]
    pub username: String,
    /// Key.
    #[prost(string, tag = "3")]
    pub key: String,
    /// Id of the owner, whose name and prefix are in the part that all subscriptions share.
    #[prost(int64, optional, tag = "4")]
    pub owner: Option<i64>,
    #[prost(bool, tag = "5")]
    enabled: bool,
    #[prost(bool, tag = "6")]
    activated: bool,
    #[prost(string, tag = "7")]
    expire_strategy: String,
    #[prost(int64, optional, tag = "8")]
    expire_date: Option<i64>,
    #[prost(int64, optional, tag = "9")]
    usage_duration: Option<i64>,
    #[prost(int64, optional, tag = "10")]
    activation_deadline: Option<i64>,
    #[prost(int64, optional, tag = "11")]
    data_limit: Option<i64>,
    #[prost(string, tag = "12")]
    reset_strategy: String,
    #[prost(int64, tag = "13")]
    used_traffic: i64,
    #[prost(int64, tag = "14")]
    lifetime_used_traffic: i64,
    #[prost(int64, optional, tag = "15")]
    online_at: Option<i64>,
    #[prost(int64, optional, tag = "16")]
    traffic_reset_at: Option<i64>,
    #[prost(string, optional, tag = "17")]
    note: Option<String>,
    #[prost(int64, tag = "18")]
    created_at: i64,
    #[prost(int64, optional, tag = "19")]
    edit_at: Option<i64>,
    #[prost(int64, optional, tag = "20")]
    sub_revoked_at: Option<i64>,
    #[prost(int64, optional, tag = "21")]
    sub_updated_at: Option<i64>,
    #[prost(string, optional, tag = "22")]
    sub_last_user_agent: Option<String>,
    #[prost(int64, repeated, tag = "23")]
    service_ids: Vec<i64>,
}

impl CopiedUser {
    /// Copies a user; `None` if it was removed, because nobody can have its link.
    pub fn of(user: User) -> Option<Self> {
        let username = user.username.filter(|_| !user.removed)?;
        let fields = user.expiry.fields().or(user.unused_expiry);
        let mut service_ids: Vec<i64> = user.service_ids.iter().map(|id| id.0).collect();
        service_ids.sort_unstable();
        let micros = |moment: Option<Moment>| moment.map(Moment::micros);
        Some(Self {
            id: user.id.0,
            username,
            key: user.key,
            owner: user.owner.map(|owner| owner.id.0),
            enabled: user.enabled,
            activated: user.activated,
            // The usual values are not written.
            expire_strategy: user.expiry.strategy().word().to_owned(),
            expire_date: micros(fields.date),
            usage_duration: fields.duration,
            activation_deadline: micros(fields.deadline),
            data_limit: user.data_limit,
            reset_strategy: match user.reset_strategy {
                ResetStrategy::NoReset => String::new(),
                other => other.word().to_owned(),
            },
            used_traffic: user.used_traffic,
            lifetime_used_traffic: user.lifetime_used_traffic,
            online_at: micros(user.online_at),
            traffic_reset_at: micros(user.traffic_reset_at),
            note: user.note,
            created_at: user.created_at.micros(),
            edit_at: micros(user.edit_at),
            sub_revoked_at: micros(user.sub_revoked_at),
            sub_updated_at: micros(user.sub_updated_at),
            sub_last_user_agent: user.sub_last_user_agent,
            service_ids,
        })
    }

    /// Returns the user. `owner` finds the owner of an id.
    pub fn user(self, owner: impl FnOnce(AdminId) -> Option<Owner>) -> User {
        let moment = |micros: Option<i64>| micros.map(Moment::from_micros);
        let fields = ExpiryFields {
            date: moment(self.expire_date),
            duration: self.usage_duration,
            deadline: moment(self.activation_deadline),
        };
        let (expiry, unused_expiry) = Expiry::from_columns(&self.expire_strategy, fields);
        User {
            id: UserId(self.id),
            username: Some(self.username),
            key: self.key,
            owner: self.owner.and_then(|id| owner(AdminId(id))),
            enabled: self.enabled,
            activated: self.activated,
            removed: false,
            expiry,
            unused_expiry,
            data_limit: self.data_limit,
            reset_strategy: ResetStrategy::from_word(&self.reset_strategy).unwrap_or(ResetStrategy::NoReset),
            used_traffic: self.used_traffic,
            lifetime_used_traffic: self.lifetime_used_traffic,
            online_at: moment(self.online_at),
            traffic_reset_at: moment(self.traffic_reset_at),
            note: self.note,
            created_at: Moment::from_micros(self.created_at),
            edit_at: moment(self.edit_at),
            sub_revoked_at: moment(self.sub_revoked_at),
            sub_updated_at: moment(self.sub_updated_at),
            sub_last_user_agent: self.sub_last_user_agent,
            service_ids: self.service_ids.into_iter().map(ServiceId).collect(),
        }
    }

    /// Sets the last fetch, unless a newer one is known.
    pub fn fetched(&mut self, at: Moment, user_agent: String) {
        if self.sub_updated_at.is_none_or(|known| known <= at.micros()) {
            self.sub_updated_at = Some(at.micros());
            self.sub_last_user_agent = Some(user_agent);
        }
    }

    /// Encodes the user, with a checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        sealed(self.encode_to_vec())
    }

    /// Decodes a user; `None` if the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::decode(unsealed(bytes)?).ok()
    }

    /// Returns the user without the admins' note, for copies on hosts that should not have it.
    #[must_use]
    pub fn without_note(self) -> Self {
        Self { note: None, ..self }
    }

    /// True if the other one differs in more than what the log of changes leaves out: traffic, the last traffic and the last fetch.
    pub fn differs_in_logged_fields(&self, other: &Self) -> bool {
        let logged = |user: &Self| Self {
            used_traffic: 0,
            lifetime_used_traffic: 0,
            online_at: None,
            sub_updated_at: None,
            sub_last_user_agent: None,
            ..user.clone()
        };
        self != other && logged(self) != logged(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_micros(1_700_000_000_000_000);

    fn full() -> User {
        User {
            owner: Some(Owner { id: AdminId(3), username: "root".to_owned(), subscription_url_prefix: "x".to_owned() }),
            expiry: Expiry::FixedDate(NOW.plus(5)),
            unused_expiry: ExpiryFields { date: None, duration: Some(9), deadline: Some(NOW) },
            data_limit: Some(7 << 30),
            reset_strategy: ResetStrategy::Month,
            used_traffic: 5,
            lifetime_used_traffic: 6,
            online_at: Some(NOW),
            traffic_reset_at: Some(NOW.plus(1)),
            note: Some("note".to_owned()),
            edit_at: Some(NOW.plus(2)),
            sub_revoked_at: Some(NOW.plus(3)),
            sub_updated_at: Some(NOW.plus(4)),
            sub_last_user_agent: Some("v2rayNG/1.9.5".to_owned()),
            service_ids: vec![ServiceId(1), ServiceId(2)],
            ..User::bare(UserId(1_000_000), "user_1000000", "00000000000000000000000000000001", NOW)
        }
    }

    #[test]
    fn user_is_the_same_after_its_bytes() {
        let on_hold = Expiry::StartOnFirstUse { duration: -5, deadline: Some(NOW) };
        for user in [
            full(),
            User { expiry: on_hold, unused_expiry: ExpiryFields::default(), owner: None, ..full() },
            User::bare(UserId(1), "ann", "key", NOW),
        ] {
            let bytes = CopiedUser::of(user.clone()).expect("a user with a name").to_bytes();
            let read = CopiedUser::from_bytes(&bytes).expect("good bytes");
            assert_eq!(read.user(|id| user.owner.clone().filter(|owner| owner.id == id)), user);
            assert!(bytes.len() < 220, "{}", bytes.len());
        }
    }

    #[test]
    fn removed_user_is_in_no_copy() {
        let mut user = full();
        user.remove();
        assert_eq!(CopiedUser::of(user), None);
    }

    #[test]
    fn flipped_byte_is_found() {
        let bytes = CopiedUser::of(full()).expect("a user with a name").to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            assert_eq!(CopiedUser::from_bytes(&damaged), None, "byte {at}");
            assert_eq!(CopiedUser::from_bytes(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn traffic_and_fetches_are_no_difference_in_logged_fields() {
        let copy = |user| CopiedUser::of(user).expect("a user with a name");
        let user = copy(full());
        let used = User { used_traffic: 99, online_at: None, sub_last_user_agent: None, ..full() };
        assert!(!user.differs_in_logged_fields(&copy(used)));
        assert!(user.differs_in_logged_fields(&copy(User { key: "other".to_owned(), ..full() })));
        assert!(user.differs_in_logged_fields(&copy(User { service_ids: Vec::new(), ..full() })));
    }
}
