//! Three edges behind two panels: panels are killed at any moment, and all links are cut without a sign of it. No fetch fails
//! meanwhile, and afterwards each edge is whole and each fetch is known.
//!
//! `SARBAN_TEST_CUT_SECONDS=600 cargo test --test cluster -- app::edge_fleet::edges_are_whole_after_a_silent_cut --nocapture` cuts for ten
//! minutes and prints what it measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sarban::store::Db;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::edge_world::{World, fetches_in, is_in, until};
use crate::app::panel_process::PanelProcess;
use crate::support::database::{TestDatabase, execute, number, on_both_engines, texts};
use crate::support::proxy::{Proxy, ProxyFault};

on_both_engines! {
    edges_are_whole_after_panels_are_killed_at_any_moment,
    edges_are_whole_after_a_silent_cut,
}

/// Users: some pages of a first copy.
const USERS: i64 = 4_000;
/// Time of a kill, at most, after which another begins.
const ROUND: u64 = 1_500;
/// Longest time from the end of a cut until a revocation is known: the rest of one attempt (4 s), a pause (2 s) and a look at the
/// log of changes; and twice as much again on a busy machine.
const KNOWN: Duration = Duration::from_secs(20);

/// Users from the second on, whose keys are their ids, and a link for each.
const MANY: &str = "INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at)
        WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
        SELECT i, 'user_' || i, substr('00000000000000000000000000000000', 1, 32 - length(CAST(i AS TEXT))) || i, a.id, 'never', 0
        FROM n, admins a;
    INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users WHERE id > 1;
    INSERT INTO users_services (user_id, service_id) SELECT id, 1 FROM users WHERE id > 1";

#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn seconds_of_the_cut() -> u64 {
    std::env::var("SARBAN_TEST_CUT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn path_of(user: i64) -> String {
    format!("/sub/user_{user}/{user:032}")
}

/// Two panels, three edges, and a proxy on each way between them.
struct Fleet<'a> {
    world: World<'a>,
    other: PanelProcess,
    edges: Vec<PanelProcess>,
    /// Of each edge, to the two panels.
    proxies: Vec<[Proxy; 2]>,
    db: Db,
    folder: &'a Path,
    /// The next user whose subscription nobody fetched.
    next_user: i64,
    /// User-Agent of the last fetch, by user.
    fetched: BTreeMap<i64, String>,
}

impl<'a> Fleet<'a> {
    async fn start(test: &'a TestDatabase, folder: &'a TempDir) -> Self {
        let folder = folder.path();
        let world = World::start(test, folder).await;
        execute(&test.db, MANY).await;
        assert_eq!(number(&test.db, "SELECT COUNT(*) FROM users").await, USERS);
        let mut other = world.setup.start("other");
        other.ready().await;
        let (mut proxies, mut edges) = (Vec::new(), Vec::new());
        for nth in 0..3 {
            let [first, second] = [world.panel.port, other.port].map(Proxy::start);
            proxies.push([first.await.expect("a proxy"), second.await.expect("a proxy")]);
            edges.push(edge(&world, nth, &proxies[nth]));
        }
        for edge in &mut edges {
            edge.ready().await;
        }
        let fetched = BTreeMap::new();
        Self { world, other, edges, proxies, db: test.db.clone(), folder, next_user: 2, fetched }
    }

    /// Sets a fault on both ways of an edge.
    fn set_for(&self, edge: usize, fault: ProxyFault) {
        for proxy in &self.proxies[edge] {
            proxy.set(fault);
        }
    }

    fn set(&self, fault: ProxyFault) {
        for proxy in self.proxies.iter().flatten() {
            proxy.set(fault);
        }
    }

    /// Fetches the subscription of a user who has not been asked for, from one of these edges: it must be served.
    async fn fetch(&mut self, edges: usize) {
        let user = self.next_user;
        self.next_user += 1;
        let edge = &self.edges[usize::try_from(user).expect("an id") % edges];
        let agent = format!("agent/{user}");
        let request = edge.request(Method::GET, &path_of(user)).header("user-agent", &agent);
        let status = request.send().await.expect("an answer").status();
        assert_eq!(status, StatusCode::OK, "user {user} at {}", edge.name);
        self.fetched.insert(user, agent);
    }

    /// Fetches for this long.
    async fn fetch_for(&mut self, time: Duration, edges: usize) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.fetch(edges).await;
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn kill_and_restart(&mut self, is_first: bool, pause: Duration, edges: usize) {
        let panel = if is_first { &mut self.world.panel } else { &mut self.other };
        panel.kill();
        self.fetch_for(pause, edges).await;
        if is_first {
            self.world.restart_panel().await;
        } else {
            self.other = self.world.setup.start_on("other", self.other.port, &[]);
            self.other.ready().await;
        }
    }

    /// Revokes the link of a user, and waits until every edge knows. Returns how long the last one took.
    async fn revoke(&mut self) -> Duration {
        let user = USERS - self.next_user;
        execute(&self.db, &format!("UPDATE users SET key = 'revoked-{user}' WHERE id = {user}")).await;
        self.revocation(user).await
    }

    async fn revocation(&self, user: i64) -> Duration {
        let began = Instant::now();
        for edge in &self.edges {
            until("the revoked link stops", async || status(edge, user).await == StatusCode::NOT_FOUND).await;
        }
        began.elapsed()
    }

    /// All edges have all users and no fault, and the panels have all fetches.
    async fn is_whole(&mut self) {
        for edge in &mut self.edges {
            edge.ready().await;
            let users = async || edge.counter("subscription_copy_users").await as i64;
            until("all users are in the copy", async || users().await == USERS).await;
        }
        self.all_is_known().await;
    }

