//! Delivery of notifications to a real HTTP server with faults: at least once, in order, with a limit of attempts.

use std::time::Duration;

use reqwest::Method;
use sarban::actions::{Panel, notifications};
use sarban::clock::Clock;
use sarban::config::secret::Secret;
use sarban::domain::ids::{Epoch, UserId};
use sarban::domain::moment::Moment;
use sarban::domain::notification::{By, DeliveryState, Destination, Event, NotificationTargets};
use sarban::domain::user::User;
use sarban::notify::{Delivery, Telegram, Timing, Webhook};
use sarban::store::notify::outbox;
use sarban::store::notify::outbox::{Filter, OutboxEntry};
use sarban::store::{Db, Fence};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{first_admin, setup};
use crate::cluster::fence::fence;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};
use crate::support::receiver::{Receiver, Reply, Request};

on_both_engines! {
    notification_arrives_with_secret_key_and_signature,
    receiver_that_redirects_gets_no_secret_elsewhere,
    notifications_of_a_user_arrive_in_order_after_a_failure,
    entry_is_dead_after_its_last_attempt_and_can_be_retried,
    receiver_that_does_not_answer_uses_few_attempts,
    entry_sent_by_a_crashed_leader_is_sent_again_with_the_same_key,
    leader_that_hands_over_enters_deliveries_in_flight_and_sends_no_more,
    deposed_leader_sends_nothing,
    telegram_delivery_waits_for_retry_after,
    many_events_are_a_digest_on_telegram_and_single_requests_on_the_webhook,
    chat_that_refuses_does_not_delay_others,
    telegram_is_reached_through_its_proxy,
    delivery_error_contains_no_address,
    killed_leader_loses_no_notification,
    stored_bot_replaces_the_bot_of_the_environment,
}

const START: Moment = Moment::from_micros(1_795_466_185_000_000);
const TOKEN: &str = "12345:token";

/// Delivery timing in milliseconds instead of minutes.
fn timing() -> Timing {
    Timing {
        retry_after: Duration::from_millis(300),
        attempts: 3,
        poll: Duration::from_millis(20),
        silence: Duration::from_millis(200),
        gather: Duration::from_millis(300),
    }
}

fn webhook(receiver: &Receiver) -> Option<Webhook> {
    Some(Webhook::new(Secret::new(receiver.url("/hook")), Some(Secret::new("s3cret"))).unwrap())
}

fn telegram(receiver: &Receiver, chats: &[i64]) -> Option<(Telegram, Vec<i64>)> {
    Some((Telegram::new(&receiver.url(""), &Secret::new(TOKEN), None).unwrap(), chats.to_vec()))
}

/// Handle of a leader that delivers until it is dropped.
struct DeliveringLeader(JoinHandle<()>);

impl Drop for DeliveringLeader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lead(fence: Fence, webhook: Option<Webhook>, telegram: Option<(Telegram, Vec<i64>)>) -> DeliveringLeader {
    let (wakeup, wake) = tokio::sync::watch::channel(());
    let delivery = Delivery::new(Clock::real(), wake, timing(), webhook, tokio::sync::watch::channel(telegram).1);
    DeliveringLeader(tokio::spawn(async move {
        let _wakeup = wakeup;
        delivery.lead(fence, CancellationToken::new()).await;
    }))
}

/// A user that is not in the database.
fn user(id: i64) -> User {
    User::bare(UserId(id), &format!("user_{id}"), &format!("{id:032x}"), START)
}

/// Enters notifications about these users for these destinations.
async fn enter(db: &Db, to: &[Destination], event: Event, users: impl IntoIterator<Item = i64>, cause: &str) {
    let targets = NotificationTargets { destinations: to.to_vec(), url_prefix: "https://panel.example".to_owned() };
    let notifications: Vec<_> = users
        .into_iter()
        .map(|id| notifications::notification(&targets, event, user(id), cause, By::Task, START))
        .collect();
    let mut tx = db.begin().await.unwrap();
    outbox::enter(&mut tx, to, &notifications, START).await.unwrap();
    tx.commit().await.unwrap();
}

