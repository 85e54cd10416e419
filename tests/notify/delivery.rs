//! Notifications against a real HTTP server that can misbehave: at least once, in order, never for ever.

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

use super::receiver::{Manner, Receiver, Request};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{first_admin, setup};
use crate::cluster::fence::fence;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines! {
    a_letter_arrives_with_its_secret_its_key_and_its_signature,
    the_news_of_a_user_arrives_in_order_although_one_failed,
    after_so_many_attempts_a_letter_is_dead_and_can_be_brought_back,
    who_does_not_answer_uses_up_few_attempts,
    what_a_dead_leader_had_sent_is_sent_again_with_the_same_key,
    who_hands_over_enters_what_is_under_way_and_sends_no_more,
    a_deposed_leader_sends_nothing,
    a_chat_gets_messages_and_waits_when_told_to,
    a_flood_is_a_digest_on_telegram_and_single_events_on_the_webhook,
    a_chat_that_refuses_holds_up_no_other,
    telegram_is_reached_through_its_proxy,
    no_letter_says_where_it_went,
    killing_the_leader_loses_no_news,
    the_bot_that_admins_store_writes_instead_of_the_one_of_the_environment,
}

const START: Moment = Moment::from_micros(1_795_466_185_000_000);
const TOKEN: &str = "12345:token";

/// Deliveries within milliseconds.
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

/// A leader that delivers until it is dropped.
struct Leading(JoinHandle<()>);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lead(fence: Fence, webhook: Option<Webhook>, telegram: Option<(Telegram, Vec<i64>)>) -> Leading {
    let (wakeup, wake) = tokio::sync::watch::channel(());
    let delivery = Delivery::new(Clock::real(), wake, timing(), webhook, tokio::sync::watch::channel(telegram).1);
    Leading(tokio::spawn(async move {
        let _bell = wakeup;
        delivery.lead(fence, CancellationToken::new()).await;
    }))
}

/// A user that need not be in the database.
fn user(id: i64) -> User {
    User::bare(UserId(id), &format!("user_{id}"), &format!("{id:032x}"), START)
}

/// Enters news of these users for these destinations.
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

async fn a_letter_arrives_with_its_secret_its_key_and_its_signature(db: Db) {
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
    let told: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(told["action"], "user_deactivated");
    assert_eq!(told["user"]["username"], "user_7");
    assert_eq!(told.get("by"), Some(&Value::Null));
    let delivered = entries(&db, DeliveryState::Delivered).await;
    assert_eq!((delivered[0].attempts, delivered[0].error.as_deref()), (1, None));
}

async fn the_news_of_a_user_arrives_in_order_although_one_failed(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Manner::Status(500)]);
    for cause in ["a", "b", "c"] {
        enter(&db, &[Destination::webhook()], Event::Updated, [1, 2], cause).await;
    }
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    none_waits(&db).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 7, "one came twice");
    for user in [1, 2] {
        let mut of_user: Vec<&str> =
            keys(&requests).into_iter().filter(|key| key.starts_with(&format!("user_updated:{user}:"))).collect();
        of_user.dedup();
        assert_eq!(of_user, ["a", "b", "c"].map(|cause| format!("user_updated:{user}:{cause}")));
    }
}

async fn after_so_many_attempts_a_letter_is_dead_and_can_be_brought_back(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Manner::Status(500), Manner::Status(404), Manner::Status(503)]);
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

async fn who_does_not_answer_uses_up_few_attempts(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Manner::Drop; 8]);
    enter(&db, &[Destination::webhook()], Event::Deactivated, 1..=100, "x").await;
    let _leading = lead(fence(&db, Epoch(0)), webhook(&receiver), None);
    until("it was tried", async || !receiver.requests().is_empty()).await;
    none_waits(&db).await;
    assert_eq!(entries(&db, DeliveryState::Delivered).await.len(), 100);
    assert!(number(&db, "SELECT COUNT(*) FROM outbox WHERE attempts > 1").await <= 8, "those that were under way");
}

