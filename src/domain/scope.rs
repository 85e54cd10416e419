//! Scopes of API tokens: which actions on which resources of the API a token may be used for.

use std::fmt;

/// A resource of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Users, with their keys and links.
    Users,
    /// Services.
    Services,
    /// Inbounds.
    Inbounds,
    /// Hosts.
    Hosts,
    /// Nodes and their engines.
    Nodes,
    /// Admins.
    Admins,
    /// Settings of subscriptions and of Telegram.
    Settings,
    /// Notifications.
    Notifications,
    /// Members, tasks and the leader.
    Cluster,
    /// Numbers of users and nodes, and traffic.
    Stats,
    /// The stream of change events.
    Events,
    /// Sessions.
    Sessions,
    /// API tokens.
    Tokens,
    /// The admin's own password and saved views.
    Profile,
    /// The audit log.
    Audit,
    /// Roles of admins.
    Roles,
    /// Everything that edges follow, with the keys of all users; what edges report.
    Edge,
}

/// A kind of operation on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is only looked at.
    Read,
    /// It may be changed.
    Write,
    /// The used traffic may be set to zero. Who may write may do this, too.
    Reset,
}

/// An action on a resource: `users:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope(pub Resource, pub Action);

/// The scopes of a token, a bit each. `*` and `*:read` are bits of their own: they cover resources that come later, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u64);

/// The text names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScope;

impl Resource {
    /// All resources.
    pub const ALL: [Self; 17] = [
        Self::Users,
        Self::Services,
        Self::Inbounds,
        Self::Hosts,
        Self::Nodes,
        Self::Admins,
        Self::Settings,
        Self::Notifications,
        Self::Cluster,
        Self::Stats,
        Self::Events,
        Self::Sessions,
        Self::Tokens,
        Self::Profile,
        Self::Audit,
        Self::Roles,
        Self::Edge,
    ];

    /// Name of the resource in scopes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Services => "services",
            Self::Inbounds => "inbounds",
            Self::Hosts => "hosts",
            Self::Nodes => "nodes",
            Self::Admins => "admins",
            Self::Settings => "settings",
            Self::Notifications => "notifications",
            Self::Cluster => "cluster",
            Self::Stats => "stats",
            Self::Events => "events",
            Self::Sessions => "sessions",
            Self::Tokens => "tokens",
            Self::Profile => "profile",
            Self::Audit => "audit",
            Self::Roles => "roles",
            Self::Edge => "edge",
        }
    }
}

impl Action {
    /// The actions that every resource may have; `*` stands for them.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// Name of the action in scopes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Reset => "reset",
        }
    }

    /// The bit of the action on every resource.
    const fn everywhere(self) -> u64 {
        1 << (61 + self as u64)
    }
}

impl Scope {
    /// Resets of users, without other changes: the one action besides read and write.
    pub const USERS_RESET: Self = Self(Resource::Users, Action::Reset);

    /// All scopes.
    pub fn all() -> impl Iterator<Item = Self> {
        let usual = Resource::ALL.into_iter().flat_map(|resource| Action::ALL.map(|action| Self(resource, action)));
        usual.chain([Self::USERS_RESET])
    }

    /// Reads a scope: `users:read`.
    pub fn read(text: &str) -> Result<Self, UnknownScope> {
        let mut all = Self::all();
        let (resource, action) = text.split_once(':').ok_or(UnknownScope)?;
        all.find(|scope| scope.0.name() == resource && scope.1.name() == action).ok_or(UnknownScope)
    }

    /// The scope that allows this one, too.
    pub(super) const fn wider(self) -> Option<Self> {
        match self.1 {
            Action::Reset => Some(Self(self.0, Action::Write)),
            Action::Read | Action::Write => None,
        }
    }

    /// The bit of the scope in sets.
    pub(super) const fn bit(self) -> u64 {
        1 << (3 * self.0 as u64 + self.1 as u64)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.name(), self.1.name())
    }
}

impl Scopes {
    /// The texts of scopes, for people.
    pub fn known() -> String {
        let names: Vec<&str> = Resource::ALL.into_iter().map(Resource::name).collect();
        format!("*, *:read, *:write, users:reset, or read, write or * of: {}", names.join(", "))
    }

    /// Adds the scopes of a text: `users:read`, `users:*`, `*:read` or `*`.
    pub fn with(self, text: &str) -> Result<Self, UnknownScope> {
        if let Ok(scope) = Scope::read(text) {
            return Ok(Self(self.0 | scope.bit()));
        }
        let (resource, action) = if text == "*" { ("*", "*") } else { text.split_once(':').ok_or(UnknownScope)? };
        let mut actions: Vec<Action> = Action::ALL.to_vec();
        actions.retain(|known| action == "*" || known.name() == action);
        if actions.is_empty() {
            return Err(UnknownScope);
        }
        let resource = match resource {
            "*" => None,
            name => Some(Resource::ALL.into_iter().find(|known| known.name() == name).ok_or(UnknownScope)?),
        };
        let bits = actions.into_iter().map(|action| match resource {
            Some(resource) => Scope(resource, action).bit(),
            None => action.everywhere(),
        });
        Ok(Self(bits.fold(self.0, |all, bit| all | bit)))
    }