async fn entries(db: &Db, state: DeliveryState) -> Vec<OutboxEntry> {
    outbox::page(db, &Filter { channel: None, state: Some(state) }, 0, 1_000).await.unwrap()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done().await {
        assert!(Instant::now() < limit, "not within 30 s: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn none_waits(db: &Db) {
    until("nothing waits", async || entries(db, DeliveryState::Waiting).await.is_empty()).await;
}

fn keys(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.header("idempotency-key")).collect()
}

async fn notification_arrives_with_secret_key_and_signature(db: Db) {
    let receiver = Receiver::start().await;
    enter(&db, &[Destination::webhook()], Event::Deactivated, [7], "now").await;
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    none_waits(&db).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.path, "/hook");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("x-webhook-secret"), "s3cret");
    assert_eq!(request.header("idempotency-key"), "user_deactivated:7:now");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"s3cret");
    let expected: String =
        aws_lc_rs::hmac::sign(&key, &request.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.header("x-webhook-signature"), format!("sha256={expected}"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["action"], "user_deactivated");
    assert_eq!(body["user"]["username"], "user_7");
    assert_eq!(body.get("by"), Some(&Value::Null));
    let delivered = entries(&db, DeliveryState::Delivered).await;
    assert_eq!((delivered[0].attempts, delivered[0].error.as_deref()), (1, None));
}

async fn receiver_that_redirects_gets_no_secret_elsewhere(db: Db) {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.behave([Reply::Redirect(elsewhere.url("/hook").leak()); 3]);
    enter(&db, &[Destination::webhook()], Event::Deactivated, [1], "x").await;
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    none_waits(&db).await;
    assert_eq!((receiver.requests().len(), elsewhere.requests().len()), (3, 0));
    let dead = entries(&db, DeliveryState::Dead).await;
    assert_eq!(dead[0].error.as_deref(), Some("the receiver answered 308 Permanent Redirect"));
}

async fn notifications_of_a_user_arrive_in_order_after_a_failure(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Reply::Status(500)]);
    for cause in ["a", "b", "c"] {
        enter(&db, &[Destination::webhook()], Event::Updated, [1, 2], cause).await;
    }
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    none_waits(&db).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 7, "not exactly one request is repeated");
    for user in [1, 2] {
        let mut of_user: Vec<&str> =
            keys(&requests).into_iter().filter(|key| key.starts_with(&format!("user_updated:{user}:"))).collect();
        of_user.dedup();
        assert_eq!(of_user, ["a", "b", "c"].map(|cause| format!("user_updated:{user}:{cause}")));
    }
}

async fn entry_is_dead_after_its_last_attempt_and_can_be_retried(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Reply::Status(500), Reply::Status(404), Reply::Status(503)]);
    enter(&db, &[Destination::webhook()], Event::Deactivated, [1], "x").await;
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    none_waits(&db).await;
    let dead = entries(&db, DeliveryState::Dead).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].attempts, dead[0].error.as_deref()),
        (3, Some("the receiver answered 503 Service Unavailable"))
    );
    assert_eq!(receiver.requests().len(), 3);
    let panel = Panel::new(db.clone(), Clock::real());
    let again = notifications::try_again(&panel, dead[0].id).await.unwrap();
    assert_eq!((again.state.as_str(), again.attempts), ("waiting", 0));
    none_waits(&db).await;
    assert_eq!(entries(&db, DeliveryState::Delivered).await.len(), 1);
    assert!(matches!(
        notifications::try_again(&panel, dead[0].id).await,
        Err(notifications::NotificationError::Delivered)
    ));
    assert!(matches!(notifications::try_again(&panel, 99).await, Err(notifications::NotificationError::NotFound)));
}

async fn receiver_that_does_not_answer_uses_few_attempts(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Reply::Drop; 8]);
    enter(&db, &[Destination::webhook()], Event::Deactivated, 1..=100, "x").await;
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    until("a request has arrived", async || !receiver.requests().is_empty()).await;
    none_waits(&db).await;
    assert_eq!(entries(&db, DeliveryState::Delivered).await.len(), 100);
    assert!(
        number(&db, "SELECT COUNT(*) FROM outbox WHERE attempts > 1").await <= 8,
        "more entries than those in flight had a second attempt"
    );
}

