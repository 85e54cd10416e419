//! An idle panel hardly wakes up: what it waits for comes as an event, or its timers go off together.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use sarban::store::Engine;
use tokio::time::{Instant, sleep};

use crate::app::panel_process::{PanelProcess, Setup};
use crate::support::database::{Content, execute, with_database};
use crate::support::ports::free_port;

/// Times a second that threads of the panel begin to wait, at most. It is about 35; polling five times a second took 119.
const MOST: u64 = 90;
const WINDOW: Duration = Duration::from_secs(4);

#[test]
fn idle_panel_on_sqlite_with_a_node_that_is_away_wakes_up_rarely() {
    with_database(Engine::Sqlite, Content::Schema, async |test| {
        let away = free_port();
        // A new panel has one node.
        execute(&test.db, &format!("UPDATE nodes SET address = '127.0.0.1', port = {away}")).await;
        let folder = tempfile::tempdir().expect("a folder");
        let every = |task| (task, "30".to_owned());
        let more = vec![
            ("LEASE_TTL_SECONDS", "10".to_owned()),
            every("TASKS_RECORD_USER_USAGES_INTERVAL"),
            every("TASKS_REVIEW_USERS_INTERVAL"),
        ];
        let (database, cluster) = (&test.options.url, "idle".to_owned());
        let setup = Setup { database, redis: None, cluster, folder: folder.path(), more };
        let mut panel = setup.start("ann");
        panel.ready().await;
        // A window in which a task runs, or the node is tried, has more.
        let (began, mut windows) = (Instant::now(), Vec::new());
        while windows.last().is_none_or(|waits| *waits > MOST) {
            assert!(began.elapsed() < Duration::from_secs(120), "waits a second in each window: {windows:?}");
            let before = waits(&panel);
            sleep(WINDOW).await;
            let after = waits(&panel);
            let begun = after.iter().map(|(thread, count)| count - before.get(thread).unwrap_or(&0)).sum::<u64>();
            windows.push(begun / WINDOW.as_secs());
        }
        assert_eq!(panel.health().await.expect("it answers")["scheduler"], "leader", "an idle leader was measured");
    });
}

/// How often each thread of the panel has begun to wait.
fn waits(panel: &PanelProcess) -> HashMap<String, u64> {
    let threads = fs::read_dir(format!("/proc/{}/task", panel.id())).expect("a process");
    let count = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((thread.file_name().into_string().ok()?, line.trim().parse().ok()?))
    };
    threads.filter_map(|thread| count(thread.ok()?)).collect()
}
