//! A part that all subscriptions share which this version can't read, because a newer one wrote it: what was copied before goes on,
//! and a copy that has nothing else serves nobody.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Endpoint, Request, Response, Server};
use prost::Message;
use sarban::actions::changes::Changes;
use sarban::actions::copy::LocalCopy;
use sarban::actions::copy::follower::follow;
use sarban::actions::copy::source::Source;
use sarban::clock::Clock;
use sarban::cluster::panel_link::{PanelLink, RenderSettings};
use sarban::cluster::self_report::SelfReport;
use sarban::config::edge::Followed;
use sarban::config::secret::Secret;
use sarban::domain::copy::{CopiedUser, Position, Update, UserPage};
use sarban::domain::ids::UserId;
use sarban::domain::moment::{HOUR, Moment};
use sarban::domain::user::User;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, query, query_scalar};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

const UNREADABLE: &[u8] = br#"{"form": 2}"#;

/// Answers of the panel.
#[derive(Clone, Default)]
struct Answers {
    shared: Vec<u8>,
    /// The changes after the position of the same number.
    updates: Vec<Update>,
}

/// A panel with one user.
struct Panel(Arc<Mutex<Answers>>);

fn ann(key: &str) -> User {
    User::bare(UserId(1), "ann", key, Moment::from_micros(0))
}

fn position(number: usize) -> String {
    let database = "a".to_owned();
    Position { database, incarnation: String::new(), from: number.to_string(), to: None, at: 0 }.text()
}

impl Endpoint for Panel {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let body = request.take_body().into_vec().await?;
        let answers = self.0.lock().expect("no panic").clone();
        let changes = answers.updates.len();
        let path = request.uri().path();
        let is_json = ["/api/edge/start", "/api/edge/shared"].contains(&path);
        let response = match path {
            "/api/edge/start" => {
                let start = serde_json::json!({
                    "position": position(changes), "version": "x", "auth_generation_algorithm": "", "subscription_url_prefix": "",
                    "templates": ""
                });
                Response::from(start.to_string())
            }
            "/api/edge/shared" => Response::from(answers.shared),
            "/api/edge/users" => {
                let is_first = request.uri().query().is_some_and(|query| query.starts_with("after=0"));
                let users = CopiedUser::of(ann("a1")).into_iter().filter(|_| is_first).collect();
                Response::from(UserPage { users }.encode_to_vec())
            }
            "/api/edge/changes" => {
                let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
                let after = Position::from_text(body["after"].as_str().expect("a text")).expect("a position");
                let after: usize = after.from.parse().expect("a number");
                let next = (after + 1).min(changes);
                let update = answers.updates.get(after).cloned().unwrap_or_default();
                let update = Update { position: position(next), has_more: next < changes, ..update };
                Response::from(update.encode_to_vec())
            }
            other => panic!("{other}"),
        };
        Ok(response.set_content_type(if is_json { "application/json" } else { "application/x-protobuf" }))
    }
}

/// The panel, as an edge reaches it.
struct World {
    answers: Arc<Mutex<Answers>>,
    port: u16,
    _panel: AbortOnDropHandle<()>,
}

impl World {
    async fn start(shared: &[u8]) -> Self {
        let answers = Arc::new(Mutex::new(Answers { shared: shared.to_owned(), ..Answers::default() }));
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("an address").port();
        let serving = Server::new_with_acceptor(acceptor).run(Panel(answers.clone()));
        let panel = tokio::spawn(async move { serving.await.expect("it serves") });
        Self { answers, port, _panel: AbortOnDropHandle::new(panel) }
    }

    fn follow(&self, folder: &Path) -> (LocalCopy, AbortOnDropHandle<()>) {
        let panels = vec![format!("http://127.0.0.1:{}", self.port)];
        let followed = Followed { panels, token: Secret::new("x".to_owned()), ca_file: None };
        let link = PanelLink::new(followed, RenderSettings::default()).expect("a link");
        let copy = LocalCopy::new(folder, Clock::real(), HOUR);
        let (changes, own) = (Changes::default(), SelfReport::default());
        let following = follow(copy.clone(), Source::Panels(Arc::new(link)), changes.wakeup().subscribe(), own);
        let following = async move {
            let _changes = changes;
            following.await;
        };
        (copy, AbortOnDropHandle::new(tokio::spawn(following)))
    }
}

