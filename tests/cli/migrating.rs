//! docs/migrating.md, walked line by line with a small database; `tests/deploy/migrating.py --users 100000` is the long form.

use std::path::Path;
use std::process::Command;

use crate::support::test_node::{Fixture, Options, TestNode};

#[tokio::test]
async fn every_command_of_the_page_does_what_the_page_says() {
    let backends = Fixture::built_in().backends;
    let node =
        TestNode::start(Options { backends, bytes_per_second: 1_000, ..Options::default() }).await.expect("a node");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/migrating.py");
    let address = node.address().to_string();
    let walk = tokio::task::spawn_blocking(move || {
        Command::new("python3")
            .arg(script)
            .args(["--sarban", env!("CARGO_BIN_EXE_sarban"), "--users", "2000", "--hours", "5", "--node", &address])
            .output()
            .expect("python3 runs")
    });
    let output = walk.await.expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("switch: from the end of the old panel"), "{}", text(&output.stdout));
}
