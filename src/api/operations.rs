//! The scope that each operation of the API needs of an API token, and the right that it needs of an admin. Who lacks it is refused
//! before the handler runs. Operations that have no row here refuse every API token.

use crate::domain::admin::Admin;
use crate::domain::rights::Extent;
use crate::domain::scope::Action::{Read, Reset, Write};
use crate::domain::scope::Resource::{
    Admins, Audit, Cluster, Edge, Events, Hosts, Inbounds, Nodes, Notifications, Profile, Roles, Services, Sessions,
    Settings, Stats, Tokens, Users,
};
use crate::domain::scope::{Action, Resource, Scope};

/// The scope and the right that an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No token at all.
    Public,
    /// Any token.
    SignedIn,
    /// A token with this scope, and an admin with this right at least for its own: the handler checks whose the object is.
    Own(Resource, Action),
    /// A token with this scope, and an admin with this right for everything.
    All(Resource, Action),
    /// As `All`, with the same scope and right for all users, too.
    AllWithUsers(Resource, Action),
    /// Not known: no API token will do.
    Unknown,
}

/// A right that an admin lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The right.
    pub scope: Scope,
    /// The admin has it for its own.
    pub has_own: bool,
}

use Need::{All, AllWithUsers, Own, Public, SignedIn};

/// All operations, by method and path as in the OpenAPI document.
pub const OPERATIONS: &[(&str, Need)] = &[
    ("GET /api/admins", All(Admins, Read)),
    ("POST /api/admins", All(Admins, Write)),
    ("GET /api/admins/current", SignedIn),
    ("POST /api/admins/token", Public),
    ("POST /api/setup", Public),
    ("GET /api/admins/{username}", All(Admins, Read)),
    ("PUT /api/admins/{username}", All(Admins, Write)),
    ("DELETE /api/admins/{username}", All(Admins, Write)),
    ("GET /api/admins/{username}/services", All(Admins, Read)),
    ("GET /api/admins/{username}/users", AllWithUsers(Admins, Read)),
    ("PUT /api/admins/{username}/users/set-owner", AllWithUsers(Admins, Write)),
    ("GET /api/admins/{username}/quota", Own(Users, Read)),
    ("PUT /api/admins/{username}/quota", All(Admins, Write)),
    ("POST /api/admins/{username}/quota/reset", All(Admins, Write)),
    ("POST /api/admins/{username}/disable_users", AllWithUsers(Admins, Write)),
    ("POST /api/admins/{username}/enable_users", AllWithUsers(Admins, Write)),
    ("GET /api/roles", All(Roles, Read)),
    ("POST /api/roles", All(Roles, Write)),
    ("PUT /api/roles/{name}", All(Roles, Write)),
    ("DELETE /api/roles/{name}", All(Roles, Write)),
    ("GET /api/sessions", Own(Sessions, Read)),
    ("DELETE /api/sessions", Own(Sessions, Write)),
    ("DELETE /api/sessions/{id}", Own(Sessions, Write)),
    ("PUT /api/password", Own(Profile, Write)),
    ("GET /api/views", SignedIn),
    ("PUT /api/views", Own(Profile, Write)),
    ("GET /api/second-factor", Own(Sessions, Read)),
    ("DELETE /api/second-factor", All(Admins, Write)),
    ("POST /api/second-factor/totp", Own(Profile, Write)),
    ("PUT /api/second-factor/totp", Own(Profile, Write)),
    ("POST /api/second-factor/totp/remove", Own(Profile, Write)),
    ("POST /api/second-factor/recovery-codes", Own(Profile, Write)),
    ("GET /api/second-factor/passkeys", Own(Sessions, Read)),
    ("POST /api/second-factor/passkeys", Own(Profile, Write)),
    ("POST /api/second-factor/passkey-options", Own(Profile, Write)),
    ("PUT /api/second-factor/passkeys/{id}", Own(Profile, Write)),
    ("POST /api/second-factor/passkeys/{id}/remove", Own(Profile, Write)),
    ("POST /api/passkey-sign-in/options", Public),
    ("POST /api/passkey-sign-in", Public),
    ("POST /api/edge/changes", All(Edge, Read)),
    ("POST /api/edge/report", All(Edge, Write)),
    ("GET /api/edge/shared", All(Edge, Read)),
    ("GET /api/edge/start", All(Edge, Read)),
    ("GET /api/edge/users", All(Edge, Read)),
    ("GET /api/events", All(Events, Read)),
    ("GET /api/audit", All(Audit, Read)),
    ("GET /api/cluster", All(Cluster, Read)),
    ("GET /api/cluster/runs", All(Cluster, Read)),
    ("POST /api/cluster/step-down", All(Cluster, Write)),
    ("POST /api/cluster/tasks/{name}/run", All(Cluster, Write)),
    ("GET /api/nodes", All(Nodes, Read)),
    ("POST /api/nodes", All(Nodes, Write)),
    ("GET /api/nodes/settings", All(Nodes, Read)),
    ("GET /api/nodes/{node_id}", All(Nodes, Read)),
    ("PUT /api/nodes/{node_id}", All(Nodes, Write)),
    ("DELETE /api/nodes/{node_id}", All(Nodes, Write)),
    ("POST /api/nodes/{node_id}/resync", All(Nodes, Write)),
    ("POST /api/nodes/{node_id}/repin", All(Nodes, Write)),
    ("GET /api/nodes/{node_id}/sync", All(Nodes, Read)),
    ("GET /api/nodes/{node_id}/usage", All(Nodes, Read)),
    ("GET /api/nodes/{node_id}/{backend}/config", All(Nodes, Read)),
    ("GET /api/nodes/{node_id}/{backend}/config/last-good", All(Nodes, Read)),
    ("GET /api/nodes/{node_id}/{backend}/stats", All(Nodes, Read)),
    ("POST /api/nodes/{node_id}/{backend}/config/restore", All(Nodes, Write)),
    ("GET /api/nodes/{node_id}/stats", All(Nodes, Read)),
    ("POST /api/nodes/{node_id}/{backend}/restart", All(Nodes, Write)),
    ("PUT /api/nodes/{node_id}/{backend}/config", All(Nodes, Write)),
    ("GET /api/notifications", All(Notifications, Read)),
    ("POST /api/notifications/retry", All(Notifications, Write)),
    ("DELETE /api/notifications/dead", All(Notifications, Write)),
    ("DELETE /api/notifications/{id}", All(Notifications, Write)),
    ("POST /api/notifications/{id}/retry", All(Notifications, Write)),
    ("GET /api/services", Own(Services, Read)),
    ("POST /api/services", All(Services, Write)),
    ("GET /api/services/{id}", Own(Services, Read)),
    ("PUT /api/services/{id}", All(Services, Write)),
    ("DELETE /api/services/{id}", All(Services, Write)),
    ("GET /api/services/{id}/users", AllWithUsers(Services, Read)),
    ("GET /api/services/{id}/inbounds", All(Services, Read)),
    ("GET /api/inbounds", All(Inbounds, Read)),
    ("GET /api/inbounds/{id}", All(Inbounds, Read)),
    ("DELETE /api/inbounds/{id}", All(Inbounds, Write)),
    ("DELETE /api/inbounds/absent", All(Inbounds, Write)),
    ("GET /api/inbounds/hosts", All(Hosts, Read)),
    ("POST /api/inbounds/hosts", All(Hosts, Write)),
    ("PUT /api/inbounds/hosts", All(Hosts, Write)),
    ("POST /api/inbounds/hosts/preview", All(Hosts, Read)),
    ("GET /api/inbounds/hosts/{id}", All(Hosts, Read)),
    ("PUT /api/inbounds/hosts/{id}", All(Hosts, Write)),
    ("DELETE /api/inbounds/hosts/{id}", All(Hosts, Write)),
    ("GET /api/inbounds/{id}/hosts", All(Hosts, Read)),
    ("POST /api/inbounds/{id}/hosts", All(Hosts, Write)),
    ("GET /api/system/settings/subscription", All(Settings, Read)),
    ("PUT /api/system/settings/subscription", All(Settings, Write)),
    ("PATCH /api/system/settings/subscription", All(Settings, Write)),
    ("GET /api/system/settings/subscription/offer", All(Settings, Read)),
    ("POST /api/system/settings/subscription/offer", All(Settings, Write)),
    ("POST /api/system/settings/subscription/test", All(Settings, Read)),
    ("GET /api/system/settings/telegram", All(Settings, Read)),
    ("PUT /api/system/settings/telegram", All(Settings, Write)),
    ("PATCH /api/system/settings/telegram", All(Settings, Write)),
    ("POST /api/system/settings/telegram/test", All(Settings, Write)),
    ("GET /api/system/stats/admins", All(Stats, Read)),
    ("GET /api/system/stats/nodes", All(Stats, Read)),
    ("GET /api/system/stats/backlog", All(Stats, Read)),
    ("GET /api/system/stats/traffic/nodes", All(Stats, Read)),
    ("GET /api/system/stats/traffic", Own(Stats, Read)),
    ("GET /api/system/stats/users", Own(Stats, Read)),
    ("GET /api/users", Own(Users, Read)),
    ("POST /api/users", Own(Users, Write)),
    ("POST /api/users/bulk", Own(Users, Write)),
    ("POST /api/users/reset", All(Users, Reset)),
    ("DELETE /api/users/expired", Own(Users, Write)),
    ("GET /api/users/{username}", Own(Users, Read)),
    ("PUT /api/users/{username}", Own(Users, Write)),
    ("DELETE /api/users/{username}", Own(Users, Write)),
    ("GET /api/users/{username}/services", Own(Users, Read)),
    ("GET /api/users/{username}/usage", Own(Users, Read)),
    ("GET /api/users/{username}/diagnosis", Own(Users, Read)),
    ("GET /api/users/{username}/nodes", Own(Users, Read)),
    ("GET /api/users/{username}/subscription", Own(Users, Read)),
    ("POST /api/users/{username}/reset", Own(Users, Reset)),
    ("POST /api/users/{username}/enable", Own(Users, Write)),
    ("POST /api/users/{username}/disable", Own(Users, Write)),
    ("POST /api/users/{username}/revoke_sub", Own(Users, Write)),
    ("PUT /api/users/{username}/set-owner", All(Users, Write)),
    ("GET /sub/{username}/{key}", Public),
    ("GET /sub/{username}/{key}/info", Public),
    ("GET /sub/{username}/{key}/usage", Public),
    ("GET /sub/{username}/{key}/{client_type}", Public),
    ("GET /", Public),
    ("GET /docs", Public),
    ("GET /docs/{asset}", Public),
    ("GET /redoc", Public),
    ("GET /openapi.json", Public),
    ("GET /health/live", Public),
    ("GET /health/ready", Public),
    ("GET /metrics", Public),
    ("GET /api/tokens", Own(Tokens, Read)),
    ("POST /api/tokens", Own(Tokens, Write)),
    ("DELETE /api/tokens/{id}", Own(Tokens, Write)),
    ("POST /api/tokens/{id}/rotate", Own(Tokens, Write)),
    ("GET /api/nodes/{node_id}/{backend}/logs", All(Nodes, Read)),
];

