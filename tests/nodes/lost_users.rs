//! An engine has restarted and lost users on an inbound that takes none any more, and its node's memory has them there: the node
//! refuses to take them off it. They keep what they have, are cut off when they are to be, and hold up nobody.

use std::time::Duration;

use sarban::nodes::Timing;
use sarban::store::Db;
use tokio::time::sleep;

use crate::nodes::doubt::{disable, enable};
use crate::nodes::healing::restarts;
use crate::nodes::panel::{
    Panel, brisk, change, eventually, give, healthy, in_step_with, marks, revoke, sql, unhealthy,
};
use crate::support::database::on_both_engines;
use crate::support::test_node::process::Behaviour;
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines!(
    users_are_taken_off_nothing_and_get_all_back,
    disabled_user_is_cut_off_beside_others,
    disabled_user_is_cut_off_beside_others_where_the_broken_inbound_comes_first,
    disabled_user_stays_cut_off_when_the_session_breaks_or_another_panel_leads,
    many_disabled_users_stay_cut_off_and_are_served_when_they_are_back,
    first_change_may_be_a_removal,
    deleted_user_is_cut_off,
    user_with_a_new_key_is_cut_off,
    inbound_may_leave_all_services,
);

/// Engines are restarted after 300 ms of refusals.
fn timing() -> Timing {
    Timing { refused: Duration::from_millis(300), ..brisk() }
}

/// A node that has lost users 1 to 12 on one of their two inbounds.
struct Lost {
    node: TestNode,
    panel: Panel,
    /// The inbound that takes nobody.
    broken: &'static str,
    good: &'static str,
}

impl Lost {
    async fn unknown(db: &Db, broken: &'static str) -> Self {
        let good = if broken == "vmess" { "vless" } else { "vmess" };
        let node = TestNode::start(Options { acknowledge: true, ..Options::default() }).await.unwrap();
        let panel = in_step_with(db, &node, 12, timing()).await;
        give(db, "vmess", 12).await;
        let on_both = || node.users().values().filter(|user| user.tags.len() == 2).count();
        eventually("all are on both inbounds", async || on_both() == 12 && node.apart().is_empty()).await;
        let other = "INSERT INTO services (id, name) VALUES (2, 'other');
                     INSERT INTO inbounds_services SELECT id, 2 FROM inbounds WHERE tag = ";
        sql(db, &format!("{other}'{broken}'")).await;
        node.behave(Behaviour { tag_without_users: Some(broken.to_owned()), ..Behaviour::default() });
        node.restart_engines();
        Self { node, panel, broken, good }
    }

    /// The panel knows of it, and users 14 and 15 came later.
    async fn on(db: &Db, broken: &'static str) -> Self {
        let lost = Self::unknown(db, broken).await;
        let before = lost.node.events().len();
        for (user, service) in [(13, 2), (14, 1), (15, 1)] {
            let new = format!(
                "INSERT INTO users (id, username, key, expire_strategy, created_at)
                    VALUES ({user}, 'user{user}', 'k{user}', 'never', 0);
                 INSERT INTO users_services (user_id, service_id) VALUES ({user}, {service})"
            );
            change(db, &new, [user]).await;
            lost.is_in_step(db).await;
        }
        eventually("those who came later are there", async || lost.serves(14) && lost.serves(15)).await;
        let of_users = |event: &Event| matches!(event, Event::Removed { id } | Event::Retagged { id } if *id <= 12);
        assert!(!lost.node.events().split_off(before).iter().any(of_users));
        lost
    }

    /// Waits until the node has every change, but for the inbound that takes nobody.
    async fn is_in_step(&self, db: &Db) {
        eventually("no mark is left", async || marks(db).await == 0).await;
        unhealthy(db, 1, &format!("no users on these inbounds: {};", self.broken)).await;
    }

    fn serves(&self, user: u32) -> bool {
        self.node.served(user).iter().eq([self.good])
    }

    fn serves_not(&self, user: u32) -> bool {
        self.node.served(user).is_empty()
    }

    /// Checks that all others have what they had, and that the node goes on.
    async fn has_all_but(&self, db: &Db, cut_off: &[u32]) {
        self.is_in_step(db).await;
        // Several sessions, if they ended, and a restart.
        sleep(Duration::from_secs(1)).await;
        self.is_in_step(db).await;
        for user in (1..=15).filter(|user| *user != 13) {
            let right = if cut_off.contains(&user) { self.serves_not(user) } else { self.serves(user) };
            assert!(right, "user {user} is on {:?}", self.node.served(user));
        }
        assert_eq!((self.panel.supervisor.connected().len(), restarts(&self.node).len()), (1, 0));
    }
}

async fn note(db: &Db, users: &[i64]) {
    change(db, "UPDATE users SET note = 'changed' WHERE id > 0", users.iter().copied()).await;
}

