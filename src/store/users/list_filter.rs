//! The filter, the order and the page of a user list.

use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;

/// The users that a list shows; removed users are never among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserFilter {
    /// Names.
    pub names: Names,
    /// Only users of this admin.
    pub owner: Option<AdminId>,
    /// Only users with this service.
    pub service: Option<ServiceId>,
    /// Only users whose account works now, or does not.
    pub is_active: Option<bool>,
    /// Only users that nodes are meant to know, or not.
    pub activated: Option<bool>,
    /// Only users whose fixed expiry date has passed, or not.
    pub expired: Option<bool>,
    /// Only users who have used up their data limit, or not.
    pub data_limit_reached: Option<bool>,
    /// Only users who have used much of their data limit and have not reached it, or the others.
    pub nearly_limited: Option<NearlyLimited>,
    /// Only enabled users, or disabled ones.
    pub enabled: Option<bool>,
    /// Only users who wait for their first use, or those who do not.
    pub on_hold: Option<bool>,
    /// Only users whose fixed expiry date is earlier than this.
    pub expires_before: Option<Moment>,
}

/// A condition on the use of data limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NearlyLimited {
    /// True: users who have used this much; false: the others.
    pub is: bool,
    /// Percentage of the data limit, from which on much is used.
    pub percent: u32,
}

/// A condition on names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Names {
    /// Any name.
    #[default]
    Any,
    /// Names that contain this text in any case; `%` stands for any text, `_` for any character.
    Containing(String),
    /// One of these names.
    Exactly(Vec<String>),
}

/// The sort key of a list; users with equal keys are sorted by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// The id.
    #[default]
    Id,
    /// The name, by code point.
    Username,
    /// Used traffic.
    UsedTraffic,
    /// The data limit; unlimited users last.
    DataLimit,
    /// The fixed expiry date; users without one last.
    ExpireDate,
    /// The time of creation.
    CreatedAt,
}

impl UserSort {
    /// The name in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Username => "username",
            Self::UsedTraffic => "used_traffic",
            Self::DataLimit => "data_limit",
            Self::ExpireDate => "expire_date",
            Self::CreatedAt => "created_at",
        }
    }
}

/// One page of a sorted list.
#[derive(Clone, Copy, Debug)]
pub struct UserWindow {
    /// The sort key.
    pub sort: UserSort,
    /// Largest first.
    pub descending: bool,
    /// Number of users before the page.
    pub offset: i64,
    /// Number of users on the page, at most.
    pub limit: i64,
}

/// Numbers of users, by which the plan of a page is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Users that match the filter.
    pub matching: i64,
    /// All users that are not removed.
    pub everybody: i64,
}
