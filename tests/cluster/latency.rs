//! A slow network to PostgreSQL: an operation on the lease is one round trip, so that the lease is held at the longest
//! supported round trip.

use std::time::Duration;

use sarban::clock::Clock;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::ids::Epoch;
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::SECOND;
use sarban::store::cluster::lease;
use sarban::store::{Engine, OpenOptions};
use tokio::time::{Instant, sleep};

use super::elector::{Cluster, leads};
use super::lease::{candidate, lease_db};
use crate::support::database::{Content, TestDatabase, with_database};
use crate::support::proxy::{Proxy, ProxyFault};

/// The same database through a proxy.
pub async fn through_a_proxy(test: &TestDatabase) -> (TestDatabase, Proxy) {
    let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not PostgreSQL") };
    let (server, name) = url.expose().rsplit_once('/').expect("an address that ends in a database's name");
    let (login, port) = server.rsplit_once(':').expect("a port");
    let proxy = Proxy::start(port.parse().expect("a port")).await.expect("a proxy");
    let url = DatabaseUrl::parse(&format!("{login}:{}/{name}", proxy.port)).expect("a valid address");
    (TestDatabase { options: OpenOptions { url, ..test.options.clone() }, ..test.clone() }, proxy)
}

#[test]
fn lease_operations_are_one_round_trip() {
    with_database(Engine::Postgres, Content::Schema, async |test| {
        const ONE_WAY: Duration = Duration::from_millis(100);
        let (far, proxy) = through_a_proxy(&test).await;
        let (clock, me) = (Clock::real(), candidate(&test.db, 1));
        let mut lease_db = lease_db(&far);
        lease_db.connect().await.expect("a connection");
        proxy.set(ProxyFault::Delay(ONE_WAY));
        // Of several, because a busy machine adds to some; a second round trip would add to each.
        let mut fastest = Duration::MAX;
        for before in (0..10).map(Epoch) {
            let epoch = Epoch(before.0 + 1);
            let start = Instant::now();
            assert_eq!(lease::read(&mut lease_db, &clock, "").await.expect("the lease").epoch, before);
            assert!(lease::claim(&mut lease_db, &clock, &me, before).await.expect("claimed"));
            assert!(lease::renew(&mut lease_db, &clock, &me, epoch).await.expect("renewed"));
            assert!(lease::release(&mut lease_db, &me, epoch).await.expect("released"));
            fastest = fastest.min(start.elapsed());
            assert!(fastest >= 8 * ONE_WAY, "the delay is missing: {fastest:?}");
            // Half a round trip more than four.
            if fastest < 9 * ONE_WAY {
                break;
            }
        }
        assert!(fastest < 9 * ONE_WAY, "four operations took {fastest:?}");
        assert!(lease_db.take_round_trip().expect("a measurement") >= 2 * ONE_WAY);
    });
}

#[test]
fn leader_keeps_its_lease_at_the_longest_supported_round_trip() {
    with_database(Engine::Postgres, Content::Schema, async |test| {
        let timing = LeaseTiming::new(2 * SECOND, None).expect("a good timing");
        let round_trip = Duration::from_micros(timing.supported_round_trip().unsigned_abs());
        let (far, proxy) = through_a_proxy(&test).await;
        proxy.set(ProxyFault::Delay(round_trip / 2));
        let cluster = Cluster::new(far, false);
        let mut member = cluster.join().await;
        member.leads_within(Duration::from_secs(10)).await;
        // Five times the TTL.
        sleep(Duration::from_secs(10)).await;
        assert!(leads(&member));
        cluster.leader_log_begins_with(&[(Epoch(1), true)]).await;
        assert_eq!(cluster.terms(), 1, "the lease was lost and claimed again");
        member.drain.cancel();
        member.task.await.expect("it ends without a panic");
    });
}
