//! The notification of a threshold that the use of a quota has reached.

use serde::Serialize;

use super::{AdminQuota, Counted};
use crate::domain::ids::UserId;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::notification::{Event, Notification, RETENTION};

#[derive(Serialize)]
struct Payload<'a> {
    created_at: f64,
    admin: AdminDocument<'a>,
    action: &'static str,
    quota: &'static str,
    percent: i64,
    used: i64,
    limit: i64,
}

#[derive(Serialize)]
struct AdminDocument<'a> {
    id: i64,
    username: &'a str,
}

/// The notification; `None` if the number has no limit. One per period, number, limit and threshold.
pub fn notice(quota: &AdminQuota, counted: Counted, percent: i64, used: i64, now: Moment) -> Option<Notification> {
    let limit = quota.quota.limit(counted)?;
    let (event, admin) = (Event::QuotaReached, quota.admin.0);
    let payload = Payload {
        // A double represents today's microseconds exactly.
        created_at: now.micros() as f64 / SECOND as f64,
        admin: AdminDocument { id: admin, username: &quota.username },
        action: event.action(),
        quota: counted.field(),
        percent,
        used,
        limit,
    };
    let period = quota.counted_since.micros();
    Some(Notification {
        event,
        cause: format!("{}:{admin}:{}:{percent}:{limit}:{period}", event.action(), counted.field()),
        // Notifications of one admin are delivered in order; no user has such an id.
        user: UserId(-admin),
        // Numbers and texts always serialize.
        payload: serde_json::to_string(&payload).unwrap_or_default(),
        keep_until: now.plus(RETENTION),
    })
}