/// The row says "waiting" because its leader died between the answer and the entry.
async fn what_a_dead_leader_had_sent_is_sent_again_with_the_same_key(db: Db) {
    let receiver = Receiver::start().await;
    receiver.behave([Manner::Slow(Duration::from_secs(5))]);
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

/// As the elector does it: `stop`, then no new fenced work, then it waits for what is open.
async fn who_hands_over_enters_what_is_under_way_and_sends_no_more(db: Db) {
    let (hook, bot) = (Receiver::start().await, Receiver::start().await);
    hook.behave([Manner::Slow(Duration::from_millis(500)); 40]);
    bot.behave([Manner::Slow(Duration::from_millis(500)); 5]);
    let to = [Destination::webhook(), Destination::telegram(7)];
    enter(&db, &to[..1], Event::Deactivated, 1..=40, "x").await;
    enter(&db, &to[1..], Event::Created, 1..=5, "x").await;
    let (stop, fence) = (CancellationToken::new(), fence(&db, Epoch(0)));
    let term = fence.term().clone();
    let (wakeup, wake) = tokio::sync::watch::channel(());
    let delivery = Delivery::new(
        Clock::real(),
        wake,
        timing(),
        webhook(&hook),
        tokio::sync::watch::channel(telegram(&bot, &[7])).1,
    );
    let leading = tokio::spawn({
        let stop = stop.clone();
        async move { delivery.lead(fence, stop).await }
    });
    until("entries are on their way", async || hook.requests().len() >= 8 && !bot.requests().is_empty()).await;
    stop.cancel();
    term.close();
    assert!(term.open_work() > 0, "the hand-over waits");
    leading.await.expect("it ends by itself");
    assert_eq!(term.open_work(), 0);
    let sent = hook.requests().len() + bot.requests().len();
    assert!(sent < 45, "no more were sent: {sent}");
    assert_eq!(entries(&db, DeliveryState::Delivered).await.len(), sent, "what was under way is entered");
    assert_eq!(entries(&db, DeliveryState::Waiting).await.len(), 45 - sent);
    drop(wakeup);
}

async fn a_deposed_leader_sends_nothing(db: Db) {
    let receiver = Receiver::start().await;
    let deposed = fence(&db, Epoch(0));
    deposed.term().end();
    enter(&db, &[Destination::webhook()], Event::Deactivated, [1], "x").await;
    let leading = lead(deposed, webhook(&receiver), None);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.requests().len(), 0);
    drop(leading);
}

async fn a_chat_gets_messages_and_waits_when_told_to(db: Db) {
    let receiver = Receiver::start().await;
    let slow_down = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":1}}"#;
    receiver.behave([Manner::Answer(429, slow_down)]);
    enter(&db, &[Destination::telegram(-7)], Event::Created, [1], "x").await;
    let began = Instant::now();
    let _leading = lead(fence(&db, Epoch(0)), None, telegram(&receiver, &[-7]));
    none_waits(&db).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "it waited as long as it was told to");
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, format!("/bot{TOKEN}/sendMessage"));
    let message: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!((&message["chat_id"], &message["parse_mode"]), (&"-7".into(), &"HTML".into()));
    assert!(message["text"].as_str().unwrap().contains("<code>user_1</code>"), "{message}");
    assert_eq!(entries(&db, DeliveryState::Delivered).await[0].attempts, 1, "to be told to wait is no failure");
}

async fn a_flood_is_a_digest_on_telegram_and_single_events_on_the_webhook(db: Db) {
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
    let told: Vec<Value> = digests.iter().map(|digest| serde_json::from_slice(&digest.body).unwrap()).collect();
    assert!(told.iter().any(|message| message["text"].as_str().unwrap().contains(" more")), "{told:?}");
}