async fn users_are_taken_off_nothing_and_get_all_back(db: Db) {
    let lost = Lost::on(&db, "vmess").await;
    note(&db, &[4, 14]).await;
    lost.has_all_but(&db, &[]).await;
    lost.node.drop_connections();
    lost.has_all_but(&db, &[]).await;
    // Corrected, and the engine has restarted.
    lost.node.behave(Behaviour::default());
    lost.node.restart_engines();
    healthy(&db, 1).await;
    let on_both = || (1..=15).filter(|user| lost.node.served(*user).len() == 2).count();
    eventually("all are on both", async || on_both() == 14 && lost.node.apart().is_empty()).await;
    disable(&db, 4).await;
    eventually("a user can be removed", async || !lost.node.users().contains_key(&4)).await;
}

async fn disabled_user_is_cut_off_beside_others(db: Db) {
    disabled_beside_others(&db, &Lost::on(&db, "vmess").await).await;
}

async fn disabled_user_is_cut_off_beside_others_where_the_broken_inbound_comes_first(db: Db) {
    disabled_beside_others(&db, &Lost::on(&db, "vless").await).await;
}

async fn disabled_beside_others(db: &Db, lost: &Lost) {
    let all = "UPDATE users SET enabled = FALSE, activated = FALSE WHERE id IN (4, 14)";
    change(db, all, [4, 6, 7, 14]).await;
    eventually("both are cut off", async || lost.serves_not(4) && lost.serves_not(14)).await;
    lost.has_all_but(db, &[4, 14]).await;
    enable(db, 4).await;
    lost.has_all_but(db, &[14]).await;
}

async fn disabled_user_stays_cut_off_when_the_session_breaks_or_another_panel_leads(db: Db) {
    let mut lost = Lost::on(&db, "vless").await;
    disable(&db, 4).await;
    lost.has_all_but(&db, &[4]).await;
    note(&db, &[6, 7]).await;
    lost.node.drop_connections();
    lost.has_all_but(&db, &[4]).await;
    lost.panel.step_down().await;
    lost.panel = Panel::lead_with(&db, timing()).await;
    disable(&db, 15).await;
    eventually("another one is cut off", async || lost.serves_not(15)).await;
    lost.has_all_but(&db, &[4, 15]).await;
}

async fn many_disabled_users_stay_cut_off_and_are_served_when_they_are_back(db: Db) {
    let lost = Lost::on(&db, "vless").await;
    let all = "UPDATE users SET enabled = FALSE, activated = FALSE WHERE id <= 12";
    change(&db, all, 1..=12).await;
    let cut_off: Vec<u32> = (1..=12).collect();
    lost.has_all_but(&db, &cut_off).await;
    lost.node.drop_connections();
    lost.has_all_but(&db, &cut_off).await;
    enable(&db, 4).await;
    lost.has_all_but(&db, &[&cut_off[..3], &cut_off[4..]].concat()).await;
}

async fn first_change_may_be_a_removal(db: Db) {
    let lost = Lost::unknown(&db, "vmess").await;
    disable(&db, 4).await;
    // The removal took the user off one inbound in the engine alone. Its restart ends that.
    eventually("the engine is restarted", async || restarts(&lost.node).len() == 1).await;
    eventually("the user is cut off", async || lost.serves_not(4) && lost.serves(3)).await;
    lost.is_in_step(&db).await;
    sleep(Duration::from_secs(1)).await;
    lost.is_in_step(&db).await;
    assert!(lost.serves_not(4) && (1..=12).filter(|user| *user != 4).all(|user| lost.serves(user)));
    assert_eq!(restarts(&lost.node).len(), 1);
}

async fn deleted_user_is_cut_off(db: Db) {
    let lost = Lost::on(&db, "vmess").await;
    change(&db, "DELETE FROM users_services WHERE user_id = 4; DELETE FROM users WHERE id = 4", [4]).await;
    eventually("the user is cut off", async || lost.serves_not(4)).await;
    lost.has_all_but(&db, &[4]).await;
    lost.node.drop_connections();
    lost.has_all_but(&db, &[4]).await;
}

async fn user_with_a_new_key_is_cut_off(db: Db) {
    let lost = Lost::on(&db, "vmess").await;
    revoke(&db, 5, "new-5").await;
    revoke(&db, 14, "new-14").await;
    eventually("the other new key is there", async || lost.node.users()[&14].key == "new-14").await;
    lost.has_all_but(&db, &[5]).await;
    lost.node.drop_connections();
    lost.has_all_but(&db, &[5]).await;
    unhealthy(&db, 1, "gives them no new keys").await;
}

async fn inbound_may_leave_all_services(db: Db) {
    let lost = Lost::on(&db, "vmess").await;
    disable(&db, 4).await;
    change(
        &db,
        "DELETE FROM inbounds_services WHERE inbound_id IN (SELECT id FROM inbounds WHERE tag = 'vmess')",
        1..=15,
    )
    .await;
    lost.has_all_but(&db, &[4]).await;
    lost.node.drop_connections();
    lost.has_all_but(&db, &[4]).await;
}
