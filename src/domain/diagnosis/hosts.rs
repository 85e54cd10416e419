//! Findings about the hosts of a user, and about what the app gets of them.

use super::facts::Facts;
use super::finding::{Code, Details, Finding, ObjectKind, ObjectRef, Severity};
use crate::domain::client_rule::RuleResult;

pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let of_user =
        |code, severity, text: String, details| Finding { code, severity, text, object: facts.user_object(), details };
    let app = facts.app.name();
    let app_text = app.clone().unwrap_or_else(|| "an unknown app".to_owned());
    let with_app = || Details { app: app.clone(), ..Details::default() };
    let mut found = Vec::new();
    match facts.app.result {
        Some(RuleResult::Block) => {
            let text = format!("the client rules refuse {app_text}");
            found.push(of_user(Code::AppBlocked, Severity::Error, text, with_app()));
        }
        Some(RuleResult::Template) => {
            let text = format!("the client rules give {app_text} the web page, which no app can read");
            found.push(of_user(Code::AppGetsNoDocument, Severity::Error, text, with_app()));
        }
        None => {
            let text = format!("no client rule matches {app_text}, so it gets nothing");
            found.push(of_user(Code::AppGetsNoDocument, Severity::Error, text, with_app()));
        }
        Some(_) if facts.hosts.is_empty() => {
            let text = "no enabled host is for the services of the user; add one, or enable one".to_owned();
            found.push(of_user(Code::NoHost, Severity::Error, text, Details::default()));
        }
        Some(_) if facts.hosts.iter().all(|host| host.left_out.is_some()) => {
            let text = format!("{app_text} gets no host: all are left out");
            found.push(of_user(Code::NoHostForApp, Severity::Error, text, with_app()));
        }
        Some(_) => {}
    }
    found.extend(facts.hosts.iter().filter_map(|host| {
        let reason = host.left_out?;
        Some(Finding {
            code: Code::HostLeftOut,
            severity: Severity::Warning,
            text: format!("the host {} is left out for {app_text}: {reason}", host.remark),
            object: ObjectRef { kind: ObjectKind::Host, id: host.id, name: host.remark.clone() },
            details: Details { reason: Some(reason.to_owned()), ..with_app() },
        })
    }));
    let severity = if facts.hosts.is_empty() { Severity::Warning } else { Severity::Info };
    found.extend(facts.disabled_hosts.iter().map(|(id, remark)| Finding {
        code: Code::HostDisabled,
        severity,
        text: format!("the host {remark} is disabled"),
        object: ObjectRef { kind: ObjectKind::Host, id: *id, name: remark.clone() },
        details: Details::default(),
    }));
    if facts.app.program.is_none() && !facts.app.user_agent.is_empty() {
        let text = format!("{app_text} is not a known program; it gets what the client rules say");
        found.push(of_user(Code::AppUnknown, Severity::Info, text, with_app()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::facts::AppFacts;
    use super::super::facts::sample::{codes, host, nothing_wrong};
    use super::*;

    fn with_result(result: Option<RuleResult>) -> Facts<'static> {
        let facts = nothing_wrong();
        // Without a format, no host is looked at.
        Facts { app: AppFacts { result, ..facts.app }, hosts: Vec::new(), ..facts }
    }

    #[test]
    fn app_that_gets_no_document_is_an_error() {
        for (result, code) in [
            (Some(RuleResult::Block), Code::AppBlocked),
            (Some(RuleResult::Template), Code::AppGetsNoDocument),
            (None, Code::AppGetsNoDocument),
        ] {
            let found = findings(&with_result(result));
            assert_eq!((codes(&found), found[0].severity), (vec![code], Severity::Error));
            assert_eq!(found[0].details.app.as_deref(), Some("sing-box for Android"));
        }
    }

    #[test]
    fn user_without_hosts_has_an_error_and_the_disabled_ones() {
        let disabled_hosts = vec![(7, "fast".to_owned())];
        let none = Facts { disabled_hosts: disabled_hosts.clone(), ..with_result(Some(RuleResult::SingBox)) };
        let found = findings(&none);
        assert_eq!(codes(&found), [Code::NoHost, Code::HostDisabled]);
        assert_eq!((found[1].severity, found[1].object.id), (Severity::Warning, 7));
        let found = findings(&Facts { disabled_hosts, ..nothing_wrong() });
        assert_eq!((codes(&found), found[0].severity), (vec![Code::HostDisabled], Severity::Info));
    }

    #[test]
    fn hosts_are_left_out_with_reason_and_app() {
        let found = findings(&Facts { hosts: vec![host(1, None), host(2, Some("no port"))], ..nothing_wrong() });
        assert_eq!(codes(&found), [Code::HostLeftOut]);
        assert_eq!(found[0].text, "the host host 2 is left out for sing-box for Android: no port");
        assert_eq!((found[0].object.kind, found[0].object.id), (ObjectKind::Host, 2));
        let found = findings(&Facts { hosts: vec![host(2, Some("no port"))], ..nothing_wrong() });
        assert_eq!(codes(&found), [Code::NoHostForApp, Code::HostLeftOut]);
    }

    #[test]
    fn unknown_program_is_named_by_its_user_agent() {
        let app = AppFacts { user_agent: "odd/1".to_owned(), program: None, ..nothing_wrong().app };
        let found = findings(&Facts { app, ..nothing_wrong() });
        assert_eq!((codes(&found), found[0].details.app.as_deref()), (vec![Code::AppUnknown], Some("odd/1")));
        let nobody = AppFacts { user_agent: String::new(), program: None, ..nothing_wrong().app };
        assert_eq!(codes(&findings(&Facts { app: nobody, ..nothing_wrong() })), []);
    }
}
