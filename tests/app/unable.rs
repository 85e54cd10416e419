//! A panel whose connections for tasks are cut off, while those of the lease are not, leaves leadership to one that can
//! work.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::Engine;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{call, first_admin, leader};
use crate::cluster::latency::through_a_proxy;
use crate::support;
use crate::support::database::{Content, TestDatabase, number, with_database};
use crate::support::proxy::ProxyFault;

const EPOCH: &str = "SELECT epoch FROM scheduler_lease";
const ANN: usize = 0;
const BEN: usize = 1;

/// Five seconds without an answer, five heartbeats of two seconds, and as much again on a busy machine.
const HAND_OVER: Duration = Duration::from_secs(35);

/// Settings of a panel that reaches the database at `far`, and for the lease directly.
fn setup<'a>(test: &TestDatabase, far: &'a DatabaseUrl, folder: &'a Path) -> Setup<'a> {
    let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not PostgreSQL") };
    let (_, cluster) = url.expose().rsplit_once('/').expect("a name");
    Setup {
        database: far,
        redis: Some(support::redis_url()),
        cluster: cluster.replace('_', "-"),
        folder,
        more: vec![("DATABASE_DIRECT_URL", url.expose().to_owned()), ("METRICS_TOKEN", "metrics".to_owned())],
    }
}

async fn wait_for_leader(test: &TestDatabase, panels: &[PanelProcess], expected: usize) {
    let limit = Instant::now() + HAND_OVER;
    while leader(&test.db, panels).await != expected {
        assert!(Instant::now() < limit, "{} does not lead", panels[expected].name);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns which members of the cluster can work, by name.
async fn able(panel: &PanelProcess, token: &str) -> Vec<(String, Value)> {
    let cluster = call(panel, token, Method::GET, "/api/cluster", Value::Null).await;
    let members = cluster["members"].as_array().expect("members");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut able: Vec<_> = members.iter().map(|member| (text(&member["host"]), member["can_work"].clone())).collect();
    able.sort_by(|one, other| one.0.cmp(&other.0));
    able
}

async fn metrics(panel: &PanelProcess) -> String {
    let answer = panel.request(Method::GET, "/metrics").bearer_auth("metrics").send().await.expect("an answer");
    answer.text().await.expect("text")
}

#[test]
fn panel_that_cannot_work_hands_over_and_claims_nothing_while_another_one_can() {
    with_database(Engine::Postgres, Content::Schema, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let (far_ann, to_ann) = through_a_proxy(&test).await;
        let (far_ben, to_ben) = through_a_proxy(&test).await;
        let setups = [&far_ann, &far_ben].map(|far| setup(&test, &far.options.url, folder.path()));
        let mut panels = vec![setups[ANN].start("ann")];
        panels[ANN].ready().await;
        wait_for_leader(&test, &panels, ANN).await;
        panels.push(setups[BEN].start("ben"));
        panels[BEN].ready().await;
        let token = first_admin(&setups[ANN], &panels[ANN]).await;

        let epoch = number(&test.db, EPOCH).await;
        to_ann.set(ProxyFault::Lost);
        to_ben.set(ProxyFault::Lost);
        sleep(Duration::from_secs(22)).await;
        assert_eq!(number(&test.db, EPOCH).await, epoch, "nobody is better off");

        to_ben.set(ProxyFault::Clear);
        wait_for_leader(&test, &panels, BEN).await;
        let members = able(&panels[BEN], &token).await;
        assert_eq!(members, [("ann".to_owned(), json!(false)), ("ben".to_owned(), json!(true))]);
        let seen = metrics(&panels[ANN]).await;
        assert!(seen.contains(r#"leader_transitions_total{reason="unable"} 1"#), "{seen}");
        assert!(seen.contains("panel_can_work 0"), "{seen}");

        // The lease is free for a moment, and only the one that just stepped down can work.
        let epoch = number(&test.db, EPOCH).await;
        call(&panels[BEN], &token, Method::POST, "/api/cluster/step-down", Value::Null).await;
        let limit = Instant::now() + HAND_OVER;
        while number(&test.db, EPOCH).await == epoch {
            assert!(Instant::now() < limit, "nobody claims the lease again");
            sleep(Duration::from_millis(50)).await;
        }
        wait_for_leader(&test, &panels, BEN).await;
        assert_eq!(number(&test.db, EPOCH).await, epoch + 1, "ann led in between");

        to_ann.set(ProxyFault::Clear);
        let limit = Instant::now() + Duration::from_secs(30);
        while able(&panels[BEN], &token).await.iter().any(|(_, able)| *able != json!(true)) {
            assert!(Instant::now() < limit, "ann has not healed");
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(number(&test.db, EPOCH).await, epoch + 1, "a panel that heals takes nothing away");

        // The node of a new database, which may be there or not.
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            let cluster = call(&panels[BEN], &token, Method::GET, "/api/cluster", Value::Null).await;
            let enabled = |member: usize| cluster["members"][member]["nodes_enabled"].as_u64();
            if [enabled(0), enabled(1)] == [Some(1); 2] {
                break;
            }
            assert!(Instant::now() < limit, "the members do not report their nodes: {cluster}");
            sleep(Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn panel_whose_lease_connection_fails_does_not_count_as_able() {
    with_database(Engine::Postgres, Content::Schema, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let (far, to_ben) = through_a_proxy(&test).await;
        let DatabaseUrl::Postgres { url } = &far.options.url else { panic!("not PostgreSQL") };
        let mut setup = setup(&test, &test.options.url, folder.path());
        let mut panels = vec![setup.start("ann")];
        panels[ANN].ready().await;
        wait_for_leader(&test, &panels, ANN).await;
        let token = first_admin(&setup, &panels[ANN]).await;
        setup.more = vec![("DATABASE_DIRECT_URL", url.expose().to_owned())];
        panels.push(setup.start("ben"));
        panels[BEN].ready().await;
        let shows = async |ben: bool| {
            let limit = Instant::now() + HAND_OVER;
            let expected = [("ann".to_owned(), json!(true)), ("ben".to_owned(), json!(ben))];
            while able(&panels[ANN], &token).await != expected {
                assert!(Instant::now() < limit, "not {expected:?}: {:?}", able(&panels[ANN], &token).await);
                sleep(Duration::from_millis(200)).await;
            }
        };
        shows(true).await;
        to_ben.set(ProxyFault::Lost);
        shows(false).await;
        to_ben.set(ProxyFault::Clear);
        shows(true).await;
    });
}
