//! The bell between processes, on a real Redis.

use std::time::Duration;

use sarban::cluster::bell::Bell;
use sarban::cluster::ringing;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::gate::servers;
use crate::support;

/// A process that starts while another one hands over must not sleep through it.
#[tokio::test]
async fn whoever_begins_to_listen_looks_once_for_what_rang_before() {
    let (bell, stop) = (Bell::default(), CancellationToken::new());
    let mut ear = bell.ear();
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let carrying = ringing::carry(bell, servers(&support::redis_url()), cluster, Uuid::new_v4(), stop.clone());
    let carrying = tokio::spawn(carrying);
    timeout(Duration::from_secs(20), ear.heard()).await.expect("a ring, although nobody rings any more");
    stop.cancel();
    carrying.await.expect("it ends");
}
