//! Replies of nodes of a hundred megabytes cost a panel little memory.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::PanelProcess;
use crate::app::processes::{call, set_up_users, setup};
use crate::support::database::{TestDatabase, on_both_engines};
use crate::support::test_node::{Options, RawReply, TestNode};

on_both_engines!(large_replies_of_a_node_take_little_memory);

/// The most memory that a process has had, in MiB.
fn peak(panel: &PanelProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", panel.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

async fn large_replies_of_a_node_take_little_memory(test: TestDatabase) {
    const MEBIBYTE: usize = 1 << 20;
    let node = TestNode::start(Options::default()).await.expect("a node");
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panels = [setup.start("ann")];
    panels[0].ready().await;
    set_up_users(&setup, &mut panels, &node).await;
    let [panel] = panels;
    let login = [("username", "root"), ("password", "rootpass")];
    let answer = panel.request(Method::POST, "/api/admins/token").form(&login).send().await.expect("an answer");
    let token = answer.json::<Value>().await.expect("a token")["access_token"].as_str().expect("text").to_owned();
    let before = peak(&panel);

    // 32 MiB of empty entries, 32 MiB of unknown fields, and one user many times.
    let empty = [0x0a, 0].repeat(MEBIBYTE / 2);
    let unknown = [&[7 << 3 | 2, 0x80, 0x80, 0x40][..], &vec![b'x'; MEBIBYTE]].concat();
    let repeated = [0x0a, 4, 8, 1, 16, 1].repeat(50_000);
    let usage = RawReply { pieces: vec![empty, unknown, repeated], times: 32 };
    node.reply_raw("FetchUsersStats", Some(usage));
    let used =
        async || call(&panel, &token, Method::GET, "/api/users/user_1", Value::Null).await["used_traffic"].as_u64();
    let limit = Instant::now() + std::time::Duration::from_secs(60);
    while used().await == Some(0) {
        assert!(Instant::now() < limit, "the usage was not recorded; the panel's log:\n{}", panel.log());
        sleep(std::time::Duration::from_millis(200)).await;
    }
    node.reply_raw("FetchUsersStats", None);
    assert_eq!(used().await.expect("a number") % (32 * 50_000), 0, "each byte counts");

    // A report of 64 MiB, and a configuration and a status of that size.
    let large = RawReply { pieces: vec![vec![0x0a, 0x80, 0x80, 0x80, 0x20], vec![b'x'; MEBIBYTE]], times: 1 };
    let large = RawReply { pieces: [&large.pieces[..1], &vec![large.pieces[1].clone(); 64][..]].concat(), times: 1 };
    for name in ["FetchBackends", "FetchBackendConfig", "GetBackendStats", "RestartBackend"] {
        node.reply_raw(name, Some(large.clone()));
    }
    call(&panel, &token, Method::POST, "/api/nodes/1/resync", json!({})).await;
    for path in ["/api/nodes/1/xray/config", "/api/nodes/1/xray/stats"] {
        let answer = panel.request(Method::GET, path).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(answer.status(), 502, "{path}");
    }
    let message = async || call(&panel, &token, Method::GET, "/api/nodes/1", Value::Null).await["message"].to_string();
    while !message().await.contains("too large") {
        assert!(Instant::now() < limit, "the node is not unhealthy: {}", message().await);
        sleep(std::time::Duration::from_millis(100)).await;
    }
    let peak = peak(&panel);
    println!("peak before: {before} MiB, after: {peak} MiB");
    assert!(peak < before + 48, "{before} MiB before, {peak} MiB after");
}
