//! An edge and a panel of different versions: between them stands a server that alters the panel's answers to what another version
//! could send.

use std::sync::{Arc, Mutex};

use poem::http::{HeaderMap, HeaderValue};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Body, Endpoint, Request, Response, Server};
use prost::Message;
use reqwest::{Client, StatusCode};
use sarban::domain::copy::{CopiedUser, Update, UserPage};
use sarban::domain::edge::{FORMAT, FORMAT_HEADER};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::app::edge_world::{KEY, LIMIT, OTHER_KEY, World, answer, is_in, set_key, status, until};
use crate::support::database::{TestDatabase, execute, on_both_engines};

on_both_engines! {
    answers_with_more_and_with_fewer_fields_are_read,
    answers_that_cannot_be_read_leave_the_copy_as_it_was,
    panel_that_cannot_be_followed_is_left_for_the_next_one,
    new_edge_without_readable_hosts_says_so,
}

/// A field that no version knows, in a protocol buffer: number 1000, the value 1.
const LATER_FIELD: [u8; 3] = [0xc0, 0x3e, 0x01];

/// A change of the answers of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alteration {
    None,
    /// As of a later version: with fields that this one does not know.
    More,
    /// As of an earlier version: without fields that are not needed.
    Fewer,
    /// As of a version without edges.
    NoEdges,
    /// As of a later version whose answers this one would misread.
    LaterFormat,
    /// Hosts in a form that this version can't read.
    OtherHosts,
    /// No protocol buffer.
    OtherBytes,
    /// As of something else than a panel: empty, which a page without users would be, too.
    Empty,
    /// A position that this version can't read.
    OtherPosition,
}

/// A server before a panel that alters its answers.
struct Altering {
    port: u16,
    alteration: Arc<Mutex<Alteration>>,
    server: JoinHandle<()>,
}

struct Forward {
    panel: u16,
    http: Client,
    alteration: Arc<Mutex<Alteration>>,
}

impl Altering {
    async fn start(panel: u16, alteration: Alteration) -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("an address").port();
        let alteration = Arc::new(Mutex::new(alteration));
        let http = Client::builder().timeout(LIMIT).build().expect("a client");
        let forward = Forward { panel, http, alteration: alteration.clone() };
        let server =
            tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(forward).await.expect("it serves") });
        Self { port, alteration, server }
    }

    fn set(&self, alteration: Alteration) {
        *self.alteration.lock().expect("no panic") = alteration;
    }
}

