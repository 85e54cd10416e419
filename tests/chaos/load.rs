//! The load of a run: admins who change users, and users who transfer bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::panels::Panel;
use super::world::World;

/// Users with these numbers transfer bytes, and are not deleted.
const TRANSFERRING: u64 = 20;
/// Time between two back-ups that an admin asks for.
const BACK_UP_EVERY: Duration = Duration::from_secs(20);

impl World {
    pub async fn new_user(&self, panel: &Panel) -> Result<()> {
        let number = self.users.fetch_add(1, Ordering::SeqCst);
        let user =
            json!({"username": format!("user_{number}"), "expire_strategy": "never", "service_ids": [self.service]});
        self.call(panel, "POST", "/api/users", user).await.map(drop)
    }

    /// Changes users through random panels until the task is aborted. Requests may fail during faults.
    pub async fn change_users(self: Arc<Self>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut backed_up = Instant::now();
        loop {
            let panel = self.panels[rng.random_range(0..self.panels.len())].clone();
            let known = self.users.load(Ordering::SeqCst);
            let number = rng.random_range(0..known);
            let path = format!("/api/users/user_{number}");
            let action = match rng.random_range(0..40) {
                0..4 if known < 200 => None,
                4..16 => Some(("POST", "/disable")),
                16..28 => Some(("POST", "/enable")),
                28 if number >= 2 * TRANSFERRING => Some(("DELETE", "")),
                _ => Some(("POST", "/revoke_sub")),
            };
            let _ = match action {
                None => self.new_user(&panel).await,
                Some((method, end)) => self.call(&panel, method, &format!("{path}{end}"), json!({})).await.map(drop),
            };
            if backed_up.elapsed() > BACK_UP_EVERY {
                backed_up = Instant::now();
                let _ = self.call(&panel, "POST", "/api/cluster/tasks/back_up/run", json!({})).await;
            }
            sleep(Duration::from_millis(rng.random_range(50..400))).await;
        }
    }

    /// Adds usage of some users to the node until the task is aborted.
    pub async fn produce(self: Arc<Self>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        loop {
            for user in 1..=TRANSFERRING {
                self.node.add_usage(user as u32, rng.random_range(1..5_000));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
