//! A leading panel: a database with a node, a service and users, and a supervisor that keeps the node in step.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use sarban::clock::Clock;
use sarban::domain::ids::{Epoch, NodeId};
use sarban::domain::moment::BootTime;
use sarban::domain::term::Term;
use sarban::nodes::{PanelIdentity, Supervisor, Timing, panel_certificate};
use sarban::store::nodes::sync_state;
use sarban::store::users::changes;
use sarban::store::{Db, Fence, IdList, Tx};
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::test_node::TestNode;

pub struct Panel {
    pub supervisor: Supervisor,
    pub term: Term,
    stop: CancellationToken,
    leading: JoinHandle<()>,
    _wakeup: watch::Sender<()>,
}

/// Short intervals and time limits; full syncs only after something breaks.
pub fn brisk() -> Timing {
    Timing {
        poll_changes: Duration::from_millis(20),
        poll_nodes: Duration::from_millis(50),
        poll_waiting: Duration::from_millis(50),
        backoff: (Duration::from_millis(20), Duration::from_millis(200)),
        settle: (Duration::from_millis(60), Duration::ZERO),
        steady: Duration::from_millis(300),
        refused: Duration::from_millis(300),
        last_usage: Duration::from_millis(100),
        unserved: Duration::from_millis(300),
        probe_engines: (Duration::from_millis(50), Duration::from_millis(30)),
        ..Timing::default()
    }
}

impl Panel {
    /// Starts to lead under the next epoch.
    pub async fn lead(db: &Db) -> Self {
        Self::lead_with(db, brisk()).await
    }

    pub async fn lead_with(db: &Db, timing: Timing) -> Self {
        let fence = next_term(db).await;
        let (term, clock) = (fence.term().clone(), Clock::real());
        let material = panel_certificate::obtain(db, clock.now()).await.unwrap();
        let identity = PanelIdentity::from_pem(&material.certificate, &material.key).unwrap();
        let (wakeup, wake) = watch::channel(());
        let supervisor = Supervisor::new(clock, identity, wake, 7, timing);
        let stop = CancellationToken::new();
        let (leader, until) = (supervisor.clone(), stop.clone());
        let leading = tokio::spawn(async move { leader.lead(fence, until).await });
        Self { supervisor, term, stop, leading, _wakeup: wakeup }
    }