/// The row says "waiting" because its leader crashed between the answer of the receiver and the update of the row.
async fn entry_sent_by_a_crashed_leader_is_sent_again_with_the_same_key(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Reply::Slow(Duration::from_secs(5))]);
    enter(&db, &[Destination::webhook()], Event::Deactivated, [1], "x").await;
    let leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    until("it is on its way", async || !receiver.requests().is_empty()).await;
    drop(leading);
    assert_eq!(entries(&db, DeliveryState::Waiting).await.len(), 1);
    execute(&db, "UPDATE scheduler_epoch SET epoch = 1").await;
    let _leading = lead(fence(&db, Epoch(1)), webhook(&receiver), None);
    none_waits(&db).await;
    assert_eq!(keys(&receiver.requests()), ["user_deactivated:1:x"; 2]);
}

/// In the order of the elector: `stop`, then no new fenced work, then a wait for open work.
async fn leader_that_hands_over_enters_deliveries_in_flight_and_sends_no_more(db: Db) {
    let (hook, bot) = (Receiver::start().await, Receiver::start().await);
    hook.behave([Reply::Slow(Duration::from_millis(500)); 40]);
    bot.behave([Reply::Slow(Duration::from_millis(500)); 5]);
    let to = [Destination::webhook(), Destination::telegram(7)];
    enter(&db, &to[..1], Event::Deactivated, 1..=40, "x").await;
    enter(&db, &to[1..], Event::Created, 1..=5, "x").await;
    let (stop, fence) = (CancellationToken::new(), fence(&db, Epoch(0)));
    let term = fence.term().clone();
    let (wakeup, wake) = tokio::sync::watch::channel(());
    let bots = tokio::sync::watch::channel(telegram(&bot, &[7])).1;
    let delivery = Delivery::new(Clock::real(), wake, timing(), webhook(&hook), bots);
    let (recorded, _sender) = (delivery.recorded(), delivery.clone());
    let leading = tokio::spawn({
        let stop = stop.clone();
        async move { delivery.lead(fence, stop).await }
    });
    until("entries are in flight", async || hook.requests().len() >= 8 && !bot.requests().is_empty()).await;
    stop.cancel();
    term.close();
    assert!(term.open_work() > 0, "no work is open");
    leading.await.expect("it ends by itself");
    assert!(recorded.has_changed().is_ok_and(|changed| changed), "what was delivered is announced");
    assert_eq!(term.open_work(), 0);
    let sent = hook.requests().len() + bot.requests().len();
    assert!(sent < 45, "entries were sent after the stop: {sent}");
    assert_eq!(
        entries(&db, DeliveryState::Delivered).await.len(),
        sent,
        "deliveries in flight are not entered as delivered"
    );
    assert_eq!(entries(&db, DeliveryState::Waiting).await.len(), 45 - sent);
    drop(wakeup);
}

async fn deposed_leader_sends_nothing(db: Db) {
    let receiver = Receiver::start().await;
    let deposed = fence(&db, Epoch(0));
    deposed.term().end();
    enter(&db, &[Destination::webhook()], Event::Deactivated, [1], "x").await;
    let leading = lead(deposed, webhook(&receiver), None);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.requests().len(), 0);
    drop(leading);
}

async fn telegram_delivery_waits_for_retry_after(db: Db) {
    let receiver = Receiver::start().await;
    let slow_down = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":1}}"#;
    receiver.behave([Reply::Answer(429, slow_down)]);
    enter(&db, &[Destination::telegram(-7)], Event::Created, [1], "x").await;
    let began = Instant::now();
    let _leading = lead(fence(&db, Epoch(0)), None, telegram(&receiver, &[-7]));
    none_waits(&db).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "the delivery did not wait for `retry_after`");
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, format!("/bot{TOKEN}/sendMessage"));
    let message: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!((&message["chat_id"], &message["parse_mode"]), (&"-7".into(), &"HTML".into()));
    assert!(message["text"].as_str().unwrap().contains("<code>user_1</code>"), "{message}");
    assert_eq!(entries(&db, DeliveryState::Delivered).await[0].attempts, 1, "a request to wait counts as an attempt");
}