    /// The panels have all fetches, and no others.
    async fn all_is_known(&self) {
        let fetched: Vec<String> = self.fetched.iter().map(|(user, agent)| format!("{user} {agent}")).collect();
        let all = "SELECT user_id || ' ' || user_agent FROM subscription_fetches ORDER BY user_id";
        until("all fetches are known", async || texts(&self.db, all).await.len() >= fetched.len()).await;
        assert_eq!(texts(&self.db, all).await, fetched);
        for edge in &self.edges {
            until("nothing waits", async || fetches_in(self.folder, &edge.name).await == 0).await;
        }
    }
}

fn edge(world: &World<'_>, nth: usize, proxies: &[Proxy; 2]) -> PanelProcess {
    let mut ports = proxies.each_ref().map(|proxy| proxy.port);
    // The edges follow different panels.
    ports.rotate_left(nth % 2);
    world.edge(&format!("edge-{nth}"), &ports)
}

async fn status(edge: &PanelProcess, user: i64) -> StatusCode {
    edge.request(Method::GET, &format!("{}/info", path_of(user))).send().await.expect("an answer").status()
}

/// Random numbers below a limit.
struct Random(u128);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x2d99_787f_926d_46e9_32c1_9fc6_5e1b_b0a5).wrapping_add(1);
        u64::try_from(self.0 >> 64).expect("64 bits") % limit
    }
}

async fn edges_are_whole_after_panels_are_killed_at_any_moment(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fleet = Fleet::start(&test, &folder).await;
    let seed = Uuid::new_v4().as_u128();
    println!("seed {seed}");
    let mut random = Random(seed);
    // At any moment of following and of reports with fetches.
    for round in 0..4 {
        let before = Duration::from_millis(random.below(ROUND));
        fleet.fetch_for(before, 3).await;
        let (is_first, pause) = (random.below(2) == 0, Duration::from_millis(random.below(ROUND)));
        fleet.kill_and_restart(is_first, pause, 3).await;
        let known = fleet.revoke().await;
        println!("round {round}: killed after {before:?} for {pause:?}, a revocation known after {known:?}");
    }
    // In the middle of a batch: it is stored, and the answer is lost with the panel.
    fleet.all_is_known().await;
    let batches = async |db: &Db| number(db, "SELECT COUNT(*) FROM edge_batch").await;
    // One whose answer was lost with a panel stays if there were further fetches before it was sent again.
    execute(&fleet.db, "DELETE FROM edge_batch").await;
    for proxy in &fleet.proxies[0] {
        proxy.set(ProxyFault::HoldAnswers);
        proxy.cut();
    }
    while fleet.next_user % 3 != 0 {
        fleet.next_user += 1;
    }
    fleet.fetch(3).await;
    until("a batch arrives", async || batches(&fleet.db).await > 0).await;
    fleet.kill_and_restart(true, Duration::ZERO, 3).await;
    fleet.kill_and_restart(false, Duration::ZERO, 3).await;
    fleet.set_for(0, ProxyFault::Clear);
    fleet.is_whole().await;
    // Under another id it would have counted again, and nobody would forget the first one.
    until("the batch is forgotten", async || batches(&fleet.db).await == 0).await;

    // In the middle of the first copy.
    for is_first in [true, false] {
        assert!(fleet.edges[2].stop().await.success());
        std::fs::remove_dir_all(folder.path().join("edge-2")).expect("the folder is removed");
        fleet.set_for(2, ProxyFault::Delay(Duration::from_millis(150)));
        fleet.edges[2] = edge(&fleet.world, 2, &fleet.proxies[2]);
        let copied = async || fleet.edges[2].counter("subscription_copy_users").await as i64;
        until("some users are copied", async || fleet.edges[2].health().await.is_some() && copied().await > 0).await;
        println!("killed with {} users in the copy", copied().await);
        fleet.kill_and_restart(is_first, Duration::from_millis(random.below(ROUND)), 2).await;
        fleet.set_for(2, ProxyFault::Clear);
        fleet.is_whole().await;
    }
    fleet.revoke().await;
}

async fn edges_are_whole_after_a_silent_cut(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fleet = Fleet::start(&test, &folder).await;
    fleet.fetch_for(Duration::from_secs(1), 3).await;
    let cut = Instant::now();
    fleet.set(ProxyFault::Lost);
    // Every limit of time has passed once the edges know.
    for edge in &fleet.edges {
        until("the edge finds out", async || is_in(edge, "degraded", "no panel can be followed").await).await;
    }
    println!("all edges are degraded {:?} after the cut", cut.elapsed());
    let revoked = 3_999;
    execute(&fleet.db, &format!("UPDATE users SET key = 'revoked' WHERE id = {revoked}")).await;
    let pause = Duration::from_millis(if seconds_of_the_cut() > 0 { 300 } else { 20 });
    let before = fleet.fetched.len();
    while cut.elapsed() < Duration::from_secs(seconds_of_the_cut()) || fleet.fetched.len() < before + 50 {
        fleet.fetch(3).await;
        sleep(pause).await;
    }
    assert_eq!(status(&fleet.edges[0], revoked).await, StatusCode::OK, "nothing passes");
    println!("{} fetches in a cut of {:?}, none failed", fleet.fetched.len() - before, cut.elapsed());

    fleet.set(ProxyFault::Clear);
    let healed = Instant::now();
    let known = fleet.revocation(revoked).await;
    fleet.is_whole().await;
    println!("a revocation of the cut is known {known:?} after its end, all is whole after {:?}", healed.elapsed());
    assert!(known < KNOWN, "a revocation of the cut is known {known:?} after its end");
}
