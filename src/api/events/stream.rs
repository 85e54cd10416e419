//! A stream of events for one client. Nothing is queued for it: it reads the list of recent changes when its client takes
//! the next event.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::http::auth::Identity;
use crate::api::http::client::Client;
use crate::api::http::streams::OpenStream;
use crate::api::operations::Need;
use crate::api::state::State;
use crate::cluster::redis_status::RedisStatus;
use crate::cluster::wakeup::WakeupReceiver;
use crate::domain::change::{Change, Changed};
use crate::domain::ids::AdminId;
use crate::domain::rights::{Extent, Rights};
use crate::domain::scope::{Action, Resource, Scope, Scopes};

/// The route, whose right is checked again while a stream goes on.
pub(super) const ROUTE: &str = "/api/events";
/// Time in which changes are gathered into one event.
const GATHER: Duration = Duration::from_millis(200);
/// Longest time without a byte, for proxies that end silent connections.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest time of a stream: less than the server allows a response, and short enough that clients come back to a host that
/// was restarted.
const LONGEST: Duration = Duration::from_secs(540);

/// A client that follows changes, and how far it has come.
pub(super) struct Following {
    state: Arc<State>,
    credentials: Credentials,
    wakeups: WakeupReceiver,
    /// Number of the next change to send.
    number: u64,
    /// The first event to send: the client missed nothing since its last one.
    greeting: Option<Resumed>,
    /// Changes of all hosts arrive, as was sent last.
    all_hosts: bool,
    end: Instant,
    viewer: Viewer,
    _open: OpenStream,
}

/// The token that is checked again while the stream goes on, and the client that presents it.
pub(super) struct Credentials {
    pub(super) token: String,
    pub(super) client: Client,
}

struct Resumed(bool);

/// The admin who follows, with the present rights and the scopes of the API token, if it is one.
#[derive(Clone, Copy, Debug)]
struct Viewer {
    id: AdminId,
    rights: Rights,
    scopes: Option<Scopes>,
}

impl Viewer {
    fn of(identity: &Identity) -> Self {
        let Identity { admin, token, .. } = identity;
        Self { id: admin.id, rights: admin.rights(), scopes: token.as_ref().map(|token| token.scopes) }
    }
}

/// A change as the client sees it.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Shown {
    kind: &'static str,
    id: Option<i64>,
}

impl Following {
    /// `last`: id of the last event that the client received.
    pub(super) fn new(
        state: Arc<State>,
        credentials: Credentials,
        identity: &Identity,
        open: OpenStream,
        last: &str,
    ) -> Self {
        let wakeup = state.panel.changes.wakeup();
        let wakeups = wakeup.subscribe();
        let next = wakeup.next_change();
        let own = last.rsplit_once('-').filter(|(instance, _)| *instance == instance_of(&state));
        let known = own.and_then(|(_, number)| number.parse().ok());
        let known = known.filter(|number| wakeup.changes_since(*number).is_complete);
        let end = Instant::now() + LONGEST;
        let (number, greeting) = (known.unwrap_or(next), Some(Resumed(known.is_some())));
        let viewer = Viewer::of(identity);
        Self { state, credentials, wakeups, number, greeting, all_hosts: false, end, viewer, _open: open }
    }

    /// The events, as they are sent.
    pub(super) fn events(self) -> impl Stream<Item = io::Result<String>> + Send + 'static {
        stream::unfold(self, async |mut following| {
            let text = following.next().await?;
            Some((Ok(text), following))
        })
    }

    /// Waits for the next text to send; `None` ends the stream.
    async fn next(&mut self) -> Option<String> {
        let stopping = self.state.stopping.clone();
        if let Some(Resumed(resumed)) = self.greeting.take() {
            let changed = self.changed();
            return Some(self.ready(resumed) + &changed);
        }
        let due = Instant::now() + KEEP_ALIVE;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = sleep_until(self.end) => return None,
                () = self.wakeups.wait() => sleep(GATHER).await,
                () = sleep_until(due) => {}
            }
            let Credentials { token, client } = &self.credentials;
            match self.state.identity_that_may(token, client, Need::of("GET", ROUTE)).await {
                Ok(Some(identity)) if identity.admin.id == self.viewer.id => self.viewer = Viewer::of(&identity),
                Ok(_) => return None,
                // Without the database nothing is sent that the admin may not see any more; it is sent later.
                Err(_) if Instant::now() < due => continue,
                Err(_) => return Some(comment()),
            }
            let mut text = String::new();
            if self.all_hosts != self.hears_all_hosts() {
                text += &self.ready(true);
            }
            text += &self.changed();
            // What concerns others is not to be noticed, either.
            if !text.is_empty() {
                return Some(text);
            }
            if Instant::now() >= due {
                return Some(comment());
            }
        }
    }

    fn ready(&mut self, resumed: bool) -> String {
        self.all_hosts = self.hears_all_hosts();
        self.event("ready", &json!({"resumed": resumed, "all_hosts": self.all_hosts}))
    }

    /// The changes since the last event; empty if there are none that the client may see.
    fn changed(&mut self) -> String {
        let since = self.state.panel.changes.wakeup().changes_since(self.number);
        self.number = since.next;
        let changes = if since.is_complete { since.changes } else { Changed::ALL.map(Changed::any).to_vec() };
        match shown(self.viewer, &changes).as_slice() {
            [] => String::new(),
            shown => self.event("changed", &json!(shown)),
        }
    }

    fn event(&self, name: &str, data: &serde_json::Value) -> String {
        format!("id: {}-{}\nevent: {name}\ndata: {data}\n\n", instance_of(&self.state), self.number)
    }

    /// True while the wake-ups of all other processes, and of commands, arrive here.
    fn hears_all_hosts(&self) -> bool {
        *self.state.cluster.redis.borrow() == RedisStatus::Ok
    }
}