async fn many_events_are_a_digest_on_telegram_and_single_requests_on_the_webhook(db: Db) {
    let (hook, bot) = (Receiver::start().await, Receiver::start().await);
    let to = [Destination::webhook(), Destination::telegram(7)];
    let _leading = lead(fence(&db, Epoch(0)), webhook(&hook), telegram(&bot, &[7]));
    for chunk in 0..4 {
        enter(&db, &to, Event::Deactivated, (chunk * 100)..(chunk * 100 + 100), "midnight").await;
    }
    none_waits(&db).await;
    assert_eq!(hook.requests().len(), 400);
    let digests = bot.requests();
    assert!(digests.len() < 12, "{}", digests.len());
    let messages: Vec<Value> = digests.iter().map(|digest| serde_json::from_slice(&digest.body).unwrap()).collect();
    assert!(messages.iter().any(|message| message["text"].as_str().unwrap().contains(" more")), "{messages:?}");
}

async fn chat_that_refuses_does_not_delay_others(db: Db) {
    let receiver = Receiver::start().await;
    receiver.refuse_chat("1");
    let to = [Destination::telegram(1), Destination::telegram(2)];
    enter(&db, &to, Event::Created, [5], "x").await;
    let _leading = lead(fence(&db, Epoch(0)), None, telegram(&receiver, &[1, 2]));
    none_waits(&db).await;
    let dead = entries(&db, DeliveryState::Dead).await;
    assert_eq!((dead.len(), dead[0].recipient.as_str()), (1, "1"));
    assert_eq!(dead[0].error.as_deref(), Some("Telegram says: Forbidden: bot was blocked by the user"));
    assert_eq!(entries(&db, DeliveryState::Delivered).await[0].recipient, "2");
}

/// The receiver acts as the proxy. The host of the Telegram API does not exist.
async fn telegram_is_reached_through_its_proxy(db: Db) {
    let proxy = Receiver::start().await;
    let bot = Telegram::new("http://telegram.invalid", &Secret::new(TOKEN), Some(&Secret::new(proxy.url("")))).unwrap();
    enter(&db, &[Destination::telegram(1)], Event::Created, [5], "x").await;
    let _leading = lead(fence(&db, Epoch(0)), None, Some((bot, vec![1])));
    none_waits(&db).await;
    assert_eq!(entries(&db, DeliveryState::Delivered).await.len(), 1);
    assert_eq!(proxy.requests()[0].header("host"), "telegram.invalid");
}

/// Errors are shown to admins and logged, and the addresses contain secrets.
async fn delivery_error_contains_no_address(db: Db) {
    let receiver = Receiver::start().await;
    let (hook, bot) = (webhook(&receiver), telegram(&receiver, &[1]));
    drop(receiver);
    enter(&db, &[Destination::webhook(), Destination::telegram(1)], Event::Created, [5], "x").await;
    let _leading = lead(fence(&db, Epoch(0)), hook, bot);
    none_waits(&db).await;
    for entry in entries(&db, DeliveryState::Dead).await {
        let error = entry.error.unwrap();
        assert!(!error.contains(TOKEN) && !error.contains("/hook") && !error.contains("127.0.0.1"), "{error}");
    }
}

/// Starts two processes with these settings; returns them and a token of the first admin.
async fn two_panels(setup: &Setup<'_>, settings: &[(&str, &str)]) -> ([PanelProcess; 2], String) {
    let mut panels = ["ann", "ben"].map(|name| setup.start_with(name, settings));
    for panel in &mut panels {
        panel.ready().await;
    }
    let token = first_admin(setup, &panels[0]).await;
    (panels, token)
}

