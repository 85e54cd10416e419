//! Findings about the account: its state, its owner and its services.

use super::facts::{Facts, UsedUpQuota};
use super::finding::{Code, Details, Finding, ObjectKind, ObjectRef, Severity};
use crate::domain::bytes::binary_bytes;
use crate::domain::moment::Moment;
use crate::domain::user::{Expiry, ResetStrategy};

pub(super) fn findings(facts: &Facts<'_>, now: Moment) -> Vec<Finding> {
    let mut found = state(facts, now);
    found.extend(owner(facts));
    found.extend(services(facts));
    found
}

fn state(facts: &Facts<'_>, now: Moment) -> Vec<Finding> {
    let user = facts.user;
    let of_user =
        |code, severity, text: String, details| Finding { code, severity, text, object: facts.user_object(), details };
    let mut found = Vec::new();
    if let Some(quota) = facts.used_up_quota.as_ref().filter(|_| !user.enabled) {
        found.push(used_up(quota));
    } else if !user.enabled {
        let text = "the user is disabled; enable it".to_owned();
        found.push(of_user(Code::UserDisabled, Severity::Error, text, Details::default()));
    }
    if let Expiry::FixedDate(date) = user.expiry
        && user.is_expired(now)
    {
        let text = format!("the user expired at {}; set a later date", date.utc_iso());
        let details = Details { since: Some(date), ..Details::default() };
        found.push(of_user(Code::UserExpired, Severity::Error, text, details));
    }
    if let Some(limit) = user.data_limit
        && user.is_data_limit_reached()
    {
        let used = user.used_traffic;
        let text = format!(
            "the data limit is reached: {} of {} are used; raise the limit or reset the used traffic{}",
            binary_bytes(used),
            binary_bytes(limit),
            if user.reset_strategy == ResetStrategy::NoReset { "" } else { ", or wait for the next reset" }
        );
        let details = Details { used: Some(used), limit: Some(limit), ..Details::default() };
        found.push(of_user(Code::UserLimited, Severity::Error, text, details));
    }
    if let Expiry::StartOnFirstUse { deadline, .. } = user.expiry {
        let latest = deadline.map(|deadline| format!(", at the latest at {}", deadline.utc_iso())).unwrap_or_default();
        let text = format!("the time of the account starts with its first use{latest}");
        let details = Details { until: deadline, ..Details::default() };
        found.push(of_user(Code::UserOnHold, Severity::Info, text, details));
    }
    if user.is_active(now) && !user.activated {
        let text =
            "the account works again, but is not on the nodes yet; the task review_users puts it there".to_owned();
        found.push(of_user(Code::UserNotActivated, Severity::Error, text, Details::default()));
    }
    found
}

fn used_up(quota: &UsedUpQuota) -> Finding {
    let UsedUpQuota { admin, name, used, limit } = quota.clone();
    let text = format!(
        "the quota of the owner {name} is used up: {} of {}; its users are enabled again when it is raised or reset",
        binary_bytes(used),
        binary_bytes(limit)
    );
    let object = ObjectRef { kind: ObjectKind::Admin, id: admin, name };
    let details = Details { used: Some(used), limit: Some(limit), ..Details::default() };
    Finding { code: Code::OwnerQuotaUsedUp, severity: Severity::Error, text, object, details }
}

fn owner(facts: &Facts<'_>) -> Option<Finding> {
    let (id, name) = facts.disabled_owner.clone()?;
    Some(Finding {
        code: Code::OwnerDisabled,
        severity: Severity::Info,
        text: format!("the owner {name} is disabled: its users go on working, but it can't sign in to renew them"),
        object: ObjectRef { kind: ObjectKind::Admin, id, name },
        details: Details::default(),
    })
}