    /// Reads stored scopes. Those of a newer version are left out.
    pub fn stored(text: &str) -> Self {
        text.split(' ').fold(Self::default(), |scopes, scope| scopes.with(scope).unwrap_or(scopes))
    }

    /// Returns true if the scopes allow this.
    pub const fn allow(self, scope: Scope) -> bool {
        let wider = match scope.wider() {
            Some(wider) => wider.bit() | wider.1.everywhere(),
            None => 0,
        };
        self.0 & (scope.bit() | scope.1.everywhere() | wider) != 0
    }

    /// Returns true if there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the first of these scopes, as text, that `others` do not allow.
    pub fn beyond(self, others: Self) -> Option<String> {
        let everywhere = Action::ALL.into_iter().find(|action| {
            let bit = action.everywhere();
            self.0 & bit != 0 && others.0 & bit == 0
        });
        everywhere
            .map(|action| format!("*:{}", action.name()))
            .or_else(|| self.single().find(|scope| !others.allow(*scope)).map(|scope| scope.to_string()))
    }

    /// Returns the texts of the scopes; as few as possible.
    pub fn texts(self) -> Vec<String> {
        let everywhere: Vec<Action> =
            Action::ALL.into_iter().filter(|action| self.0 & action.everywhere() != 0).collect();
        if everywhere.len() == Action::ALL.len() {
            return vec!["*".to_owned()];
        }
        let mut texts: Vec<String> = everywhere.iter().map(|action| format!("*:{}", action.name())).collect();
        let others = self.single().filter(|scope| !everywhere.contains(&scope.1));
        texts.extend(others.filter(|scope| !self.has_wider(*scope)).map(|scope| scope.to_string()));
        texts
    }

    /// The scopes of single resources.
    fn single(self) -> impl Iterator<Item = Scope> {
        Scope::all().filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// True if another of these scopes allows this one, too.
    fn has_wider(self, scope: Scope) -> bool {
        scope.wider().is_some_and(|wider| self.allow(wider))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(texts: &[&str]) -> Scopes {
        texts.iter().fold(Scopes::default(), |scopes, text| scopes.with(text).expect(text))
    }

    #[test]
    fn scopes_are_read_and_written() {
        for (given, written) in [
            (&["users:read"][..], &["users:read"][..]),
            (&["users:*", "nodes:read"], &["users:read", "users:write", "nodes:read"]),
            (&["*"], &["*"]),
            (&["*:read", "*:write"], &["*"]),
            (&["*:read", "users:*"], &["*:read", "users:write"]),
            (&["users:reset", "users:read"], &["users:read", "users:reset"]),
            (&["users:reset", "users:write"], &["users:write"]),
            (&["users:reset", "*:write"], &["*:write"]),
            (&[], &[]),
        ] {
            let scopes = scopes(given);
            assert_eq!(scopes.texts(), written, "{given:?}");
            assert_eq!(Scopes::stored(&scopes.texts().join(" ")).texts(), written, "{given:?}");
        }
        for unknown in [
            "",
            "users",
            "users:",
            "users:delete",
            "plans:read",
            ":read",
            "*:",
            "**",
            "* ",
            "read",
            "Users:read",
            "nodes:reset",
        ] {
            assert_eq!(Scopes::default().with(unknown), Err(UnknownScope), "{unknown}");
        }
        assert_eq!(Scopes::stored("plans:read users:write x"), scopes(&["users:write"]), "of a newer version");
    }

    #[test]
    fn scope_allows_itself_and_a_star_all() {
        let read = Scope(Resource::Users, Action::Read);
        for allowing in [&["users:read"][..], &["users:*"], &["*"], &["*:read"]] {
            assert!(scopes(allowing).allow(read), "{allowing:?}");
        }
        for other in [&[][..], &["users:write"], &["*:write"], &["nodes:*"]] {
            assert!(!scopes(other).allow(read), "{other:?}");
        }
    }

    #[test]
    fn who_may_write_users_may_reset_them() {
        for allowing in [&["users:reset"][..], &["users:write"], &["*:write"], &["*"]] {
            assert!(scopes(allowing).allow(Scope::USERS_RESET), "{allowing:?}");
        }
        for other in [&[][..], &["users:read"], &["*:read"], &["nodes:write"]] {
            assert!(!scopes(other).allow(Scope::USERS_RESET), "{other:?}");
        }
        assert!(!scopes(&["users:reset"]).allow(Scope(Resource::Users, Action::Write)));
    }

    #[test]
    fn more_scopes_than_others_are_named() {
        let beyond = |one: &[&str], others: &[&str]| scopes(one).beyond(scopes(others));
        assert_eq!(beyond(&["users:read"], &["users:*"]), None);
        assert_eq!(beyond(&["users:*"], &["users:read"]).as_deref(), Some("users:write"));
        assert_eq!(beyond(&["*:read", "users:write"], &["*"]), None);
        assert_eq!(beyond(&["users:reset"], &["users:write"]), None);
        assert_eq!(beyond(&["*:read"], &["*:write", "users:read"]).as_deref(), Some("*:read"));
    }
}