/// Real processes, whose leader is killed during many deliveries.
async fn killed_leader_loses_no_notification(test: TestDatabase) {
    const USERS: usize = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    receiver.behave([Reply::Slow(Duration::from_millis(150)); USERS]);
    let setup = setup(&test, folder.path());
    let hook = receiver.url("/hook");
    let settings = [("WEBHOOK_ADDRESS", hook.as_str()), ("RECURRENT_NOTIFICATIONS_TIMEOUT", "1")];
    let (mut panels, token) = two_panels(&setup, &settings).await;
    let leads = async |panel: &PanelProcess| panel.health().await.is_some_and(|health| health["scheduler"] == "leader");
    until("a process leads", async || leads(&panels[0]).await || leads(&panels[1]).await).await;
    let leader = usize::from(leads(&panels[1]).await);
    for user in 0..USERS {
        let new = json!({"username": format!("user_{user}"), "expire_strategy": "never"});
        let made = panels[1 - leader].request(Method::POST, "/api/users").bearer_auth(&token).json(&new).send().await;
        assert_eq!(made.unwrap().status(), 200);
    }
    until("some requests have arrived", async || receiver.requests().len() > 10).await;
    panels[leader].kill();
    none_waits(&test.db).await;
    let requests = receiver.requests();
    let mut delivered: Vec<&str> = keys(&requests);
    delivered.sort_unstable();
    delivered.dedup();
    assert_eq!(delivered.len(), USERS, "a notification is lost");
    assert_eq!(entries(&test.db, DeliveryState::Delivered).await.len(), USERS);
    println!("{} requests for {USERS} events, the leader killed in between", requests.len());
}

/// Two real processes: settings stored through one apply there at once, and in the other within a second.
async fn stored_bot_replaces_the_bot_of_the_environment(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    let setup = setup(&test, folder.path());
    let api = receiver.url("");
    let settings = [("TELEGRAM_API_URL", &*api), ("TELEGRAM_API_TOKEN", "1:env"), ("TELEGRAM_ADMIN_ID", "11")];
    let (panels, token) = two_panels(&setup, &settings).await;
    let store = async |telegram: Value| {
        let request = panels[0].request(Method::PUT, "/api/system/settings/telegram").bearer_auth(&token);
        assert_eq!(request.json(&telegram).send().await.unwrap().status(), 200);
    };
    let create = async |panel: &PanelProcess, name: &str| {
        let new = json!({"username": name, "expire_strategy": "never"});
        let request = panel.request(Method::POST, "/api/users").bearer_auth(&token).json(&new);
        assert_eq!(request.send().await.unwrap().status(), 200);
    };
    // Path and chat of each message about a user.
    let messages = async |name: &str| {
        let about = |request: &Request| String::from_utf8_lossy(&request.body).contains(&format!(">{name}<"));
        until("a message has arrived", async || receiver.requests().iter().any(about)).await;
        let sent = receiver.requests().into_iter().filter(about).map(|request| {
            let message: Value = serde_json::from_slice(&request.body).unwrap();
            (request.path, message["chat_id"].as_str().unwrap().to_owned())
        });
        sent.collect::<Vec<_>>()
    };
    let by = |bot: &str, chat: &str| vec![(format!("/bot{bot}/sendMessage"), chat.to_owned())];
    create(&panels[0], "first").await;
    assert_eq!(messages("first").await, by("1:env", "11"));
    store(json!({"token": "2:stored", "admin_id": [22], "channel_id": null})).await;
    create(&panels[0], "second").await;
    assert_eq!(messages("second").await, by("2:stored", "22"));
    // The other process knows the settings by now, or within a second.
    let mut nth = 0;
    until("the other process uses the stored bot", async || {
        nth += 1;
        create(&panels[1], &format!("other{nth}")).await;
        number(&test.db, "SELECT COUNT(*) FROM outbox WHERE recipient = '22'").await == 2
    })
    .await;
    assert_eq!(messages(&format!("other{nth}")).await, by("2:stored", "22"));
    store(json!({"token": "", "admin_id": [], "channel_id": null})).await;
    create(&panels[0], "last").await;
    assert_eq!(messages("last").await, by("1:env", "11"));
}