fn instance_of(state: &State) -> String {
    state.cluster.identity.instance.simple().to_string()
}

/// A line that clients ignore.
fn comment() -> String {
    ":\n\n".to_owned()
}

/// The changes that an admin may see.
fn shown(viewer: Viewer, changes: &[Change]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = changes.iter().filter_map(|change| of_viewer(viewer, change)).collect();
    // A change of any row says more than one of a row.
    let any: Vec<&str> = shown.iter().filter(|change| change.id.is_none()).map(|change| change.kind).collect();
    shown.retain(|change| change.id.is_none() || !any.contains(&change.kind));
    let mut seen = HashSet::new();
    shown.retain(|change| seen.insert((change.kind, change.id)));
    shown
}

fn of_viewer(viewer: Viewer, change: &Change) -> Option<Shown> {
    let kind = change.kind.name();
    let read = Scope(resource_of(change.kind), Action::Read);
    if viewer.scopes.is_some_and(|scopes| !scopes.allow(read)) {
        return None;
    }
    if viewer.rights.extent(read) == Extent::All {
        return Some(Shown { kind, id: change.id });
    }
    match change.kind {
        Changed::Users if change.owner.is_none_or(|owner| owner == viewer.id) => {
            // The id of somebody else's user is not for this admin.
            Some(Shown { kind, id: change.id.filter(|_| change.owner.is_some()) })
        }
        Changed::Admins if change.id.is_none_or(|id| id == viewer.id.0) => Some(Shown { kind, id: change.id }),
        Changed::Sessions | Changed::ApiTokens if change.owner == Some(viewer.id) => Some(Shown { kind, id: None }),
        Changed::Services | Changed::Usage => Some(Shown { kind, id: None }),
        _ => None,
    }
}

/// The resource to which a kind of change belongs.
const fn resource_of(kind: Changed) -> Resource {
    match kind {
        Changed::Users | Changed::Usage => Resource::Users,
        Changed::Admins => Resource::Admins,
        Changed::Services => Resource::Services,
        Changed::Hosts => Resource::Hosts,
        Changed::Nodes | Changed::NodeStatus => Resource::Nodes,
        Changed::SubscriptionSettings | Changed::TelegramSettings => Resource::Settings,
        Changed::Notifications => Resource::Notifications,
        Changed::LeaderRequests => Resource::Cluster,
        Changed::Sessions => Resource::Sessions,
        Changed::ApiTokens => Resource::Tokens,
        Changed::Roles => Resource::Roles,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::role::BuiltIn;

    fn admin(id: i64, is_sudo: bool) -> Viewer {
        Viewer { id: AdminId(id), rights: BuiltIn::by_flag(is_sudo).rights(), scopes: None }
    }

    fn texts(viewer: Viewer, changes: &[Change]) -> Vec<String> {
        let show = |shown: Shown| shown.id.map_or(shown.kind.to_owned(), |id| format!("{} {id}", shown.kind));
        shown(viewer, changes).into_iter().map(show).collect()
    }

    #[test]
    fn admins_without_sudo_see_changes_of_their_own_users_only() {
        let changes = [
            Changed::Users.row(1).of(Some(AdminId(7))),
            Changed::Users.row(2).of(Some(AdminId(8))),
            Changed::Admins.row(8),
            Changed::Nodes.row(3),
            Changed::Services.row(4),
            Changed::Notifications.any(),
        ];
        assert_eq!(texts(admin(7, false), &changes), ["users 1", "services"]);
        assert_eq!(
            texts(admin(9, true), &changes),
            ["users 1", "users 2", "admins 8", "nodes 3", "services 4", "notifications"]
        );
        let of_anybody = [Changed::Users.row(5)];
        assert_eq!(texts(admin(7, false), &of_anybody), ["users"], "without the id: it may be another admin's");
    }

    #[test]
    fn role_decides_which_changes_are_seen() {
        let viewer = Viewer { rights: Rights::stored("nodes:read=all users:read=own"), ..admin(7, false) };
        let changes = [
            Changed::Users.row(2).of(Some(AdminId(8))),
            Changed::Nodes.row(3),
            Changed::NodeStatus.any(),
            Changed::Hosts.row(4),
            Changed::TelegramSettings.any(),
        ];
        assert_eq!(texts(viewer, &changes), ["nodes 3", "node_status"]);
    }

    #[test]
    fn change_of_any_row_stands_for_the_rows() {
        let changes = [Changed::Users.row(1), Changed::Users.any(), Changed::Hosts.row(2)];
        assert_eq!(texts(admin(9, true), &changes), ["users", "hosts 2"]);
    }
}
