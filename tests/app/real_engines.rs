//! Changes of the configuration of a real engine: Xray and sing-box behind a node, with a real leading panel. What the
//! engine refuses is put back, and connections go on reaching the inbound.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::PanelProcess;
use crate::app::processes::{call, first_admin, setup};
use crate::support::database::{TestDatabase, number, on_both_engines};
use crate::support::ports::free_port;
use crate::support::test_node::{Options, Program, TestNode};
use crate::support::{executable, programs};

on_both_engines!(
    empty real_xray_gets_its_former_configuration_back,
    empty real_sing_box_gets_its_former_configuration_back,
);

const USER: &str = "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11";
const ANSWER: &[u8] = b"right";
const OBJECTS: &str = "SELECT (SELECT COUNT(*) FROM inbounds WHERE absent_since IS NULL) * 10000
    + (SELECT COUNT(*) FROM hosts) * 100 + (SELECT COUNT(*) FROM inbounds_services)";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Xray,
    SingBox,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Xray => "xray",
            Self::SingBox => "sing-box",
        }
    }

    /// A configuration with one inbound, changed by `more`, that connects to `target` whatever the client asks for.
    fn config(self, port: u16, target: u16, more: &Value) -> String {
        let (mut inbound, mut config) = match self {
            Self::Xray => (
                json!({"tag": "in", "listen": "127.0.0.1", "port": port, "protocol": "vless",
                    "settings": {"clients": [{"id": USER}], "decryption": "none"}}),
                json!({"log": {"loglevel": "warning"}, "outbounds": [{"protocol": "freedom", "settings": {
                    "redirect": format!("127.0.0.1:{target}"), "finalRules": [{"action": "allow"}]}}]}),
            ),
            Self::SingBox => (
                json!({"tag": "in", "listen": "127.0.0.1", "listen_port": port, "type": "vless",
                    "users": [{"name": "ann", "uuid": USER}]}),
                json!({"log": {"level": "info"}, "outbounds": [{"type": "direct", "tag": "direct"}], "route": {"rules": [
                    {"inbound": ["in"], "action": "route-options", "override_address": "127.0.0.1",
                        "override_port": target}]}}),
            ),
        };
        inbound.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        config["inbounds"] = json!([inbound]);
        config.to_string()
    }

    /// Changes of the inbound that the engine refuses, with a part of its words. The package's Xray ends without a word.
    fn refused(self, taken: u16) -> Vec<(Value, &'static str)> {
        let silent = "the engine ended and wrote nothing to its log";
        match self {
            Self::Xray => vec![
                (json!({"protocol": "nonsense"}), silent),
                (
                    json!({"streamSettings": {"network": "tcp", "security": "tls", "tlsSettings": {"certificates":
                        [{"certificateFile": "/nowhere/c.pem", "keyFile": "/nowhere/k.pem"}]}}}),
                    silent,
                ),
                (json!({"port": taken}), silent),
                (
                    json!({"streamSettings": {"network": "tcp", "security": "reality", "realitySettings": {
                        "dest": "127.0.0.1:443", "serverNames": ["a.example"], "privateKey": "bad", "shortIds": [""]}}}),
                    silent,
                ),
            ],
            Self::SingBox => vec![
                (json!({"type": "nonsense"}), "unknown inbound type: nonsense"),
                (
                    json!({"tls": {"enabled": true, "certificate_path": "/nowhere/c.pem", "key_path": "/nowhere/k.pem"}}),
                    "open /nowhere/c.pem: no such file or directory",
                ),
                (json!({"listen_port": taken}), "bind: address already in use"),
                (
                    json!({"tls": {"enabled": true, "server_name": "a.example", "reality": {"enabled": true,
                        "handshake": {"server": "127.0.0.1", "server_port": 443}, "private_key": "bad"}}}),
                    "initialize inbound[0]: ",
                ),
            ],
        }
    }
}

/// Answers every connection that says something.
fn target() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // The client may have gone.
            let _ = stream.read(&mut [0; 16]).and_then(|_| stream.write_all(ANSWER));
        }
    });
    port
}

