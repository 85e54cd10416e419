//! Findings about the last fetch of the subscription.

use super::facts::Facts;
use super::finding::{Code, Details, Finding, Severity};

pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let user = facts.user;
    let of_user =
        |code, severity, text: String, details| Finding { code, severity, text, object: facts.user_object(), details };
    let Some(at) = user.sub_updated_at else {
        let text = "the subscription was never fetched: import the link into an app".to_owned();
        return vec![of_user(Code::NeverFetched, Severity::Info, text, Details::default())];
    };
    let agent = user.sub_last_user_agent.clone().unwrap_or_default();
    let is_app = agent == facts.app.user_agent;
    let app = if is_app { facts.app.name() } else { Some(agent).filter(|agent| !agent.is_empty()) };
    let core_version = facts.app.core_version.clone().filter(|_| is_app);
    let by = app.as_ref().map(|app| format!(" by {app}")).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(revoked) = user.sub_revoked_at.filter(|revoked| *revoked > at) {
        let text = format!(
            "the link was revoked at {}, and nobody has fetched the new one: import it into the app",
            revoked.utc_iso()
        );
        let details = Details { since: Some(revoked), app: app.clone(), ..Details::default() };
        found.push(of_user(Code::LinkRevoked, Severity::Error, text, details));
    } else if let Some(edited) = user.edit_at.filter(|edited| *edited > at) {
        let text = format!("the user was edited at {}, after the last fetch: update the app", edited.utc_iso());
        let details = Details { since: Some(edited), app: app.clone(), ..Details::default() };
        found.push(of_user(Code::EditedSinceFetch, Severity::Info, text, details));
    }
    let text = format!("the subscription was last fetched at {}{by}", at.utc_iso());
    let details = Details { since: Some(at), app, core_version, ..Details::default() };
    found.push(of_user(Code::LastFetch, Severity::Info, text, details));
    found
}

#[cfg(test)]
mod tests {
    use super::super::facts::sample::{NOW, codes, nothing_wrong};
    use super::*;
    use crate::domain::moment::HOUR;
    use crate::domain::user::User;

    fn of(user: User) -> Vec<Finding> {
        findings(&Facts { user: &user, ..nothing_wrong() })
    }

    fn ann() -> User {
        nothing_wrong().user.clone()
    }

    #[test]
    fn last_fetch_has_its_app_and_time() {
        let found = of(ann());
        assert_eq!(codes(&found), [Code::LastFetch]);
        let details = &found[0].details;
        assert_eq!((details.since, details.app.as_deref()), (Some(NOW.plus(-HOUR)), Some("sing-box for Android")));
        assert_eq!(details.core_version.as_deref(), Some("1.12.0"));
        let other = of(User { sub_last_user_agent: Some("other/1".to_owned()), ..ann() });
        assert_eq!((other[0].details.app.as_deref(), &other[0].details.core_version), (Some("other/1"), &None));
        assert_eq!(codes(&of(User { sub_updated_at: None, ..ann() })), [Code::NeverFetched]);
    }

    #[test]
    fn link_revoked_after_the_last_fetch_is_an_error() {
        let found = of(User { sub_revoked_at: Some(NOW), edit_at: Some(NOW), ..ann() });
        assert_eq!(codes(&found), [Code::LinkRevoked, Code::LastFetch]);
        assert_eq!((found[0].severity, found[0].details.since), (Severity::Error, Some(NOW)));
        assert_eq!(codes(&of(User { sub_revoked_at: Some(NOW.plus(-2 * HOUR)), ..ann() })), [Code::LastFetch]);
    }

    #[test]
    fn edit_after_the_last_fetch_is_good_to_know() {
        let found = of(User { edit_at: Some(NOW), ..ann() });
        assert_eq!(codes(&found), [Code::EditedSinceFetch, Code::LastFetch]);
        assert_eq!(found[0].severity, Severity::Info);
    }
}
