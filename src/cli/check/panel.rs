//! The panel under check, as a client of its API.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::{Client, Method};
use serde_json::Value;

use crate::config::secret::Secret;

/// A panel that works answers long before.
const PATIENCE: Duration = Duration::from_secs(15);

/// The panel, and who asks it.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    client: Client,
    base: String,
    token: Option<Secret>,
}

/// An answer with its time.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// JSON, or the text.
    pub(super) body: Value,
    pub(super) time: Duration,
}

impl Panel {
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { client: client.context("no HTTP client")?, base, token: None })
    }

    /// Signs in; from then on requests carry the token.
    pub(super) async fn sign_in(&mut self, username: &str, password: &Secret) -> anyhow::Result<()> {
        let form = [("username", username), ("password", password.expose())];
        let request = self.client.post(format!("{}/api/admins/token", self.base)).form(&form);
        let answer = request.send().await.context("the panel does not let anybody sign in")?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        let Some(token) = body["access_token"].as_str() else {
            bail!("{username} can't sign in ({status}); check --username and SARBAN_ADMIN_PASSWORD");
        };
        if body["is_sudo"] != true {
            bail!("{username} is no sudo: only a sudo sees everything that is checked");
        }
        self.token = Some(Secret::new(token));
        Ok(())
    }

    /// The same panel for somebody who has not signed in.
    pub(super) fn stranger(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks; `token` in place of the admin's.
    pub(super) async fn ask(&self, method: Method, path: &str, token: Option<&Secret>) -> Result<Answer, String> {
        let begun = Instant::now();
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = token.or(self.token.as_ref()) {
            request = request.bearer_auth(token.expose());
        }
        let silent = |error: reqwest::Error| format!("{method} {path}: {}", error.without_url());
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(silent)?;
        let time = begun.elapsed();
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)), time })
    }
}