impl Drop for Altering {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Endpoint for Forward {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let path = request.uri().path().to_owned();
        let url = format!("http://127.0.0.1:{}{}", self.panel, request.uri());
        let body = request.take_body().into_vec().await.expect("a body");
        let mut headers = request.headers().clone();
        headers.remove("host");
        let sent = self.http.request(request.method().clone(), url).headers(headers).body(body).send().await;
        let Ok(answered) = sent else { return Ok(StatusCode::BAD_GATEWAY.into()) };
        let (status, mut headers) = (answered.status(), answered.headers().clone());
        let bytes = answered.bytes().await.unwrap_or_default().to_vec();
        let alteration = *self.alteration.lock().expect("no panic");
        if alteration == Alteration::NoEdges {
            return Ok(StatusCode::NOT_FOUND.into());
        }
        let bytes = if status == StatusCode::OK { altered(alteration, &path, bytes, &mut headers) } else { bytes };
        for name in ["content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        let mut response = Response::builder().status(status).body(Body::from_vec(bytes));
        *response.headers_mut() = headers;
        Ok(response)
    }
}

fn altered(alteration: Alteration, path: &str, bytes: Vec<u8>, headers: &mut HeaderMap) -> Vec<u8> {
    let operation = path.rsplit('/').next().unwrap_or_default();
    match (alteration, operation) {
        (Alteration::LaterFormat, _) => {
            headers.insert(FORMAT_HEADER, HeaderValue::from(FORMAT + 1));
            bytes
        }
        (Alteration::Fewer, _) => {
            headers.remove(FORMAT_HEADER);
            match operation {
                "start" => json_with(&bytes, |start| {
                    for field in ["version", "templates", "subscription_url_prefix"] {
                        assert!(start.remove(field).is_some(), "{field}");
                    }
                }),
                "shared" => json_with(&bytes, |shared| drop(shared.remove("owners"))),
                _ => bytes,
            }
        }
        (Alteration::More, "start") => json_with(&bytes, |start| {
            start.insert("later".to_owned(), json!([1]));
            let position = start["position"].as_str().expect("a text").to_owned();
            start.insert("position".to_owned(), with_more(&position).into());
        }),
        (Alteration::More, "shared") => more_shared(&bytes),
        (Alteration::More, "users") => more_users(&UserPage::decode(bytes.as_slice()).expect("a page").users),
        (Alteration::More, "changes") => {
            let update = Update::decode(bytes.as_slice()).expect("an update");
            let position = with_more(&update.position);
            let shared = update.shared.as_deref().map(more_shared);
            let mut encoded = more_users(&update.users);
            Update { users: Vec::new(), position, shared, ..update }.encode(&mut encoded).expect("there is space");
            encoded
        }
        (Alteration::OtherHosts, "shared") => other_hosts(&bytes),
        (Alteration::OtherHosts | Alteration::OtherPosition, "changes") => {
            let mut update = Update::decode(bytes.as_slice()).expect("an update");
            if alteration == Alteration::OtherPosition {
                update.position = "2;7".to_owned();
            }
            update.shared = update.shared.as_deref().map(other_hosts);
            update.encode_to_vec()
        }
        (Alteration::Empty, _) => {
            headers.remove("content-type");
            Vec::new()
        }
        (Alteration::OtherBytes, "changes" | "users") => b"\xff\xff\xff".to_vec(),
        _ => bytes,
    }
}

fn json_with(bytes: &[u8], alter: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(bytes).expect("JSON");
    alter(value.as_object_mut().expect("an object"));
    value.to_string().into_bytes()
}

fn with_more(position: &str) -> String {
    let bytes = json_with(position.as_bytes(), |position| drop(position.insert("later".to_owned(), json!("x"))));
    String::from_utf8(bytes).expect("text")
}

fn more_shared(bytes: &[u8]) -> Vec<u8> {
    json_with(bytes, |shared| {
        shared.insert("later".to_owned(), json!({"a": 1}));
        shared["settings"]["later"] = json!(true);
        for host in shared["hosts"].as_array_mut().expect("hosts") {
            host["later"] = json!(1);
            host["host"]["later"] = json!({"b": 2});
        }
    })
}

fn other_hosts(bytes: &[u8]) -> Vec<u8> {
    json_with(bytes, |shared| drop(shared.insert("hosts".to_owned(), json!({"later": "form"}))))
}

/// Users, each with a field that no version knows, as the first field of a page or an update, and such a field behind them.
fn more_users(users: &[CopiedUser]) -> Vec<u8> {
    let mut encoded = LATER_FIELD.to_vec();
    for user in users {
        let mut bytes = user.encode_to_vec();
        bytes.extend_from_slice(&LATER_FIELD);
        encoded.push(0x0a);
        prost::encoding::encode_varint(bytes.len() as u64, &mut encoded);
        encoded.extend_from_slice(&bytes);
    }
    encoded
}

/// The other key of the two.
fn other(key: &str) -> &'static str {
    if key == KEY { OTHER_KEY } else { KEY }
}

async fn answers_with_more_and_with_fewer_fields_are_read(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let altering = Altering::start(world.panel.port, Alteration::More).await;
    let mut key = KEY;
    for (alteration, name) in [(Alteration::More, "older"), (Alteration::Fewer, "newer")] {
        altering.set(alteration);
        let mut edge = world.edge(name, &[altering.port]);
        edge.ready().await;
        let path = format!("/sub/ann/{key}/v2ray");
        let (own, panels) = (answer(&edge, &path, "*/*").await, answer(&world.panel, &path, "*/*").await);
        assert_eq!(own, panels, "{alteration:?}");
        // A change of a user and one of a host come through the log of changes.
        let revoked = key;
        key = other(revoked);
        set_key(&test.db, key).await;
        until("the revoked link stops", async || status(&edge, revoked).await == 404).await;
        assert_eq!(status(&edge, key).await, 200, "{alteration:?}");
        let host = r#"INSERT INTO hosts (universal, spec) VALUES (TRUE, '{"remark": "another", "address": "b.example",
            "protocol": "trojan", "network": "tcp", "port": 443, "password": "p"}')"#;
        execute(&test.db, host).await;
        let path = format!("/sub/ann/{key}/v2ray");
        until("the new host is there", async || {
            let own = answer(&edge, &path, "*/*").await;
            own.2.len() > panels.2.len() && own == answer(&world.panel, &path, "*/*").await
        })
        .await;
        assert!(!edge.log().contains("ERROR"), "{}", edge.log());
        assert!(edge.stop().await.success());
    }
}