fn services(facts: &Facts<'_>) -> Vec<Finding> {
    // Hosts for everybody need no service.
    let severity = if facts.has_way() { Severity::Warning } else { Severity::Error };
    if facts.services.is_empty() {
        let text = "the user has no service; give it one".to_owned();
        let object = facts.user_object();
        return vec![Finding { code: Code::NoService, severity, text, object, details: Details::default() }];
    }
    let empty = facts.services.iter().filter(|service| !service.has_inbounds && !service.has_hosts);
    let empty = empty.map(|service| Finding {
        code: Code::ServiceEmpty,
        severity,
        text: format!("the service {} has no inbound that a node offers, and no host", service.name),
        object: ObjectRef { kind: ObjectKind::Service, id: service.id, name: service.name.clone() },
        details: Details::default(),
    });
    let absent = facts.absent_inbounds.iter().map(|inbound| Finding {
        code: Code::InboundAbsent,
        severity: Severity::Warning,
        text: format!(
            "the node {} does not report the inbound {} any more, since {}; check the engine's configuration",
            inbound.node,
            inbound.tag,
            inbound.since.utc_iso()
        ),
        object: ObjectRef { kind: ObjectKind::Inbound, id: inbound.id, name: inbound.tag.clone() },
        details: Details { since: Some(inbound.since), node: Some(inbound.node.clone()), ..Details::default() },
    });
    empty.chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample::{NOW, codes, nothing_wrong};
    use super::super::facts::{AbsentInbound, ServiceFacts};
    use super::*;
    use crate::domain::moment::HOUR;
    use crate::domain::user::User;

    fn of(user: User) -> Vec<Finding> {
        findings(&Facts { user: &user, ..nothing_wrong() }, NOW)
    }

    fn ann() -> User {
        nothing_wrong().user.clone()
    }

    #[test]
    fn disabled_expired_and_limited_accounts_are_errors_each() {
        let date = NOW.plus(-HOUR);
        let all = User {
            enabled: false,
            expiry: Expiry::FixedDate(date),
            data_limit: Some(1 << 30),
            used_traffic: 2 << 30,
            ..ann()
        };
        let found = of(all);
        assert_eq!(codes(&found), [Code::UserDisabled, Code::UserExpired, Code::UserLimited]);
        assert!(found.iter().all(|finding| finding.severity == Severity::Error && finding.object.name == "ann"));
        assert_eq!(found[1].details.since, Some(date));
        assert_eq!((found[2].details.used, found[2].details.limit), (Some(2 << 30), Some(1 << 30)));
        assert!(found[2].text.contains("2 GiB of 1 GiB") && !found[2].text.contains("next reset"), "{}", found[2].text);
        let reset = User { data_limit: Some(1), used_traffic: 1, reset_strategy: ResetStrategy::Day, ..ann() };
        assert!(of(reset)[0].text.ends_with("or wait for the next reset"));
        assert!(codes(&of(User { expiry: Expiry::FixedDate(NOW), data_limit: Some(1), ..ann() })).is_empty());
    }

    #[test]
    fn used_up_quota_of_the_owner_stands_in_place_of_the_disabled_user() {
        let quota = UsedUpQuota { admin: 5, name: "eve".to_owned(), used: 2 << 30, limit: 1 << 30 };
        let of = |enabled: bool| {
            let user = User { enabled, ..ann() };
            findings(&Facts { user: &user, used_up_quota: Some(quota.clone()), ..nothing_wrong() }, NOW)
        };
        let found = of(false);
        assert_eq!(codes(&found), [Code::OwnerQuotaUsedUp]);
        assert_eq!((found[0].severity, found[0].object.name.as_str()), (Severity::Error, "eve"));
        assert!(found[0].text.contains("eve is used up: 2 GiB of 1 GiB"), "{}", found[0].text);
        assert!(codes(&of(true)).is_empty(), "somebody has enabled the user");
    }

    #[test]
    fn account_on_hold_is_no_obstacle() {
        let deadline = NOW.plus(HOUR);
        let found = of(User { expiry: Expiry::StartOnFirstUse { duration: 7, deadline: Some(deadline) }, ..ann() });
        assert_eq!(codes(&found), [Code::UserOnHold]);
        assert_eq!((found[0].severity, found[0].details.until), (Severity::Info, Some(deadline)));
    }

    #[test]
    fn working_account_that_is_not_on_nodes_is_an_error() {
        assert_eq!(codes(&of(User { activated: false, ..ann() })), [Code::UserNotActivated]);
        assert_eq!(codes(&of(User { activated: false, enabled: false, ..ann() })), [Code::UserDisabled]);
    }

    #[test]
    fn disabled_owner_is_named_and_no_obstacle() {
        let found = findings(&Facts { disabled_owner: Some((7, "mina".to_owned())), ..nothing_wrong() }, NOW);
        assert_eq!(codes(&found), [Code::OwnerDisabled]);
        assert_eq!(
            (found[0].severity, found[0].object.id, found[0].object.kind),
            (Severity::Info, 7, ObjectKind::Admin)
        );
    }

    #[test]
    fn missing_and_empty_services_are_errors_unless_a_host_is_left() {
        let empty = ServiceFacts { id: 2, name: "empty".to_owned(), has_inbounds: false, has_hosts: false };
        let none = Facts { services: Vec::new(), hosts: Vec::new(), ..nothing_wrong() };
        let found = findings(&none, NOW);
        assert_eq!((codes(&found), found[0].severity), (vec![Code::NoService], Severity::Error));
        let found = findings(&Facts { services: Vec::new(), ..nothing_wrong() }, NOW);
        assert_eq!((codes(&found), found[0].severity), (vec![Code::NoService], Severity::Warning));
        let found = findings(&Facts { services: vec![empty.clone()], hosts: Vec::new(), ..nothing_wrong() }, NOW);
        assert_eq!((codes(&found), found[0].severity), (vec![Code::ServiceEmpty], Severity::Error));
        assert_eq!((found[0].object.kind, found[0].object.name.as_str()), (ObjectKind::Service, "empty"));
        let with_hosts = Facts { services: vec![ServiceFacts { has_hosts: true, ..empty }], ..nothing_wrong() };
        assert_eq!(codes(&findings(&with_hosts, NOW)), []);
    }

    #[test]
    fn inbound_that_its_node_does_not_report_is_named_with_the_node() {
        let absent = AbsentInbound { id: 5, tag: "vless".to_owned(), node: "fra".to_owned(), since: NOW };
        let found = findings(&Facts { absent_inbounds: vec![absent], ..nothing_wrong() }, NOW);
        assert_eq!(codes(&found), [Code::InboundAbsent]);
        assert_eq!((found[0].details.node.as_deref(), found[0].details.since), (Some("fra"), Some(NOW)));
        assert_eq!((found[0].object.kind, found[0].object.name.as_str()), (ObjectKind::Inbound, "vless"));
    }
}
