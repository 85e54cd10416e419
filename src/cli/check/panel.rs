//! A client for the API of the panel that is checked.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::time::Instant;

use crate::config::secret::Secret;

/// Time limit for a request.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The panel's address with the token of an admin.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    client: Client,
    base: String,
    token: Option<Secret>,
}

/// A response with its time.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The JSON document; a JSON string if the body is not JSON.
    pub(super) body: Value,
    pub(super) time: Duration,
}

impl Panel {
    /// A client without a token.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { client: client.context("could not create an HTTP client")?, base, token: None })
    }

    /// Signs in as a sudo admin. Later requests carry the token.
    pub(super) async fn sign_in(&mut self, username: &str, password: &Secret) -> anyhow::Result<()> {
        let form = [("username", username), ("password", password.expose())];
        let request = self.client.post(format!("{}/api/admins/token", self.base)).form(&form);
        let response = request.send().await.context("could not sign in")?;
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        let Some(token) = body["access_token"].as_str() else {
            bail!("could not sign in as {username} (status {status}); check --username and the password");
        };
        if body["is_sudo"] != true {
            bail!("{username} is not a sudo admin; name one with --username");
        }
        self.token = Some(Secret::new(token));
        Ok(())
    }

    /// A client for the same panel without a token.
    pub(super) fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Response, String> {
        self.request(Method::GET, path, None).await
    }

    /// Sends a request; `token` replaces the admin's.
    pub(super) async fn request(&self, method: Method, path: &str, token: Option<&Secret>) -> Result<Response, String> {
        let start = Instant::now();
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = token.or(self.token.as_ref()) {
            request = request.bearer_auth(token.expose());
        }
        let failure = |error: reqwest::Error| format!("{method} {path}: {}", error.without_url());
        let response = request.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(failure)?;
        let time = start.elapsed();
        Ok(Response { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)), time })
    }
}
