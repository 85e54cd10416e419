//! Rights of roles: for each scope, how far it reaches.

use std::fmt;

use super::scope::Action::{Read, Reset, Write};
use super::scope::Resource::{
    Admins, Audit, Cluster, Edge, Events, Hosts, Inbounds, Nodes, Notifications, Profile, Roles, Services, Sessions,
    Settings, Stats, Tokens, Users,
};
use super::scope::Scope;

/// How far a right reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Nothing.
    None,
    /// The things that belong to the admin.
    Own,
    /// Everything.
    All,
}

use Extent::{All, Own};

/// The rights of a role: two sets of scopes, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// For what belongs to the admin, at least.
    own: u64,
    /// For everything.
    all: u64,
}

/// The error of a right that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongRight {
    /// No operation needs such a scope.
    #[error("{0:?} is no right; `users:read` is one")]
    Unknown(String),
    /// The word is no extent.
    #[error("{0:?} must be none, own or all")]
    NoExtent(String),
    /// The scope has no such extent.
    #[error("{0} can't be {1}: it can be {2}")]
    Extent(Scope, Extent, String),
}

impl Extent {
    /// All extents.
    pub const EVERY: [Self; 3] = [Self::None, Own, All];

    /// Name of the extent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Own => "own",
            All => "all",
        }
    }

    /// Reads the name of an extent.
    pub fn read(text: &str) -> Result<Self, WrongRight> {
        let mut every = Self::EVERY.into_iter();
        every.find(|extent| extent.name() == text).ok_or_else(|| WrongRight::NoExtent(text.to_owned()))
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Scope {
    /// The extents that the right can have besides none; empty where no operation needs the scope. Of resources without an owner
    /// nothing is one's own. Events show what the admin may read anyway.
    pub const fn extents(self) -> &'static [Extent] {
        match (self.0, self.1) {
            (Users, _) | (Sessions | Tokens, Read | Write) | (Services | Stats, Read) => &[Own, All],
            (Profile, Write) => &[Own],
            (Inbounds | Hosts | Nodes | Admins | Roles | Settings | Notifications | Cluster | Edge, Read | Write)
            | (Services, Write)
            | (Audit | Events, Read) => &[All],
            _ => &[],
        }
    }

    /// The scopes of which roles have rights.
    pub fn of_roles() -> impl Iterator<Item = Self> {
        Self::all().filter(|scope| !scope.extents().is_empty())
    }
}

impl Rights {
    /// The rights of a sudo admin, those of resources that come later included.
    pub const EVERYTHING: Self = Self { own: u64::MAX, all: u64::MAX };

    /// The rights of an admin who has its own users.
    pub const RESELLER: Self = Self::of(&[
        (Scope(Users, Read), Own),
        (Scope(Users, Write), Own),
        (Scope(Users, Reset), Own),
        (Scope(Services, Read), Own),
        (Scope(Stats, Read), Own),
    ])
    .and(Self::ONESELF);

    /// The rights of one who helps users, and may set their used traffic to zero.
    pub const SUPPORT: Self = Self::of(&[
        (Scope(Users, Read), All),
        (Scope(Users, Reset), All),
        (Scope(Services, Read), All),
        (Scope(Stats, Read), All),
    ])
    .and(Self::ONESELF);

    /// The rights of one who looks at everything but settings, which have the token of the Telegram bot, and others' sessions and API
    /// tokens.
    pub const OBSERVER: Self = Self::of(&[
        (Scope(Users, Read), All),
        (Scope(Services, Read), All),
        (Scope(Inbounds, Read), All),
        (Scope(Hosts, Read), All),
        (Scope(Nodes, Read), All),
        (Scope(Admins, Read), All),
        (Scope(Roles, Read), All),
        (Scope(Notifications, Read), All),
        (Scope(Cluster, Read), All),
        (Scope(Stats, Read), All),
        (Scope(Audit, Read), All),
    ])
    .and(Self::ONESELF);

    /// An admin's rights on its own password, sessions and API tokens.
    pub const ONESELF: Self = Self::of(&[
        (Scope(Events, Read), All),
        (Scope(Sessions, Read), Own),
        (Scope(Sessions, Write), Own),
        (Scope(Tokens, Read), Own),
        (Scope(Tokens, Write), Own),
        (Scope(Profile, Write), Own),
    ]);

    const fn of(rights: &[(Scope, Extent)]) -> Self {
        let (mut own, mut all, mut index) = (0, 0, 0);
        while index < rights.len() {
            let (scope, extent) = rights[index];
            own |= scope.bit();
            if matches!(extent, All) {
                all |= scope.bit();
            }
            index += 1;
        }
        Self { own, all }
    }

    const fn and(self, others: Self) -> Self {
        Self { own: self.own | others.own, all: self.all | others.all }
    }

    /// Returns how far a right reaches.
    pub const fn extent(self, scope: Scope) -> Extent {
        let bits = match scope.wider() {
            Some(wider) => scope.bit() | wider.bit(),
            None => scope.bit(),
        };
        if self.all & bits != 0 {
            All
        } else if self.own & bits != 0 {
            Own
        } else {
            Extent::None
        }
    }

