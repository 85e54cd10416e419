//! Where the dispatcher leaves users for the sessions, and where both see which changes every node has.
//!
//! A node has at most one letter per user: a newer one replaces an older one that was not sent yet. A node that has too
//! many is flooded: its letters go, and it is to be given everything. A user who is on none of a node's inbounds, and
//! was not, is no letter to that node.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::ids::{NodeId, UserId};
use crate::domain::user_set::UserSet;
use crate::store::changes::Mark;
use crate::store::node_users::{NodeUser, ServiceTags};

/// Letters for all nodes together, about; a letter takes some 300 bytes.
const LETTERS: usize = 1_000_000;
/// So many a node may always have.
const FEW: usize = 1_000;

#[derive(Debug)]
pub(super) struct Desk {
    /// Room for so many letters.
    letters: usize,
    state: Mutex<State>,
    /// Rings when a mark may be cleared.
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    boxes: HashMap<NodeId, Pigeonhole>,
    waiting: HashMap<UserId, Waiting>,
    settled: Vec<Mark>,
    /// Sessions of these ended with changes under way. Not in the database yet.
    broken: HashSet<NodeId>,
}

/// What lies ready for one node.
#[derive(Debug, Default)]
struct Pigeonhole {
    order: VecDeque<UserId>,
    letters: HashMap<UserId, Letter>,
    /// The newest change of each user that this node does not certainly have, sent or not.
    undelivered: HashMap<UserId, Uuid>,
    /// Whom the node may have: its last full list, and everybody it was told of since.
    has: UserSet,
    /// That list is known. Until it is, the node may have anybody.
    is_known: bool,
    /// There were too many letters: whatever changed is in the next full list.
    flooded: bool,
    /// That is in the database, or about to be.
    noted: bool,
    /// A full list was begun instead, which the database is about to know.
    beginning: bool,
    arrived: Arc<Notify>,
}

/// What a mailbox brings.
#[derive(Debug)]
pub(super) enum Post {
    /// A change of one user.
    Letter(Letter),
    /// Too many changes: a full list is wanted.
    Flooded,
}

/// A change on its way, and how many nodes do not have it yet.
#[derive(Debug)]
struct Waiting {
    change: Uuid,
    nodes: usize,
}

/// What one node should have of one user.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub user: Arc<NodeUser>,
    /// No tags: the node should not have this user.
    pub tags: Vec<String>,
    pub change: Uuid,
}

/// A session's place at the desk. While it exists, its node holds up the marks that it does not have; an absent node
/// holds up nothing, because its next connection begins with everything.
#[derive(Debug)]
pub(super) struct Mailbox {
    desk: Arc<Desk>,
    node: NodeId,
    arrived: Arc<Notify>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { letters: LETTERS, state: Mutex::default(), settled: Notify::default() }
    }
}

impl Desk {
    /// A place for a session. To be taken before the session reads what the node should have.
    pub(super) fn open(self: &Arc<Self>, node: NodeId) -> Mailbox {
        let mut state = self.state();
        let old = state.boxes.insert(node, Pigeonhole::default());
        let arrived = state.boxes.get(&node).map(|hole| hole.arrived.clone()).unwrap_or_default();
        state.release(node, old);
        Mailbox { desk: self.clone(), node, arrived }
    }

    /// Whether this very change is on its way already.
    pub(super) fn knows(&self, mark: &Mark) -> bool {
        self.state().waiting.get(&UserId(mark.user_id)).is_some_and(|waiting| waiting.change == mark.change_id)
    }

    /// Leaves a changed user for every node with a session that serves, or may have, the user.
    pub(super) fn post(&self, mark: Mark, user: NodeUser, tags: &ServiceTags) {
        let mut state = self.state();
        let user = Arc::new(user);
        let allowance = (self.letters / state.boxes.len().max(1)).max(FEW);
        let mut nodes = 0;
        let mut released = Vec::new();
        for (node, hole) in &mut state.boxes {
            let tags: Vec<String> = tags.of(&user, *node).into_iter().map(str::to_owned).collect();
            if hole.flooded || tags.is_empty() && !hole.may_have(user.id) {
                // What it was to be told before is no longer so.
                released.extend(hole.undelivered.remove(&user.id).map(|change| (user.id, change)));
                continue;
            }
            if hole.letters.len() >= allowance && !hole.letters.contains_key(&user.id) {
                released.extend(hole.flood());
                continue;
            }
            nodes += 1;
            if !tags.is_empty() {
                hole.has.insert(user.id);
            }
            hole.undelivered.insert(user.id, mark.change_id);
            if hole.letters.insert(user.id, Letter { user: user.clone(), tags, change: mark.change_id }).is_none() {
                hole.order.push_back(user.id);
            }
            hole.arrived.notify_one();
        }
        for (user, change) in released {
            state.settle(user, change);
        }
        state.waiting.insert(user.id, Waiting { change: mark.change_id, nodes });
        if nodes == 0 {
            state.settled.push(mark);
        }
        if !state.settled.is_empty() {
            self.wake_clearing();
        }
    }

