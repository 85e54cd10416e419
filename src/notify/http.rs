//! The HTTP client of notifications, and the failures of its requests. No failure's text contains an address: it has a
//! secret in it.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Proxy, RequestBuilder, Response, StatusCode};

use crate::config::secret::Secret;
use crate::foundation::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From connecting to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the client can't be built.
#[derive(Debug, thiserror::Error)]
#[error("{setting} can't be used: {reason}")]
pub struct ClientError {
    /// The setting that is wrong.
    setting: &'static str,
    reason: String,
}

/// The setting with the proxy for Telegram.
pub(super) const PROXY_SETTING: &str = "TELEGRAM_PROXY_URL";

impl ClientError {
    /// The proxy is no address of one.
    pub(super) fn unusable_proxy() -> Self {
        let reason = "write the address of a proxy such as socks5://host:1080 or http://host:8080".to_owned();
        Self { setting: PROXY_SETTING, reason }
    }
}

/// Why a notification was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The receiver could not be reached, or did not answer in time.
    NoAnswer(String),
    /// The receiver answered with an error.
    Refused(String),
    /// The receiver asked for no more requests for this long.
    RateLimited(Duration),
}

/// Builds a client with time limits. It follows no redirects, which would send secrets elsewhere, and uses no proxy but
/// the given one.
pub(super) fn client(proxy: Option<(&'static str, &Secret)>) -> Result<Client, ClientError> {
    let mut builder =
        Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).redirect(Policy::none());
    let mut setting = "the TLS configuration of notifications";
    if let Some((name, url)) = proxy {
        setting = name;
        let proxy =
            Proxy::all(url.expose()).map_err(|error| ClientError { setting, reason: chain_without_address(error) })?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| ClientError { setting, reason: chain_without_address(error) })
}

/// Sends a request. An answer with an error status is `Ok`.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    request.send().await.map_err(|error| Failure::NoAnswer(chain_without_address(error)))
}

/// The failure of an answer with an error status.
pub(super) fn refused(status: StatusCode) -> Failure {
    Failure::Refused(format!("the receiver answered {status}"))
}

impl Failure {
    /// The text for the entry's row and the log.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::NoAnswer(reason) | Self::Refused(reason) => reason.clone(),
            Self::RateLimited(pause) => format!("the receiver asked for a pause of {} s", pause.as_secs()),
        }
    }
}

/// Joins an error and its sources. Leaves out the address, which contains the bot's token or the webhook's secret.
fn chain_without_address(error: reqwest::Error) -> String {
    chain(&error.without_url())
}