async fn a_chat_that_refuses_holds_up_no_other(db: Db) {
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

/// The receiver plays the proxy: the host itself does not exist.
async fn telegram_is_reached_through_its_proxy(db: Db) {
    let proxy = Receiver::start().await;
    let bot = Telegram::new("http://telegram.invalid", &Secret::new(TOKEN), Some(&Secret::new(proxy.url("")))).unwrap();
    enter(&db, &[Destination::telegram(1)], Event::Created, [5], "x").await;
    let _leading = lead(fence(&db, Epoch(0)), None, Some((bot, vec![1])));
    none_waits(&db).await;
    assert_eq!(entries(&db, DeliveryState::Delivered).await.len(), 1);
    assert_eq!(proxy.requests()[0].header("host"), "telegram.invalid");
}

/// Errors are shown to people and written to logs: the addresses have secrets in them.
async fn no_letter_says_where_it_went(db: Db) {
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

/// Two processes with these settings, and a token of the first admin.
async fn two_panels(setup: &Setup<'_>, settings: &[(&str, &str)]) -> ([PanelProcess; 2], String) {
    let mut panels = ["ann", "ben"].map(|name| setup.start_with(name, settings));
    for panel in &mut panels {
        panel.ready().await;
    }
    let token = first_admin(setup, &panels[0]).await;
    (panels, token)
}

/// Real processes, killed in the middle of a flood.
async fn killing_the_leader_loses_no_news(test: TestDatabase) {
    const USERS: usize = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start().await;
    receiver.behave([Manner::Slow(Duration::from_millis(150)); USERS]);
    let setup = setup(&test, folder.path());
    let hook = receiver.url("/hook");
    let settings = [("WEBHOOK_ADDRESS", hook.as_str()), ("RECURRENT_NOTIFICATIONS_TIMEOUT", "1")];
    let (mut panels, token) = two_panels(&setup, &settings).await;
    let leads = async |panel: &PanelProcess| panel.health().await.is_some_and(|health| health["scheduler"] == "leader");
    until("somebody leads", async || leads(&panels[0]).await || leads(&panels[1]).await).await;
    let leader = usize::from(leads(&panels[1]).await);
    for user in 0..USERS {
        let new = json!({"username": format!("user_{user}"), "expire_strategy": "never"});
        let made = panels[1 - leader].request(Method::POST, "/api/users").bearer_auth(&token).json(&new).send().await;
        assert_eq!(made.unwrap().status(), 200);
    }
    until("some have arrived", async || receiver.requests().len() > 10).await;
    panels[leader].kill();
    none_waits(&test.db).await;
    let requests = receiver.requests();
    let mut told: Vec<&str> = keys(&requests);
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), USERS, "each at least once");
    assert_eq!(entries(&test.db, DeliveryState::Delivered).await.len(), USERS);
    println!("{} requests for {USERS} events, the leader killed in between", requests.len());
}

/// Two real processes: what is stored through one counts at once there, and soon in the other.
async fn the_bot_that_admins_store_writes_instead_of_the_one_of_the_environment(test: TestDatabase) {
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
    // Who was told of a user, by which bot.
    let told = async |name: &str| {
        let about = |request: &Request| String::from_utf8_lossy(&request.body).contains(&format!(">{name}<"));
        until("somebody is told", async || receiver.requests().iter().any(about)).await;
        let told = receiver.requests().into_iter().filter(about).map(|request| {
            let message: Value = serde_json::from_slice(&request.body).unwrap();
            (request.path, message["chat_id"].as_str().unwrap().to_owned())
        });
        told.collect::<Vec<_>>()
    };
    let by = |bot: &str, chat: &str| vec![(format!("/bot{bot}/sendMessage"), chat.to_owned())];
    create(&panels[0], "first").await;
    assert_eq!(told("first").await, by("1:env", "11"));
    store(json!({"token": "2:stored", "admin_id": [22], "channel_id": null})).await;
    create(&panels[0], "second").await;
    assert_eq!(told("second").await, by("2:stored", "22"));
    // The other process has heard of it by now, or hears within a second.
    let mut nth = 0;
    until("the other process knows", async || {
        nth += 1;
        create(&panels[1], &format!("elsewhere{nth}")).await;
        number(&test.db, "SELECT COUNT(*) FROM outbox WHERE recipient = '22'").await == 2
    })
    .await;
    assert_eq!(told(&format!("elsewhere{nth}")).await, by("2:stored", "22"));
    store(json!({"token": "", "admin_id": [], "channel_id": null})).await;
    create(&panels[0], "last").await;
    assert_eq!(told("last").await, by("1:env", "11"));
}