fn shared(ipv4: &str) -> Vec<u8> {
    let settings = serde_json::json!({
        "template_on_acceptance": true, "profile_title": "", "support_link": "", "update_interval": 1, "rules": []
    });
    let shared = serde_json::json!({"settings": settings, "hosts": [], "nodes": [], "ipv4": ipv4, "ipv6": null});
    shared.to_string().into_bytes()
}

async fn until(state: &str, is_reached: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_reached().await {
        assert!(Instant::now() < end, "after 30 s not: {state}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Changes one byte of the part in the file, so that it is still JSON.
async fn damage(folder: &Path) {
    let path = folder.join("subscriptions.copy");
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(30));
    let mut connection = options.connect().await.expect("it opens");
    let part = "SELECT value FROM value WHERE name = 'shared'";
    let mut value: Vec<u8> = query_scalar(part).fetch_one(&mut connection).await.expect("a part");
    let place = value.windows(9).position(|text| text == b"192.0.2.1").expect("the address");
    value[place + 8] = b'9';
    let set = query("UPDATE value SET value = $1 WHERE name = 'shared'").bind(value);
    set.execute(&mut connection).await.expect("it is written");
    connection.close().await.expect("it closes");
}

async fn revision(copy: &LocalCopy) -> Option<u128> {
    copy.subscriber("ann", "").await.expect("it is read").map(|found| found.sources.revision)
}

#[tokio::test]
async fn part_from_a_newer_version_is_left_out_and_the_one_before_it_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&shared("192.0.2.1")).await;
    let (copy, _following) = world.follow(folder.path());
    until("the copy is complete", async || copy.can_serve()).await;
    let before = revision(&copy).await.expect("the copy serves");

    // A user's change comes with it, and is followed.
    let renamed = CopiedUser::of(ann("a2")).into_iter().collect();
    let unreadable = Update { users: renamed, shared: Some(UNREADABLE.to_owned()), ..Update::default() };
    world.answers.lock().expect("no panic").updates.push(unreadable);
    let has_new_key = async || {
        let found = copy.subscriber("ann", "").await.expect("it is read").expect("the copy serves");
        found.user.is_some_and(|user| user.key == "a2")
    };
    until("the change is followed", has_new_key).await;
    assert_eq!(revision(&copy).await, Some(before), "the part from before is served");

    let readable = Update { shared: Some(shared("192.0.2.2")), ..Update::default() };
    world.answers.lock().expect("no panic").updates.push(readable);
    until("the next one is followed", async || revision(&copy).await.is_some_and(|now| now != before)).await;
}

#[tokio::test]
async fn copy_without_a_part_that_this_version_reads_serves_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(UNREADABLE).await;
    let (copy, _following) = world.follow(folder.path());
    until("all users are copied", async || copy.report().is_some_and(|report| report.age.is_some())).await;
    assert_eq!(copy.report().expect("a report").users, 1);
    assert!(!copy.can_serve(), "it has no hosts and no settings");
    assert_eq!(revision(&copy).await, None);

    let readable = Update { shared: Some(shared("192.0.2.1")), ..Update::default() };
    world.answers.lock().expect("no panic").updates.push(readable);
    until("it serves with the first part that can be read", async || copy.can_serve()).await;
    assert!(revision(&copy).await.is_some());
}

/// With another address in it the part would be rendered for everybody.
#[tokio::test]
async fn damaged_part_is_never_served_and_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&shared("192.0.2.1")).await;
    let (copy, following) = world.follow(folder.path());
    until("the copy is complete", async || copy.can_serve()).await;
    let right = revision(&copy).await.expect("the copy serves");

    // While nobody follows.
    drop(following);
    damage(folder.path()).await;
    let reader = LocalCopy::new(folder.path(), Clock::real(), HOUR);
    let is_none = async || match reader.open_to_serve().await {
        Ok(serves) => !serves,
        // The follower's last connection was still closing.
        Err(_) => false,
    };
    until("a damaged part is none", is_none).await;

    let (copy, _following) = world.follow(folder.path());
    until("the part is written again", async || copy.can_serve()).await;
    assert_eq!(revision(&copy).await, Some(right));
}