    /// Marks of changes that no node waits for any more, and the nodes for which changes were given up, by id. These are
    /// to be noted before the marks go: the changes that such a node lacks are among them.
    pub(super) fn take_settled(&self) -> (Vec<Mark>, Vec<NodeId>) {
        let mut state = self.state();
        if state.boxes.values().any(|hole| hole.beginning) {
            return (Vec::new(), Vec::new());
        }
        let mut nodes: Vec<NodeId> = state.broken.drain().collect();
        for (node, hole) in &mut state.boxes {
            if hole.flooded && !std::mem::replace(&mut hole.noted, true) {
                nodes.push(*node);
            }
        }
        nodes.sort_unstable();
        (std::mem::take(&mut state.settled), nodes)
    }

    /// It is noted of these, or could not be.
    pub(super) fn noted(&self, nodes: &[NodeId], done: bool) {
        let mut state = self.state();
        for node in nodes {
            let Some(hole) = state.boxes.get_mut(node).filter(|hole| done || hole.flooded) else {
                if !done {
                    state.broken.insert(*node);
                }
                continue;
            };
            if !done {
                hole.noted = false;
            } else if !hole.flooded {
                // A full list was begun meanwhile, and what was noted may stand behind it: only another one ends that.
                hole.noted = true;
                for (user, change) in hole.flood() {
                    state.settle(user, change);
                }
                self.wake_clearing();
            }
        }
    }

    /// They could not be cleared; the next round tries again.
    pub(super) fn put_back(&self, marks: impl IntoIterator<Item = Mark>) {
        self.state().settled.extend(marks);
    }

    /// They are cleared.
    pub(super) fn forget(&self, marks: &[Mark]) {
        let mut state = self.state();
        for mark in marks {
            let user = UserId(mark.user_id);
            if state.waiting.get(&user).is_some_and(|waiting| waiting.change == mark.change_id) {
                state.waiting.remove(&user);
            }
        }
    }

    /// Waits until there may be marks to clear.
    pub(super) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// There may be marks to clear.
    pub(super) fn wake_clearing(&self) {
        self.settled.notify_one();
    }

    /// How many changes are on their way.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One node less waits for this change, if it is still the newest of its user.
    fn settle(&mut self, user: UserId, change: Uuid) {
        if let Some(waiting) = self.waiting.get_mut(&user).filter(|waiting| waiting.change == change) {
            waiting.nodes = waiting.nodes.saturating_sub(1);
            if waiting.nodes == 0 {
                self.settled.push(Mark { user_id: user.0, change_id: change });
            }
        }
    }

    fn release(&mut self, node: NodeId, hole: Option<Pigeonhole>) {
        let Some(hole) = hole else { return };
        if hole.beginning || hole.flooded && !hole.noted || !hole.undelivered.is_empty() {
            self.broken.insert(node);
        }
        for (user, change) in hole.undelivered {
            self.settle(user, change);
        }
    }
}

impl Pigeonhole {
    fn may_have(&self, user: UserId) -> bool {
        !self.is_known || self.has.contains(user)
    }

    /// Gives up all letters; returns the changes that nobody waits for here any more.
    fn flood(&mut self) -> Vec<(UserId, Uuid)> {
        self.flooded = true;
        self.order = VecDeque::new();
        self.letters = HashMap::new();
        self.arrived.notify_one();
        std::mem::take(&mut self.undelivered).into_iter().collect()
    }
}

