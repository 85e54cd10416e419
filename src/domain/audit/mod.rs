//! The audit log: who changed what, when and from where.

pub mod chain;
mod difference;
mod snapshot;

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use self::difference::{difference, masked};
use super::ids::AdminId;

pub use self::snapshot::Snapshot;

/// The author of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An admin who signed in.
    Admin {
        /// The admin's row.
        id: AdminId,
        /// The admin's name at that time.
        name: String,
    },
    /// An API token, which acts for an admin.
    Token {
        /// The token.
        token: Uuid,
        /// The admin's row.
        admin: AdminId,
        /// The admin's name at that time.
        name: String,
    },
    /// The operator, at the command line.
    Command,
    /// A scheduled task.
    Task {
        /// Name of the task.
        name: &'static str,
        /// Epoch of the leader that ran it.
        epoch: i64,
    },
    /// A process of the panel by itself, for example at its start.
    Panel,
}

/// The author of changes, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The author.
    pub actor: Actor,
    /// Address of the client.
    pub address: Option<String>,
    /// Id of the request, as in the log.
    pub request_id: Option<String>,
}

/// One change, as its author made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `OBJECT.VERB`, such as `user.create`.
    pub action: &'static str,
    /// Id of the object; `None` if there are many or none.
    pub object_id: Option<i64>,
    /// Name of the object at that time; for changes of many, the filter that chose them.
    pub object_name: Option<String>,
    /// Fields before the change, without secrets: all of a deleted object, otherwise those that changed.
    pub before: Option<Value>,
    /// Fields after the change, without secrets: all of a new object, otherwise those that changed.
    pub after: Option<Value>,
    /// Number of objects that changed.
    pub count: i64,
}

/// Kind of the authors that are API tokens.
pub const TOKEN_KIND: &str = "token";

/// Ids that an entry names; a change of more objects names the first ones.
const NAMED_IDS: usize = 1_000;

/// The ids of a change of many objects.
pub fn first_ids(ids: &[i64]) -> Value {
    serde_json::json!({"ids": &ids[..ids.len().min(NAMED_IDS)]})
}

impl Actor {
    /// The kind in the database: `token:ID` for an API token, so that its id needs no column that earlier versions leave out of
    /// digests.
    pub fn kind(&self) -> Cow<'static, str> {
        match self {
            Self::Admin { .. } => "admin".into(),
            Self::Token { token, .. } => format!("{TOKEN_KIND}:{token}").into(),
            Self::Command => "command".into(),
            Self::Task { .. } => "task".into(),
            Self::Panel => "panel".into(),
        }
    }

    /// Id of the admin.
    pub const fn id(&self) -> Option<i64> {
        match self {
            Self::Admin { id, .. } | Self::Token { admin: id, .. } => Some(id.0),
            _ => None,
        }
    }

    /// Name of the admin or the task.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Admin { name, .. } | Self::Token { name, .. } => Some(name),
            Self::Task { name, .. } => Some(name),
            Self::Command | Self::Panel => None,
        }
    }

    /// Epoch of the leader that ran the task.
    pub const fn epoch(&self) -> Option<i64> {
        match self {
            Self::Task { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }
}

impl Origin {
    /// An author without an address.
    pub const fn of(actor: Actor) -> Self {
        Self { actor, address: None, request_id: None }
    }
}

impl Entry {
    /// A change of one object that has nothing to compare.
    pub fn of(action: &'static str, id: i64, name: impl Into<Option<String>>) -> Self {
        Self { action, object_id: Some(id), object_name: name.into(), before: None, after: None, count: 1 }
    }

    /// A change of settings or of something else that there is once.
    pub const fn of_one(action: &'static str) -> Self {
        Self { action, object_id: None, object_name: None, before: None, after: None, count: 1 }
    }

    /// A change of many objects, which `filter` chose.
    pub fn of_many(action: &'static str, filter: impl Into<String>, count: i64) -> Self {
        Self { action, object_id: None, object_name: Some(filter.into()), before: None, after: None, count }
    }

    /// With what the new object is.
    #[must_use]
    pub fn created(self, after: &impl Snapshot) -> Self {
        Self { after: Some(masked(after.snapshot())), ..self }
    }

    /// With what the deleted object was.
    #[must_use]
    pub fn deleted(self, before: &impl Snapshot) -> Self {
        Self { before: Some(masked(before.snapshot())), ..self }
    }

    /// With the fields that differ.
    #[must_use]
    pub fn changed(self, before: &impl Snapshot, after: &impl Snapshot) -> Self {
        let (before, after) = difference(before.snapshot(), after.snapshot());
        Self { before: Some(before), after: Some(after), ..self }
    }

    /// With the fields of a value that is no object of its own.
    #[must_use]
    pub fn with(self, after: Value) -> Self {
        Self { after: Some(masked(after)), ..self }
    }
}
