//! The wakeup between processes, on a real Redis.

use std::time::Duration;

use sarban::cluster::wakeup::Wakeup;
use sarban::cluster::wakeup_relay;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::redis_lock::servers;
use crate::support;

/// A process that starts while another one hands over must not sleep through it.
#[tokio::test]
async fn whoever_begins_to_listen_looks_once_for_what_rang_before() {
    let (wakeup, stop) = (Wakeup::default(), CancellationToken::new());
    let mut wakeups = wakeup.subscribe();
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let carrying = wakeup_relay::carry(wakeup, servers(&support::redis_url()), cluster, Uuid::new_v4(), stop.clone());
    let carrying = tokio::spawn(carrying);
    timeout(Duration::from_secs(20), wakeups.wait()).await.expect("a ring, although nobody rings any more");
    stop.cancel();
    carrying.await.expect("it ends");
}
