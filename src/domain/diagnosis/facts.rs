//! The facts that a diagnosis is derived from.

use super::finding::{ObjectKind, ObjectRef};
use crate::domain::client_rule::RuleResult;
use crate::domain::moment::Moment;
use crate::domain::node::NodeStatus;
use crate::domain::user::User;

/// Everything that is known about a user's way from the app to the nodes.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The user, with its last fetch.
    pub user: &'a User,
    /// Id and name of the owner, if it is disabled.
    pub disabled_owner: Option<(i64, String)>,
    /// The quota that has disabled the user.
    pub used_up_quota: Option<UsedUpQuota>,
    /// The user's services.
    pub services: Vec<ServiceFacts>,
    /// Inbounds of the services that their nodes do not report any more.
    pub absent_inbounds: Vec<AbsentInbound>,
    /// Nodes with an inbound of the user.
    pub nodes: Vec<NodeFacts>,
    /// When the user was changed, if connected nodes have not all confirmed the change.
    pub waiting_since: Option<Moment>,
    /// The app to diagnose.
    pub app: AppFacts,
    /// The user's hosts, as the app gets them.
    pub hosts: Vec<HostFacts>,
    /// Ids and remarks of disabled hosts of the services.
    pub disabled_hosts: Vec<(i64, String)>,
}

/// A quota whose traffic is used up, so that the users of its admin are disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedUpQuota {
    /// Id of the admin.
    pub admin: i64,
    /// Name of the admin.
    pub name: String,
    /// Traffic that is used, in bytes.
    pub used: i64,
    /// Traffic that is allowed, in bytes.
    pub limit: i64,
}

/// A service of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// The row.
    pub id: i64,
    /// The name.
    pub name: String,
    /// True if a node offers an inbound of the service.
    pub has_inbounds: bool,
    /// True if the service has hosts that belong to no inbound.
    pub has_hosts: bool,
}

/// An inbound that its node does not report any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentInbound {
    /// The row.
    pub id: i64,
    /// The tag.
    pub tag: String,
    /// Name of the node.
    pub node: String,
    /// When the node first left it out.
    pub since: Moment,
}

/// A node with an inbound of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// The row.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The status.
    pub status: NodeStatus,
    /// The reason for the status, if the reader may see it.
    pub message: Option<String>,
    /// When the status last changed.
    pub status_since: Option<Moment>,
    /// When the node last confirmed its full list of users; `None`: never.
    pub synced_at: Option<Moment>,
    /// True if the node got its full list of users from the present leader.
    pub connected: bool,
    /// Engines that do not run.
    pub stopped_engines: Vec<String>,
    /// True if an engine runs, as far as is known.
    pub has_running_engine: bool,
}

/// The app that fetches the subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppFacts {
    /// The User-Agent; empty: not known.
    pub user_agent: String,
    /// Name of the program, if it is a known one.
    pub program: Option<&'static str>,
    /// Version of its core, if the app tells it.
    pub core_version: Option<String>,
    /// The result of the client rules for the app; `None`: no rule matches.
    pub result: Option<RuleResult>,
}

/// A host of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The row.
    pub id: i64,
    /// The name.
    pub remark: String,
    /// The node of its inbound.
    pub node: Option<i64>,
    /// Why the app does not get the host; `None`: it does.
    pub left_out: Option<&'static str>,
}

impl Facts<'_> {
    /// The user as the object of a finding.
    pub(super) fn user_object(&self) -> ObjectRef {
        let name = self.user.username.clone().unwrap_or_default();
        ObjectRef { kind: ObjectKind::User, id: self.user.id.0, name }
    }

    /// True if the app gets a host that leads to a node that works, or to none that the panel knows.
    pub(super) fn has_way(&self) -> bool {
        let works = |id: i64| self.nodes.iter().find(|node| node.id == id).is_none_or(NodeFacts::works);
        self.hosts.iter().any(|host| host.left_out.is_none() && host.node.is_none_or(works))
    }
}

impl NodeFacts {
    /// True if the node serves its users, as far as is known.
    pub(super) fn works(&self) -> bool {
        self.status == NodeStatus::Healthy && self.has_running_engine
    }

    /// The node as the object of a finding.
    pub(super) fn object(&self) -> ObjectRef {
        ObjectRef { kind: ObjectKind::Node, id: self.id, name: self.name.clone() }
    }
}

impl AppFacts {
    /// The name that people know: of the program, else the User-Agent.
    pub(super) fn name(&self) -> Option<String> {
        let agent = Some(self.user_agent.as_str()).filter(|agent| !agent.is_empty());
        self.program.or(agent).map(str::to_owned)
    }
}

/// Facts for the tests of the rules.
#[cfg(test)]
pub(super) mod sample {
    use std::sync::LazyLock;

    use super::*;
    use crate::domain::diagnosis::{Code, Finding};
    use crate::domain::moment::HOUR;
    use crate::domain::user;

    pub const NOW: Moment = Moment::from_micros(1_795_466_185_000_000);

    static USER: LazyLock<User> = LazyLock::new(|| User {
        username: Some("ann".to_owned()),
        sub_updated_at: Some(NOW.plus(-HOUR)),
        sub_last_user_agent: Some("SFA/1.12.0".to_owned()),
        ..user::sample(NOW.plus(-2 * HOUR))
    });

    /// A user with one service, node and host, and an app that fetched the subscription an hour ago.
    pub fn nothing_wrong() -> Facts<'static> {
        Facts {
            user: &USER,
            disabled_owner: None,
            used_up_quota: None,
            services: vec![ServiceFacts { id: 1, name: "basic".to_owned(), has_inbounds: true, has_hosts: false }],
            absent_inbounds: Vec::new(),
            nodes: vec![node(1)],
            waiting_since: None,
            app: AppFacts {
                user_agent: "SFA/1.12.0".to_owned(),
                program: Some("sing-box for Android"),
                core_version: Some("1.12.0".to_owned()),
                result: Some(RuleResult::SingBox),
            },
            hosts: vec![host(1, None)],
            disabled_hosts: Vec::new(),
        }
    }

    pub fn node(id: i64) -> NodeFacts {
        NodeFacts {
            id,
            name: format!("node {id}"),
            status: NodeStatus::Healthy,
            message: None,
            status_since: Some(NOW.plus(-HOUR)),
            synced_at: Some(NOW.plus(-HOUR)),
            connected: true,
            stopped_engines: Vec::new(),
            has_running_engine: true,
        }
    }

    /// A host of node 1.
    pub fn host(id: i64, left_out: Option<&'static str>) -> HostFacts {
        HostFacts { id, remark: format!("host {id}"), node: Some(1), left_out }
    }

    pub fn codes(findings: &[Finding]) -> Vec<Code> {
        findings.iter().map(|finding| finding.code).collect()
    }
}
