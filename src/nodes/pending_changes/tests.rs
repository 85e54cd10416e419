//! No change is forgotten that a node may lack, and no mark waits for a node that needs no change.

use uuid::Uuid;

use super::node_queue::{PendingChange, Received};
use super::receiver::Receiver;
use super::tracker::{MIN_PER_NODE, Tracker};
use crate::domain::ids::{NodeId, ServiceId, UserId};
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::{NodeUser, ServiceTags};
use crate::store::users::changes::Mark;

const NODE: NodeId = NodeId(1);

fn mark(user_id: i64) -> Mark {
    Mark { user_id, change_id: Uuid::now_v7() }
}

/// Enqueues a change of a user who is on no node (any more).
fn enqueue(tracker: &Tracker, mark: Mark) {
    tracker.enqueue(mark, NodeUser::gone(UserId(mark.user_id)), &ServiceTags::default());
}

/// A node with more changes than its queue holds, and the number of these changes.
fn overflowed() -> (Tracker, Receiver, usize) {
    let tracker = Tracker { capacity: 1, ..Tracker::default() };
    let node = tracker.register(NODE);
    (0..=MIN_PER_NODE as i64).map(mark).for_each(|mark| enqueue(&tracker, mark));
    (tracker, node, MIN_PER_NODE + 1)
}

fn confirmed(tracker: &Tracker) -> Vec<Mark> {
    tracker.take_confirmed().0
}

fn next(receiver: &Receiver) -> Option<PendingChange> {
    match receiver.try_next() {
        Some(Received::Change(change)) => Some(change),
        Some(Received::Overflowed) => panic!("the queue overflowed"),
        None => None,
    }
}

#[test]
fn change_is_confirmed_when_last_node_confirms_it() {
    let tracker = Tracker::default();
    let (one, two) = (tracker.register(NodeId(1)), tracker.register(NodeId(2)));
    let mark = mark(7);
    enqueue(&tracker, mark);
    assert!(tracker.is_tracked(&mark));
    one.confirm([(UserId(7), mark.change_id)]);
    one.confirm([(UserId(7), mark.change_id)]);
    assert_eq!(confirmed(&tracker), [], "the second node does not have it");
    two.confirm([(UserId(7), mark.change_id)]);
    assert_eq!(confirmed(&tracker), [mark]);
    tracker.forget(&[mark]);
    assert_eq!(tracker.unconfirmed(), 0);
}

/// Otherwise the change would be sent a second time.
#[test]
fn change_is_tracked_if_its_mark_is_cleared_while_the_page_is_read() {
    let tracker = Tracker::default();
    let node = tracker.register(NODE);
    let (delivered, newer) = (mark(7), mark(7));
    enqueue(&tracker, delivered);
    tracker.begin_page();
    node.confirm([(UserId(7), delivered.change_id)]);
    assert_eq!(confirmed(&tracker), [delivered]);
    tracker.forget(&[delivered]);
    assert!(tracker.is_tracked(&delivered));
    assert!(!tracker.is_tracked(&newer), "a later change of that user");
    tracker.begin_page();
    assert!(!tracker.is_tracked(&delivered), "no later page has that mark");
}

#[test]
fn newer_change_replaces_unsent_one_and_is_not_confirmed_by_sent_one() {
    let tracker = Tracker::default();
    let node = tracker.register(NODE);
    let (old, new) = (mark(7), mark(7));
    enqueue(&tracker, old);
    let sent = next(&node).expect("a change");
    enqueue(&tracker, new);
    enqueue(&tracker, new);
    node.confirm([(UserId(7), sent.id)]);
    assert_eq!(confirmed(&tracker), []);
    assert_eq!(next(&node).map(|change| change.id), Some(new.change_id));
    assert!(next(&node).is_none(), "one change per user");
}

#[test]
fn marks_do_not_wait_for_absent_node() {
    let tracker = Tracker::default();
    let node = tracker.register(NODE);
    let (before, after) = (mark(7), mark(8));
    enqueue(&tracker, before);
    drop(node);
    enqueue(&tracker, after);
    assert_eq!(confirmed(&tracker), [before, after]);
}

#[test]
fn removal_of_user_that_node_does_not_have_is_not_enqueued() {
    let tracker = Tracker::default();
    let node = tracker.register(NODE);
    let (had, unknown) = (mark(7), mark(8));
    node.start_full_sync();
    enqueue(&tracker, unknown);
    assert!(next(&node).is_some(), "until the list is read, the node may have any user");
    node.confirm([(UserId(8), unknown.change_id)]);
    let mut users = UserSet::default();
    users.insert(UserId(7));
    node.add_full_list(users);
    let again = mark(8);
    enqueue(&tracker, again);
    enqueue(&tracker, had);
    assert_eq!(confirmed(&tracker), [unknown, again], "no node has to confirm them");
    assert_eq!(next(&node).map(|change| change.id), Some(had.change_id));
    assert!(next(&node).is_none());
}