impl Need {
    /// Returns the need of an operation. Parameters of the path have the form of a route, `:username`.
    pub fn of(method: &str, route: &str) -> Self {
        let parts = route.split('/').map(|part| match part.strip_prefix(':') {
            Some(name) => format!("{{{name}}}"),
            None => part.to_owned(),
        });
        let operation = format!("{method} {}", parts.collect::<Vec<_>>().join("/"));
        Self::of_operation(&operation)
    }

    /// Returns the need of an operation, by method and path as in the OpenAPI document.
    pub fn of_operation(operation: &str) -> Self {
        OPERATIONS.iter().find(|(known, _)| *known == operation).map_or(Self::Unknown, |(_, need)| *need)
    }

    /// True for operations of an admin who has to set up a second factor first: its own factors, password and sessions.
    pub const fn is_for_setting_up(self) -> bool {
        matches!(self, Public | SignedIn | Own(Profile | Sessions, _))
    }

    /// Returns the scope, if the operation needs one.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Own(resource, action) | All(resource, action) | AllWithUsers(resource, action) => {
                Some(Scope(resource, action))
            }
            Public | SignedIn | Self::Unknown => None,
        }
    }

    /// Returns the scopes that a token needs, and the rights that an admin needs.
    pub fn rights(self) -> impl Iterator<Item = (Scope, Extent)> {
        let extent = if matches!(self, Own(..)) { Extent::Own } else { Extent::All };
        let on_users = match self {
            AllWithUsers(_, action) => Some(Scope(Users, action)),
            _ => None,
        };
        [self.scope(), on_users].into_iter().flatten().map(move |scope| (scope, extent))
    }

    /// Returns the first right that an admin lacks for the operation.
    pub fn lacking(self, admin: &Admin) -> Option<Lacking> {
        let rights = admin.rights();
        let (scope, _) = self.rights().find(|(scope, extent)| rights.extent(*scope) < *extent)?;
        Some(Lacking { scope, has_own: rights.extent(scope) == Extent::Own })
    }
}