    /// With another extent of a right.
    pub fn with(self, scope: Scope, extent: Extent) -> Result<Self, WrongRight> {
        let extents = scope.extents();
        if extents.is_empty() {
            return Err(WrongRight::Unknown(scope.to_string()));
        }
        if extent != Extent::None && !extents.contains(&extent) {
            let possible: Vec<&str> = [Extent::None].iter().chain(extents).map(|extent| extent.name()).collect();
            return Err(WrongRight::Extent(scope, extent, possible.join(" or ")));
        }
        let without = Self { own: self.own & !scope.bit(), all: self.all & !scope.bit() };
        Ok(match extent {
            Extent::None => without,
            extent => without.and(Self::of(&[(scope, extent)])),
        })
    }

    /// Reads a right and its extent: `users:read=all`.
    pub fn read_one(text: &str) -> Result<(Scope, Extent), WrongRight> {
        let unknown = || WrongRight::Unknown(text.to_owned());
        let (scope, extent) = text.split_once('=').ok_or_else(unknown)?;
        let (scope, extent) = (Scope::read(scope).map_err(|_| unknown())?, Extent::read(extent)?);
        Self::default().with(scope, extent)?;
        Ok((scope, extent))
    }

    /// Reads stored rights. Those of a newer version are left out.
    pub fn stored(text: &str) -> Self {
        let rights = text.split_whitespace().filter_map(|text| Self::read_one(text).ok());
        rights.fold(Self::default(), |rights, (scope, extent)| rights.with(scope, extent).unwrap_or(rights))
    }

    /// Returns the rights, as they are stored. One that another includes is left out.
    pub fn texts(self) -> Vec<String> {
        let reaches_further = |scope: Scope| {
            let included = scope.wider().map_or(Extent::None, |wider| self.extent(wider));
            self.extent(scope) > included
        };
        let all = Scope::of_roles().filter(|scope| reaches_further(*scope));
        all.map(|scope| format!("{scope}={}", self.extent(scope))).collect()
    }

    /// Returns the first of these rights that reaches further than in `others`.
    pub fn beyond(self, others: Self) -> Option<Scope> {
        Scope::of_roles().find(|scope| self.extent(*scope) > others.extent(*scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_and_written() {
        for (given, written) in [
            ("", vec![]),
            ("users:read=all users:write=none", vec!["users:read=all"]),
            ("users:read=all users:read=own", vec!["users:read=own"]),
            ("users:write=own", vec!["users:write=own"]),
            ("users:write=own users:reset=all", vec!["users:write=own", "users:reset=all"]),
            ("plans:read=all nodes:read=own nodes:read=all x", vec!["nodes:read=all"]),
        ] {
            let rights = Rights::stored(given);
            assert_eq!(rights.texts(), written, "{given}");
            assert_eq!(Rights::stored(&rights.texts().join(" ")).texts(), written, "{given}");
        }
        for (wrong, error) in [
            ("plans:read=all", "\"plans:read=all\" is no right; `users:read` is one"),
            ("audit:write=all", "\"audit:write\" is no right; `users:read` is one"),
            ("users:read", "\"users:read\" is no right; `users:read` is one"),
            ("users:read=some", "\"some\" must be none, own or all"),
            ("nodes:read=own", "nodes:read can't be own: it can be none or all"),
            ("profile:write=all", "profile:write can't be all: it can be none or own"),
        ] {
            assert_eq!(Rights::read_one(wrong).expect_err(wrong).to_string(), error);
        }
    }

    #[test]
    fn right_reaches_as_far_as_it_says() {
        let rights = Rights::stored("users:read=all users:reset=own nodes:read=all");
        assert_eq!(rights.extent(Scope(Users, Read)), All);
        assert_eq!(rights.extent(Scope(Users, Reset)), Own);
        assert_eq!(rights.extent(Scope(Users, Write)), Extent::None);
        assert_eq!(Rights::stored("users:write=all users:reset=own").extent(Scope(Users, Reset)), All);
        assert!(Scope::of_roles().all(|scope| Rights::EVERYTHING.extent(scope) == All));
    }

    #[test]
    fn rights_beyond_others_are_found() {
        let beyond = |one: &str, other: &str| Rights::stored(one).beyond(Rights::stored(other)).map(|s| s.to_string());
        assert_eq!(beyond("users:read=own", "users:read=all"), None);
        assert_eq!(beyond("users:read=all", "users:read=own").as_deref(), Some("users:read"));
        assert_eq!(beyond("users:reset=all", "users:write=all"), None);
        assert_eq!(beyond("users:write=own", "users:reset=all").as_deref(), Some("users:write"));
        for rights in [Rights::RESELLER, Rights::SUPPORT, Rights::OBSERVER] {
            assert_eq!(rights.beyond(Rights::EVERYTHING), None);
            assert!(Rights::EVERYTHING.beyond(rights).is_some());
        }
    }

    #[test]
    fn built_in_rights_exist() {
        for rights in [Rights::RESELLER, Rights::SUPPORT, Rights::OBSERVER] {
            assert_eq!(Rights::stored(&rights.texts().join(" ")).texts(), rights.texts());
        }
    }
}
