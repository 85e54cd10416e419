//! A role: a named set of rights that admins may have.

use super::ids::RoleId;
use super::rights::Rights;
use crate::foundation::is_steering;

/// Roles besides the built-in ones, at most.
pub const MOST: i64 = 100;
/// Characters of a name, at most.
pub const MAX_NAME: usize = 64;

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The row.
    pub id: RoleId,
    /// Unique, case-sensitive.
    pub name: String,
    /// The rights of its admins.
    pub rights: Rights,
    /// Its admins must sign in with a second factor.
    pub requires_second_factor: bool,
}

/// A role whose rights are part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// The role of sudo admins: everything.
    Owner,
    /// The role of other admins without another one: their own users.
    Reseller,
    /// Reads all users and sets their used traffic to zero.
    Support,
    /// Reads everything but settings.
    Observer,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Reseller, Self::Support, Self::Observer];

    /// The role of an admin without a stored one.
    pub const fn by_flag(is_sudo: bool) -> Self {
        if is_sudo { Self::Owner } else { Self::Reseller }
    }

    /// The role that admins have by their flag; none for roles that are stored with the admin.
    pub const fn flag(self) -> Option<bool> {
        match self {
            Self::Owner => Some(true),
            Self::Reseller => Some(false),
            Self::Support | Self::Observer => None,
        }
    }

    /// The id of its row, which a migration has inserted.
    pub const fn id(self) -> RoleId {
        RoleId(self as i64 + 1)
    }

    /// The role of that id.
    pub fn of(id: RoleId) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Reseller => "reseller",
            Self::Support => "support",
            Self::Observer => "observer",
        }
    }

    /// Its rights.
    pub const fn rights(self) -> Rights {
        match self {
            Self::Owner => Rights::EVERYTHING,
            Self::Reseller => Rights::RESELLER,
            Self::Support => Rights::SUPPORT,
            Self::Observer => Rights::OBSERVER,
        }
    }
}

impl Role {
    /// The role of a stored row: rights of a built-in one are part of the program.
    pub fn stored(id: RoleId, name: String, rights: &str, requires_second_factor: bool) -> Self {
        let rights = BuiltIn::of(id).map_or_else(|| Rights::stored(rights), BuiltIn::rights);
        Self { id, name, rights, requires_second_factor }
    }

    /// The built-in role that this is.
    pub fn built_in(&self) -> Option<BuiltIn> {
        BuiltIn::of(self.id)
    }
}

/// Returns why a role can't have this name.
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.trim() != name || name.is_empty() {
        Some("must not be empty, or begin or end with a space")
    } else if name.chars().count() > MAX_NAME {
        Some("must have at most 64 characters")
    } else if name.contains(is_steering) {
        Some("must not contain line breaks, control characters or marks of text direction")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_have_the_ids_of_their_rows() {
        let ids: Vec<(i64, &str)> = BuiltIn::ALL.iter().map(|role| (role.id().0, role.name())).collect();
        assert_eq!(ids, [(1, "owner"), (2, "reseller"), (3, "support"), (4, "observer")]);
        assert_eq!(BuiltIn::of(RoleId(5)), None);
        let stored = Role::stored(RoleId(3), "support".to_owned(), "nodes:write=all", false);
        assert_eq!(stored.rights, Rights::SUPPORT, "a row can't change it");
    }

    #[test]
    fn names_of_roles_are_checked() {
        for name in ["", " ", " a", "a\nb", &"a".repeat(65)] {
            assert!(name_fault(name).is_some(), "{name:?}");
        }
        for name in ["a", "Night shift", "پشتیبانی"] {
            assert_eq!(name_fault(name), None, "{name:?}");
        }
    }
}