    pub async fn step_down(mut self) {
        self.stop.cancel();
        (&mut self.leading).await.unwrap();
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Returns the fence of the next epoch's leader.
pub async fn next_term(db: &Db) -> Fence {
    sql(db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    let epoch = Epoch(number(db, "SELECT epoch FROM scheduler_epoch").await);
    let term = Term::new(epoch, BootTime::from_micros(i64::MAX));
    Fence::new(db.clone(), Clock::real(), term, Duration::from_secs(2), "test".to_owned())
}

/// Adds a node, and removes the one that every new database has.
pub async fn add_node(db: &Db, id: i64, address: SocketAddr, kind: &str) {
    let (ip, port) = (address.ip(), address.port());
    sql(
        db,
        &format!(
            "DELETE FROM nodes WHERE name = 'local';
             INSERT INTO nodes (id, name, address, port, connection_backend, created_at)
             VALUES ({id}, 'node {id}', '{ip}', {port}, '{kind}', 0)"
        ),
    )
    .await;
}

/// Adds service 1 and its users 1 to `users`, with the keys `key-1` and so on.
pub async fn add_users(db: &Db, users: i64) {
    sql(db, "INSERT INTO services (id, name) VALUES (1, 'all')").await;
    for id in 1..=users {
        sql(
            db,
            &format!(
                "INSERT INTO users (id, username, key, expire_strategy, created_at)
                    VALUES ({id}, 'user{id}', 'key-{id}', 'never', 0);
                 INSERT INTO users_services (user_id, service_id) VALUES ({id}, 1)"
            ),
        )
        .await;
    }
}

/// Adds a node and `users` users, and waits until the node has all of them on its inbound `vless`.
pub async fn in_step(db: &Db, node: &TestNode, users: i64) -> Panel {
    in_step_with(db, node, users, brisk()).await
}

/// As [`in_step`], with other times.
pub async fn in_step_with(db: &Db, node: &TestNode, users: i64, timing: Timing) -> Panel {
    add_node(db, 1, node.address(), "grpcio").await;
    add_users(db, users).await;
    let panel = Panel::lead_with(db, timing).await;
    healthy(db, 1).await;
    give(db, "vless", users).await;
    eventually("the node has all users", async || node.users().len() as i64 == users).await;
    eventually("no mark is left", async || marks(db).await == 0).await;
    panel
}

/// Adds an inbound to the service, as when an admin edits the service.
pub async fn give(db: &Db, tag: &str, users: i64) {
    let edit = format!("INSERT INTO inbounds_services SELECT id, 1 FROM inbounds WHERE tag = '{tag}'");
    change(db, &edit, 1..=users).await;
}

/// Runs a statement and marks the users that it changes, in one transaction.
pub async fn change(db: &Db, text: &str, users: impl IntoIterator<Item = i64>) {
    let mut tx = db.begin().await.unwrap();
    run(&mut tx, text).await;
    changes::mark(&mut tx, IdList::new(users), Clock::real().now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Gives a user a new key.
pub async fn revoke(db: &Db, user: i64, key: &str) {
    let text = format!(
        "UPDATE key_change SET seq = seq + 1;
         UPDATE users SET key = '{key}', key_change_seq = (SELECT seq FROM key_change) WHERE id = {user}"
    );
    change(db, &text, [user]).await;
}

pub async fn healthy(db: &Db, node: i64) {
    let text = format!("SELECT COUNT(*) FROM nodes WHERE id = {node} AND status = 'healthy' AND message IS NULL");
    eventually("the node is healthy", async || number(db, &text).await == 1).await;
}

/// Waits until the node is unhealthy with a message that contains `part`.
pub async fn unhealthy(db: &Db, node: i64, part: &str) {
    let text =
        format!("SELECT COUNT(*) FROM nodes WHERE id = {node} AND status = 'unhealthy' AND message LIKE '%{part}%'");
    let end = Instant::now() + Duration::from_secs(30);
    while number(db, &text).await != 1 {
        assert!(Instant::now() < end, "the message of node {node} lacks {part:?}: {}", message(db, node).await);
        sleep(Duration::from_millis(10)).await;
    }
}

async fn message(db: &Db, node: i64) -> String {
    let row = sync_state::node(db, NodeId(node)).await.unwrap().expect("the node");
    format!("{:?} {:?}", row.status, row.message)
}

pub async fn marks(db: &Db) -> i64 {
    number(db, "SELECT COUNT(*) FROM user_change").await
}

pub async fn sql(db: &Db, text: &str) {
    let mut tx = db.begin().await.unwrap();
    run(&mut tx, text).await;
    tx.commit().await.unwrap();
}

pub async fn number(db: &Db, text: &str) -> i64 {
    let text = AssertSqlSafe(text.to_owned());
    let mut tx = db.begin().await.unwrap();
    let answer = match &mut tx {
        Tx::Pg(tx) => query_scalar(text).fetch_one(tx.connection().expect("a connection")).await,
        Tx::Lite { tx, .. } => query_scalar(text).fetch_one(&mut **tx).await,
    };
    tx.rollback().await.unwrap();
    answer.unwrap()
}

async fn run(tx: &mut Tx, text: &str) {
    let text = AssertSqlSafe(text.to_owned());
    match tx {
        Tx::Pg(tx) => raw_sql(text).execute(tx.connection().expect("a connection")).await.map(drop),
        Tx::Lite { tx, .. } => raw_sql(text).execute(&mut **tx).await.map(drop),
    }
    .unwrap();
}

/// Waits up to 30 s for a condition.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < limit, "this never came true: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
