//! The sample users for whom the operator's templates are checked at start.

use crate::domain::moment::{DAY, Moment, SECOND};
use crate::domain::user::document::UserDocument;

/// 2026-11-23T20:36:25.
pub const NOW: Moment = Moment::from_micros(1_795_466_185 * SECOND);

/// A user with all optional values.
pub fn nobody() -> UserDocument {
    UserDocument {
        id: 1,
        username: "nobody".to_owned(),
        expire_strategy: "fixed_date",
        expire_date: Some(NOW.plus(10 * DAY)),
        usage_duration: Some(864_000),
        activation_deadline: Some(NOW),
        key: "00000000000000000000000000000000".to_owned(),
        data_limit: Some(3_072),
        data_limit_reset_strategy: "no_reset",
        note: Some("note".to_owned()),
        sub_updated_at: Some(NOW),
        sub_last_user_agent: Some("app".to_owned()),
        online_at: Some(NOW),
        activated: true,
        is_active: true,
        expired: false,
        data_limit_reached: false,
        enabled: true,
        used_traffic: 1_024,
        lifetime_used_traffic: 1_024,
        sub_revoked_at: Some(NOW),
        created_at: NOW,
        service_ids: vec![1],
        subscription_url: "https://panel.example/sub/nobody/0".to_owned(),
        owner_username: Some("admin".to_owned()),
        traffic_reset_at: Some(NOW),
    }
}

/// A user without any optional value.
pub fn newcomer() -> UserDocument {
    UserDocument {
        expire_strategy: "never",
        expire_date: None,
        usage_duration: None,
        activation_deadline: None,
        data_limit: None,
        note: None,
        sub_updated_at: None,
        sub_last_user_agent: None,
        online_at: None,
        used_traffic: 0,
        lifetime_used_traffic: 0,
        sub_revoked_at: None,
        service_ids: Vec::new(),
        owner_username: None,
        traffic_reset_at: None,
        ..nobody()
    }
}