async fn answers_that_cannot_be_read_leave_the_copy_as_it_was(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let altering = Altering::start(world.panel.port, Alteration::None).await;
    let mut edge = world.edge("edge", &[altering.port]);
    edge.ready().await;
    let mut key = KEY;
    for (alteration, reason, said) in [
        (Alteration::NoEdges, "no panel can be followed", "no panel that edges can follow"),
        (Alteration::LaterFormat, "no panel can be followed", "is newer than this edge"),
        (Alteration::OtherBytes, "no panel can be followed", "gave an answer that can't be read"),
        (Alteration::Empty, "no panel can be followed", "its Content-Type is missing"),
        (Alteration::OtherPosition, "no panel can be followed", "its position is that of another version"),
    ] {
        altering.set(alteration);
        until(said, async || edge.log().contains(said)).await;
        until(reason, async || is_in(&edge, "degraded", reason).await).await;
        // The copy goes on, and knows nothing of what is revoked meanwhile.
        let revoked = key;
        key = other(revoked);
        set_key(&test.db, key).await;
        assert_eq!(status(&edge, revoked).await, 200, "{alteration:?}");
        altering.set(Alteration::None);
        until("the revoked link stops", async || status(&edge, revoked).await == 404).await;
        edge.ready().await;
    }

    // Hosts that can't be read: the ones before stay, and users are followed all the same.
    let links = answer(&edge, &format!("/sub/ann/{key}/links"), "*/*").await.2;
    altering.set(Alteration::OtherHosts);
    execute(&test.db, "UPDATE hosts SET weight = weight + 1").await;
    let said = "hosts and settings of subscriptions were written by a newer version";
    until(said, async || edge.log().contains(said)).await;
    until("health says it", async || is_in(&edge, "degraded", "written by a newer panel: update the edge").await).await;
    assert_eq!(answer(&edge, &format!("/sub/ann/{key}/links"), "*/*").await.2, links);
    let revoked = key;
    key = other(revoked);
    set_key(&test.db, key).await;
    until("the revoked link stops", async || status(&edge, revoked).await == 404).await;
    // Also after a restart, and until the panel is one that this version can read.
    assert!(edge.stop().await.success());
    let mut edge = world.edge("edge", &[altering.port]);
    until("health says it", async || is_in(&edge, "degraded", "written by a newer panel: update the edge").await).await;
    assert_eq!(status(&edge, key).await, 200);
    altering.set(Alteration::None);
    execute(&test.db, "UPDATE hosts SET weight = weight + 1").await;
    edge.ready().await;
}

async fn panel_that_cannot_be_followed_is_left_for_the_next_one(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let first = Altering::start(world.panel.port, Alteration::NoEdges).await;
    for (alteration, name) in [(Alteration::NoEdges, "older"), (Alteration::LaterFormat, "later")] {
        first.set(alteration);
        let mut edge = world.edge(name, &[first.port, world.panel.port]);
        edge.ready().await;
        assert_eq!(status(&edge, KEY).await, 200, "{alteration:?}");
    }
}

async fn new_edge_without_readable_hosts_says_so(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let altering = Altering::start(world.panel.port, Alteration::OtherHosts).await;
    let mut edge = world.edge("edge", &[altering.port]);
    let reason = "written by a newer panel: update the edge";
    until("health says it", async || is_in(&edge, "unavailable", reason).await).await;
    assert_eq!(status(&edge, KEY).await, 503);
    altering.set(Alteration::None);
    execute(&test.db, "UPDATE hosts SET weight = weight + 1").await;
    edge.ready().await;
    assert_eq!(status(&edge, KEY).await, 200);
}