/// Speaks VLESS to the inbound, and returns whether the target behind it answers.
fn is_reached(port: u16) -> bool {
    let dial = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let user = hex::decode(USER.replace('-', "")).expect("a UUID");
        // Version 0, the user, no addons, TCP, port 80 of 198.18.0.1.
        let header = [&[0][..], &user, &[0, 1, 0, 80, 1, 198, 18, 0, 1], b"hello"].concat();
        stream.write_all(&header)?;
        let mut answer = vec![0; 2 + ANSWER.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    dial().is_ok_and(|answer| answer[2..] == *ANSWER)
}

/// A panel that leads, and a node with a real engine.
struct Trial {
    engine: Engine,
    panel: PanelProcess,
    token: String,
    node: TestNode,
}

impl Trial {
    async fn put(&self, config: &str) -> (StatusCode, String) {
        let path = format!("/api/nodes/1/{}/config", self.engine.name());
        let request = self.panel.request(Method::PUT, &path).bearer_auth(&self.token);
        let request = request.json(&json!({"config": config, "format": 1})).timeout(Duration::from_secs(40));
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a text"))
    }

    async fn runs(&self) -> bool {
        let path = format!("/api/nodes/1/{}/stats", self.engine.name());
        call(&self.panel, &self.token, Method::GET, &path, Value::Null).await["running"] == true
    }

    /// Waits until the panel reports the node with this status and with a message that contains the part.
    async fn shows(&self, status: &str, part: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let node = call(&self.panel, &self.token, Method::GET, "/api/nodes/1", Value::Null).await;
            if node["status"] == status && node["message"].as_str().unwrap_or_default().contains(part) {
                return;
            }
            assert!(Instant::now() < end, "not {status} with {part:?}: {node}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the panel knows the node's inbound: the engine runs a moment before. Returns its id.
    async fn inbound(&self) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let inbounds = call(&self.panel, &self.token, Method::GET, "/api/inbounds", Value::Null).await;
            if let Some(inbound) = inbounds["items"].get(0) {
                return inbound["id"].clone();
            }
            assert!(Instant::now() < end, "no inbound is reported");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asserts that the engine runs with this configuration and carries data, and that the panel says so.
    async fn serves(&self, config: &str, port: u16) {
        assert_eq!(self.node.config(self.engine.name()).as_deref(), Some(config));
        assert!(self.node.engine_runs(self.engine.name()));
        assert!(self.runs().await);
        let reached = tokio::task::spawn_blocking(move || is_reached(port)).await.expect("no panic");
        assert!(reached, "the inbound carries nothing");
    }
}

async fn real_xray_gets_its_former_configuration_back(test: TestDatabase) {
    // The oldest and the newest version, one on each engine of the database.
    let version = if test.db.engine() == sarban::store::Engine::Postgres { "1.8.26.13" } else { "1.8.26.8" };
    trial(&test, Engine::Xray, Program::Xray(programs().join(format!("Xray-core-{version}")))).await;
}

async fn real_sing_box_gets_its_former_configuration_back(test: TestDatabase) {
    let version = if test.db.engine() == sarban::store::Engine::Postgres { "1.14.4" } else { "1.12.10" };
    trial(&test, Engine::SingBox, Program::SingBox(executable(crate::support::sing_box(version)))).await;
}

async fn trial(test: &TestDatabase, engine: Engine, program: Program) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(test, folder.path());
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let node = TestNode::start(Options { engine: Some(program), ..Options::default() }).await.expect("a node");
    let body = json!({"address": "127.0.0.1", "port": node.address().port()});
    call(&panel, &token, Method::PUT, "/api/nodes/1", body).await;
    let trial = Trial { engine, panel, token, node };
    trial.shows("unhealthy", "does not run").await;
    assert!(!trial.runs().await);

    let (port, target, occupied) =
        (free_port(), target(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    let good = engine.config(port, target, &json!({}));
    let (status, answer) = trial.put(&good).await;
    assert!(status.is_success(), "{answer}");
    trial.serves(&good, port).await;
    trial.shows("healthy", "").await;
    let service = json!({"name": "all", "inbound_ids": [trial.inbound().await]});
    call(&trial.panel, &trial.token, Method::POST, "/api/services", service).await;
    let objects = number(&test.db, OBJECTS).await;
    assert_eq!(objects, 10_101, "an inbound, its host, and its service");

    for (more, words) in engine.refused(occupied.local_addr().expect("its address").port()) {
        let (status, answer) = trial.put(&engine.config(port, target, &more)).await;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY, "{more}: {status} {answer}");
        assert!(
            answer.contains(words) && answer.contains("is in place again, and the engine runs"),
            "{more}: {answer}"
        );
        trial.serves(&good, port).await;
    }
    trial.shows("healthy", "").await;

    // One that starts, says so, and ends after two seconds.
    let dying = engine.config(port, target, &json!({"tag": "dying"}));
    let killed = async {
        while trial.node.config(engine.name()).as_deref() != Some(&dying) {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_secs(2)).await;
        assert!(trial.node.engine_runs(engine.name()));
        trial.node.kill_program();
    };
    let ((status, answer), ()) = tokio::join!(trial.put(&dying), killed);
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY, "{status} {answer}");
    assert!(answer.contains("is in place again, and the engine runs"), "{answer}");
    trial.serves(&good, port).await;
    trial.shows("healthy", "").await;

    trial.node.kill_program();
    trial.shows("unhealthy", "does not run").await;
    assert!(!trial.runs().await);
    let restore = format!("/api/nodes/1/{}/config/restore", engine.name());
    call(&trial.panel, &trial.token, Method::POST, &restore, Value::Null).await;
    trial.serves(&good, port).await;
    trial.shows("healthy", "").await;
    assert_eq!(number(&test.db, OBJECTS).await, objects, "no inbound, host or membership was lost or added");
}
