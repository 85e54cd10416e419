//! An admin with the sessions that were ended: what each request of a session is checked against.

use uuid::Uuid;

use super::admin::Admin;

/// Ended sessions of an admin that are loaded with it. Few admins ever have so many whose tokens have not expired.
pub const LOADED: usize = 256;

/// An admin, and the sessions that were ended one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The admin.
    pub admin: Admin,
    /// The ended sessions.
    pub ended: EndedSessions,
    /// The admin's role requires a second factor, and the admin has none.
    pub lacks_second_factor: bool,
}

/// Sessions that were ended, up to [`LOADED`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedSessions {
    /// In ascending order.
    ids: Vec<Uuid>,
    are_all: bool,
}

impl EndedSessions {
    /// The ended sessions of an admin; more than [`LOADED`] say that there may be others.
    pub fn new(mut ids: Vec<Uuid>) -> Self {
        let are_all = ids.len() <= LOADED;
        ids.sort_unstable();
        Self { ids, are_all }
    }

    /// Returns whether a session was ended; none if it has to be looked up by itself.
    pub fn contain(&self, session: Uuid) -> Option<bool> {
        let is_here = self.ids.binary_search(&session).is_ok();
        (is_here || self.are_all).then_some(is_here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_beyond_the_loaded_ones_has_to_be_looked_up() {
        let ids = |count: usize| (0..count).map(|_| Uuid::new_v4()).collect::<Vec<_>>();
        let (few, many) = (ids(LOADED), ids(LOADED + 1));
        let (last, other) = (few[LOADED - 1], Uuid::new_v4());
        let few = EndedSessions::new(few);
        assert_eq!((few.contain(last), few.contain(other)), (Some(true), Some(false)));
        let one = many[0];
        let many = EndedSessions::new(many);
        assert_eq!((many.contain(one), many.contain(other)), (Some(true), None));
    }
}
