//! Converts rows of Marzneshin to rows of this panel.

pub(super) mod accounts;
pub(super) mod hosts;
pub(super) mod nodes;
pub(super) mod reader;
pub(super) mod settings;
pub(super) mod traffic;
