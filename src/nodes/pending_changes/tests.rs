//! What the desk promises: no change is forgotten that a node may lack, and none is waited for in vain.

use std::sync::Arc;

use uuid::Uuid;

use super::node_queue::{Letter, Post};
use super::receiver::Mailbox;
use super::tracker::{Desk, FEW};
use crate::domain::ids::{NodeId, ServiceId, UserId};
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::{NodeUser, ServiceTags};
use crate::store::users::changes::Mark;

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
fn a_node_of_which_two_things_are_to_be_noted_is_noted_once() {
    let desk = Arc::new(Desk { letters: 1, ..Desk::default() });
    let broken = desk.open(NodeId(1));
    post(&desk, mark(1));
    drop(broken);
    let _again = desk.open(NodeId(1));
    (0..=FEW as i64).map(mark).for_each(|mark| post(&desk, mark));
    assert_eq!(
        desk.take_settled().1,
        [NodeId(1)],
        "its session ended with a change under way, and the next was flooded"
    );
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
