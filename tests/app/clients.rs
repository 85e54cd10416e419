//! Clients of panels whose database is in trouble: they measure how long answers take, and check that a refusal is one that
//! a client may repeat.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::PanelProcess;

/// Clients of an admin, more patient than any proxy.
pub struct Clients {
    http: Client,
    token: String,
}

impl Clients {
    pub fn new(token: String) -> Self {
        Self { http: Client::builder().timeout(Duration::from_secs(60)).build().expect("a client"), token }
    }

    pub fn request(&self, panel: &PanelProcess, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://127.0.0.1:{}{path}", panel.port);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// A change of a user's note.
    pub fn change(&self, panel: &PanelProcess, user: &str, note: &str) -> RequestBuilder {
        let body = json!({"username": user, "note": note});
        self.request(panel, Method::PUT, &format!("/api/users/{user}")).json(&body)
    }

    pub async fn create_user(&self, panel: &PanelProcess, name: &str) {
        let user = json!({"username": name, "expire_strategy": "never"});
        assert_eq!(answer(self.request(panel, Method::POST, "/api/users").json(&user)).await, StatusCode::OK);
    }

    /// The note of a user, as this panel shows it.
    pub async fn note(&self, panel: &PanelProcess, user: &str) -> String {
        let shown = self.request(panel, Method::GET, &format!("/api/users/{user}")).send().await.expect("an answer");
        let user: Value = shown.json().await.expect("a user");
        user["note"].as_str().expect("a note").to_owned()
    }

    /// Repeats a read and a change on each panel until they succeed. Returns the times of the slowest panel.
    pub async fn first_right_answers(&self, panels: &[PanelProcess], user: &str, limit: Duration) -> [Duration; 2] {
        let reads = join_all(
            panels
                .iter()
                .map(|panel| repeat_until_right(limit, || self.request(panel, Method::GET, "/api/users?size=5"))),
        );
        let changes = join_all(
            panels.iter().map(|panel| repeat_until_right(limit, || self.change(panel, user, "after the cut"))),
        );
        let (reads, changes) = tokio::join!(reads, changes);
        [reads, changes].map(|times| times.into_iter().max().expect("a panel"))
    }
}

/// Sends a request. A refusal must be 503 with `Retry-After`.
pub async fn answer(request: RequestBuilder) -> StatusCode {
    let answer = request.send().await.expect("an answer");
    let (status, may_retry) = (answer.status(), answer.headers().contains_key("retry-after"));
    let text = answer.text().await.expect("a text");
    let is_refused = status == StatusCode::SERVICE_UNAVAILABLE && may_retry;
    assert!(status.is_success() || is_refused, "{status}, may be repeated: {may_retry}: {text}");
    status
}

/// Repeats a request until it succeeds; returns the time from the first attempt on.
pub async fn repeat_until_right(limit: Duration, mut request: impl FnMut() -> RequestBuilder) -> Duration {
    let began = Instant::now();
    while !answer(request()).await.is_success() {
        assert!(began.elapsed() < limit, "no right answer within {limit:?}");
        sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

/// Waits until no panel is ready; returns the time.
pub async fn until_none_is_ready(panels: &[PanelProcess], limit: Duration) -> Duration {
    until_all(panels, limit, |health| health["status"] == "unavailable").await
}

/// Waits until all panels are ready without any fault; returns the time.
pub async fn until_all_are_ready(panels: &[PanelProcess], limit: Duration) -> Duration {
    until_all(panels, limit, |health| health["status"] == "ok").await
}

async fn until_all(panels: &[PanelProcess], limit: Duration, is_reached: impl Fn(&Value) -> bool) -> Duration {
    let began = Instant::now();
    for panel in panels {
        loop {
            let health = panel.health().await;
            if health.as_ref().is_some_and(&is_reached) {
                break;
            }
            assert!(began.elapsed() < limit, "{} after {limit:?}: {health:?}\n{}", panel.name, panel.log());
            sleep(Duration::from_millis(50)).await;
        }
    }
    began.elapsed()
}