impl Mailbox {
    /// What comes next, as soon as it does.
    pub(super) async fn next(&self) -> Post {
        loop {
            let arrived = self.arrived.notified();
            if let Some(post) = self.take() {
                return post;
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<Post> {
        let mut state = self.desk.state();
        let hole = state.boxes.get_mut(&self.node)?;
        if hole.flooded {
            return Some(Post::Flooded);
        }
        let user = hole.order.pop_front()?;
        hole.letters.remove(&user).map(Post::Letter)
    }

    /// A full list is about to be begun, and read then: until it is, the node may have anybody. Returns whether changes
    /// were given up for it: then marks stay until [`Mailbox::begun`].
    pub(super) fn begin_full(&self) -> bool {
        let mut state = self.desk.state();
        let mut gave_up = state.broken.remove(&self.node);
        if let Some(hole) = state.boxes.get_mut(&self.node) {
            gave_up |= std::mem::take(&mut hole.flooded);
            hole.beginning = gave_up;
            hole.noted = false;
            hole.is_known = false;
            // The list replaces what the node had; what waits here reaches it after the list.
            hole.has = UserSet::default();
            for (user, letter) in &hole.letters {
                if !letter.tags.is_empty() {
                    hole.has.insert(*user);
                }
            }
        }
        gave_up
    }

    /// The database knows that a full list was begun.
    pub(super) fn begun(&self) {
        if let Some(hole) = self.desk.state().boxes.get_mut(&self.node) {
            hole.beginning = false;
        }
        self.desk.wake_clearing();
    }

    /// The node is about to be given a list of these; whoever else it has will go.
    pub(super) fn has(&self, users: UserSet) {
        if let Some(hole) = self.desk.state().boxes.get_mut(&self.node) {
            hole.has.extend(users);
            hole.is_known = true;
        }
    }

    /// The node certainly has these changes.
    pub(super) fn delivered(&self, changes: impl IntoIterator<Item = (UserId, Uuid)>) {
        let mut state = self.desk.state();
        for (user, change) in changes {
            let Some(hole) = state.boxes.get_mut(&self.node) else { return };
            if hole.undelivered.get(&user) == Some(&change) {
                hole.undelivered.remove(&user);
                state.settle(user, change);
            }
        }
        self.desk.wake_clearing();
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        let hole = state.boxes.remove(&self.node);
        state.release(self.node, hole);
        self.desk.settled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ServiceId;

    fn mark(user_id: i64) -> Mark {
        Mark { user_id, change_id: Uuid::now_v7() }
    }

    /// A change of a user who is on no node (any more).
    fn post(desk: &Desk, mark: Mark) {
        desk.post(mark, NodeUser::gone(UserId(mark.user_id)), &ServiceTags::default());
    }

    /// A node with more letters than there is room for; how many changes there were.
    fn flooded() -> (Arc<Desk>, Mailbox, usize) {
        let desk = Arc::new(Desk { letters: 1, ..Desk::default() });
        let node = desk.open(NodeId(1));
        (0..=FEW as i64).map(mark).for_each(|mark| post(&desk, mark));
        (desk, node, FEW + 1)
    }

    fn settled(desk: &Desk) -> Vec<Mark> {
        desk.take_settled().0
    }

    fn letter(mailbox: &Mailbox) -> Option<Letter> {
        match mailbox.take() {
            Some(Post::Letter(letter)) => Some(letter),
            Some(Post::Flooded) => panic!("flooded"),
            None => None,
        }
    }

    #[test]
    fn a_change_settles_when_the_last_node_has_it() {
        let desk = Arc::new(Desk::default());
        let (one, two) = (desk.open(NodeId(1)), desk.open(NodeId(2)));
        let mark = mark(7);
        post(&desk, mark);
        assert!(desk.knows(&mark));
        one.delivered([(UserId(7), mark.change_id)]);
        one.delivered([(UserId(7), mark.change_id)]);
        assert_eq!(settled(&desk), [], "the second node does not have it");
        two.delivered([(UserId(7), mark.change_id)]);
        assert_eq!(settled(&desk), [mark]);
        desk.forget(&[mark]);
        assert_eq!(desk.waiting(), 0);
    }

    #[test]
    fn a_newer_change_replaces_an_unsent_one_and_is_not_settled_by_a_sent_one() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let (old, new) = (mark(7), mark(7));
        post(&desk, old);
        let sent = letter(&node).expect("a letter");
        post(&desk, new);
        post(&desk, new);
        node.delivered([(UserId(7), sent.change)]);
        assert_eq!(settled(&desk), []);
        assert_eq!(letter(&node).map(|letter| letter.change), Some(new.change_id));
        assert!(letter(&node).is_none(), "one letter per user");
    }

    #[test]
    fn an_absent_node_holds_up_nothing() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let (held, later) = (mark(7), mark(8));
        post(&desk, held);
        drop(node);
        post(&desk, later);
        assert_eq!(settled(&desk), [held, later]);
    }

    #[test]
    fn a_node_is_told_of_nobody_it_does_not_have() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let (had, strange) = (mark(7), mark(8));
        node.begin_full();
        post(&desk, strange);
        assert!(letter(&node).is_some(), "before the list is known, the node may have anybody");
        node.delivered([(UserId(8), strange.change_id)]);
        let mut users = UserSet::default();
        users.insert(UserId(7));
        node.has(users);
        let again = mark(8);
        post(&desk, again);
        post(&desk, had);
        assert_eq!(settled(&desk), [strange, again], "nobody waits for a change that concerns nobody");
        assert_eq!(letter(&node).map(|letter| letter.change), Some(had.change_id));
        assert!(letter(&node).is_none());
    }

    /// Told of before the list was read, left out of it, and gone again: the letter from before would bring the user back.
    #[test]
    fn a_letter_that_waited_for_the_list_is_followed_by_its_removal() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let live = NodeUser { live: true, services: vec![ServiceId(1)], ..NodeUser::gone(UserId(7)) };
        desk.post(mark(7), live, &ServiceTags::one(ServiceId(1), NodeId(1), "tag"));
        node.begin_full();
        node.has(UserSet::default());
        let gone = mark(7);
        post(&desk, gone);
        assert_eq!(settled(&desk), [], "the node does not know of it");
        let last = letter(&node).expect("a letter");
        assert_eq!((last.change, last.tags.len()), (gone.change_id, 0));
        assert!(letter(&node).is_none());
    }

