//! Wake-ups between processes, on a real Redis.

use std::time::Duration;

use sarban::cluster::redis_status::{RedisMonitor, RedisStatus};
use sarban::cluster::wakeup::Wakeup;
use sarban::cluster::wakeup_relay;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cluster::redis_lock::panel_redis;
use crate::support;
use crate::support::proxy::{Proxy, ProxyFault};

fn monitor() -> RedisMonitor {
    RedisMonitor::new(RedisStatus::Ok)
}

/// A process that starts during a hand-over of another one must not miss it, so subscribing counts as a wake-up.
#[tokio::test]
async fn new_listener_receives_one_wakeup_without_a_sender() {
    let (wakeup, stop) = (Wakeup::default(), CancellationToken::new());
    let mut wakeups = wakeup.subscribe();
    let redis = panel_redis(&support::redis_url(), &format!("test-{}", Uuid::new_v4().simple()));
    let listening = tokio::spawn(wakeup_relay::listen(wakeup, redis, Uuid::new_v4(), monitor(), stop.clone()));
    timeout(Duration::from_secs(20), wakeups.wait()).await.expect("a wake-up without a sender");
    stop.cancel();
    listening.await.expect("the listener ends");
}

#[tokio::test]
async fn wakeup_of_one_process_is_received_by_another_and_not_by_itself() {
    let redis = panel_redis(&support::redis_url(), &format!("test-{}", Uuid::new_v4().simple()));
    let stop = CancellationToken::new();
    let join = async || {
        let (wakeup, instance) = (Wakeup::default(), Uuid::new_v4());
        let mut wakeups = wakeup.subscribe();
        tokio::spawn(wakeup_relay::listen(wakeup.clone(), redis.clone(), instance, monitor(), stop.clone()));
        tokio::spawn(wakeup_relay::publish(wakeup.clone(), redis.clone(), instance, stop.clone()));
        // The wake-up that follows each subscription.
        timeout(Duration::from_secs(20), wakeups.wait()).await.expect("it subscribes");
        (wakeup, wakeups)
    };
    let (ann, mut to_ann) = join().await;
    let (_ben, mut to_ben) = join().await;
    ann.notify();
    timeout(Duration::from_secs(20), to_ben.wait()).await.expect("a wake-up");
    timeout(Duration::from_secs(20), to_ann.wait()).await.expect("the local wake-up");
    let again = timeout(Duration::from_millis(300), to_ann.wait()).await;
    assert!(again.is_err(), "its own wake-up came back from Redis");
    stop.cancel();
}

/// A host that loses its power closes no connection, and answers to new ones once it is back.
#[tokio::test]
async fn subscription_to_a_host_that_lost_its_power_is_made_again() {
    let url = support::redis_url();
    let port = url.rsplit_once(':').expect("a port").1.parse().expect("a port");
    let proxy = Proxy::start(port).await.expect("a proxy");
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let (here, behind) = (panel_redis(&url, &cluster), format!("redis://127.0.0.1:{}", proxy.port));
    let (wakeup, monitor, stop) = (Wakeup::default(), monitor(), CancellationToken::new());
    let mut status = monitor.subscribe();
    let mut wakeups = wakeup.subscribe();
    let listening = wakeup_relay::listen(wakeup, panel_redis(&behind, &cluster), Uuid::new_v4(), monitor, stop.clone());
    let listening = tokio::spawn(listening);
    timeout(Duration::from_secs(20), wakeups.wait()).await.expect("it subscribes");
    proxy.set(ProxyFault::Lost);
    // 2 s to the next sign of life, 3 s for it, and twice that for a busy machine.
    let down = status.wait_for(|status| *status == RedisStatus::Down);
    timeout(Duration::from_secs(15), down).await.expect("the lost subscription is seen").expect("it lives");
    proxy.set(ProxyFault::Clear);
    let up = status.wait_for(|status| *status == RedisStatus::Ok);
    timeout(Duration::from_secs(15), up).await.expect("it subscribes again").expect("it lives");
    // The wake-up that follows each subscription.
    timeout(Duration::from_secs(5), wakeups.wait()).await.expect("a wake-up");
    wakeup_relay::publish_once(&Wakeup::default(), &here).await.expect("published");
    timeout(Duration::from_secs(5), wakeups.wait()).await.expect("wake-ups arrive again");
    stop.cancel();
    listening.await.expect("it ends");
}