/// The user was enqueued before the list was read, is not in the list, and was removed after it: the earlier change
/// alone would bring the user back.
#[test]
fn change_queued_before_full_list_is_replaced_by_removal() {
    let tracker = Tracker::default();
    let node = tracker.register(NODE);
    let live = NodeUser { live: true, services: vec![ServiceId(1)], ..NodeUser::gone(UserId(7)) };
    tracker.enqueue(mark(7), live, &ServiceTags::one(ServiceId(1), NODE, "tag"));
    node.start_full_sync();
    node.add_full_list(UserSet::default());
    let gone = mark(7);
    enqueue(&tracker, gone);
    assert_eq!(confirmed(&tracker), [], "the node has not confirmed the removal");
    let last = next(&node).expect("a change");
    assert_eq!((last.id, last.tags.len()), (gone.change_id, 0));
    assert!(next(&node).is_none());
}

#[test]
fn overflowed_node_gets_full_list_and_releases_marks() {
    let (tracker, node, marks) = overflowed();
    assert!(matches!(node.try_next(), Some(Received::Overflowed)));
    let (confirmed, nodes) = tracker.take_confirmed();
    assert_eq!((confirmed.len(), nodes), (marks, vec![NODE]));
    assert_eq!(tracker.take_confirmed().1, [], "the node is returned once");
    tracker.out_of_step_not_saved(&[NODE]);
    assert_eq!(tracker.take_confirmed().1, [NODE], "and again until it is saved");
    tracker.out_of_step_saved(&[NODE]);
    node.start_full_sync();
    node.full_sync_started();
    assert!(node.try_next().is_none());
    let after = mark(1);
    enqueue(&tracker, after);
    assert_eq!(next(&node).map(|change| change.id), Some(after.change_id));
}

#[test]
fn full_list_started_before_overflow_was_saved_is_followed_by_another() {
    let (tracker, node, _) = overflowed();
    let (_, nodes) = tracker.take_confirmed();
    node.start_full_sync();
    node.full_sync_started();
    let held = mark(1);
    enqueue(&tracker, held);
    assert!(!confirmed(&tracker).contains(&held));
    tracker.out_of_step_saved(&nodes);
    assert!(matches!(node.try_next(), Some(Received::Overflowed)));
    assert_eq!(tracker.take_confirmed(), (vec![held], vec![]), "the overflow is saved already");
    node.start_full_sync();
    node.full_sync_started();
    assert!(node.try_next().is_none());
}

#[test]
fn marks_stay_until_database_knows_of_full_sync_that_replaces_dropped_changes() {
    let (tracker, node, marks) = overflowed();
    assert!(node.start_full_sync());
    assert_eq!(tracker.take_confirmed(), (vec![], vec![]));
    node.full_sync_started();
    let (confirmed, nodes) = tracker.take_confirmed();
    assert_eq!((confirmed.len(), nodes), (marks, vec![]));
    assert!(!node.start_full_sync());
}

#[test]
fn node_out_of_step_for_two_reasons_is_returned_once() {
    let tracker = Tracker { capacity: 1, ..Tracker::default() };
    let disconnected = tracker.register(NODE);
    enqueue(&tracker, mark(1));
    drop(disconnected);
    let _again = tracker.register(NODE);
    (0..=MIN_PER_NODE as i64).map(mark).for_each(|mark| enqueue(&tracker, mark));
    assert_eq!(
        tracker.take_confirmed().1,
        [NODE],
        "its session ended with an unconfirmed change, and the next one's queue overflowed"
    );
}

#[test]
fn session_that_ends_before_its_full_sync_started_leaves_node_out_of_step() {
    let (tracker, node, marks) = overflowed();
    assert!(node.start_full_sync());
    drop(node);
    let (confirmed, nodes) = tracker.take_confirmed();
    assert_eq!((confirmed.len(), nodes), (marks, vec![NODE]));
}

#[test]
fn session_that_ends_with_unconfirmed_changes_leaves_node_out_of_step() {
    let tracker = Tracker::default();
    let node = tracker.register(NODE);
    let lost = mark(7);
    enqueue(&tracker, lost);
    drop(node);
    assert_eq!(tracker.take_confirmed(), (vec![lost], vec![NODE]));
    tracker.out_of_step_not_saved(&[NODE]);
    tracker.put_back([lost]);
    let node = tracker.register(NODE);
    assert!(node.start_full_sync(), "the next full list contains the change");
    node.full_sync_started();
    assert_eq!(tracker.take_confirmed(), (vec![lost], vec![]));
    drop(node);
    assert_eq!(tracker.take_confirmed(), (vec![], vec![]), "no change was unconfirmed");
}