    #[test]
    fn a_flooded_node_waits_for_everything_and_holds_up_nothing() {
        let (desk, node, marks) = flooded();
        assert!(matches!(node.take(), Some(Post::Flooded)));
        let (settled, nodes) = desk.take_settled();
        assert_eq!((settled.len(), nodes), (marks, vec![NodeId(1)]));
        assert_eq!(desk.take_settled().1, [], "once");
        desk.noted(&[NodeId(1)], false);
        assert_eq!(desk.take_settled().1, [NodeId(1)], "until it is noted");
        desk.noted(&[NodeId(1)], true);
        node.begin_full();
        node.begun();
        assert!(node.take().is_none());
        let next = mark(1);
        post(&desk, next);
        assert_eq!(letter(&node).map(|letter| letter.change), Some(next.change_id));
    }

    #[test]
    fn a_list_that_began_before_a_flood_was_noted_is_followed_by_another() {
        let (desk, node, _) = flooded();
        let (_, nodes) = desk.take_settled();
        node.begin_full();
        node.begun();
        let held = mark(1);
        post(&desk, held);
        assert!(!settled(&desk).contains(&held));
        desk.noted(&nodes, true);
        assert!(matches!(node.take(), Some(Post::Flooded)));
        assert_eq!(desk.take_settled(), (vec![held], vec![]), "it is noted");
        node.begin_full();
        node.begun();
        assert!(node.take().is_none());
    }

    #[test]
    fn marks_stay_until_the_database_knows_of_the_list_that_replaces_what_was_given_up() {
        let (desk, node, marks) = flooded();
        assert!(node.begin_full());
        assert_eq!(desk.take_settled(), (vec![], vec![]));
        node.begun();
        let (settled, nodes) = desk.take_settled();
        assert_eq!((settled.len(), nodes), (marks, vec![]));
        assert!(!node.begin_full());
    }

    #[test]
    fn a_session_that_ends_before_its_list_was_begun_is_noted_all_the_same() {
        let (desk, node, marks) = flooded();
        assert!(node.begin_full());
        drop(node);
        let (settled, nodes) = desk.take_settled();
        assert_eq!((settled.len(), nodes), (marks, vec![NodeId(1)]));
    }

    #[test]
    fn a_session_that_ends_with_changes_under_way_is_noted_before_their_marks_go() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let lost = mark(7);
        post(&desk, lost);
        drop(node);
        assert_eq!(desk.take_settled(), (vec![lost], vec![NodeId(1)]));
        desk.noted(&[NodeId(1)], false);
        desk.put_back([lost]);
        let node = desk.open(NodeId(1));
        assert!(node.begin_full(), "or the next list knows of it");
        node.begun();
        assert_eq!(desk.take_settled(), (vec![lost], vec![]));
        drop(node);
        assert_eq!(desk.take_settled(), (vec![], vec![]), "nothing was under way");
    }
}
