//! The HTTP clients of notifications, and what can go wrong with a request, in words that give no address away.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Proxy, RequestBuilder, Response, StatusCode};

use crate::config::secret::Secret;
use crate::foundation::chain;

const CONNECT: Duration = Duration::from_secs(5);
/// From the first byte sent to the last one received.
const WHOLE: Duration = Duration::from_secs(10);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("{setting} can't be used: {reason}")]
pub struct ClientError {
    /// The setting to look at.
    setting: &'static str,
    reason: String,
}

/// Why a entry did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer came: nobody is there, or it took too long.
    Silent(String),
    /// The answer was no.
    Refused(String),
    /// Too many messages: none before so long.
    TooMany(Duration),
}

/// A client with time-outs. It follows no redirect, which would take secrets elsewhere, and no proxy but the one given.
pub(super) fn client(proxy: Option<(&'static str, &Secret)>) -> Result<Client, ClientError> {
    let mut builder = Client::builder().no_proxy().connect_timeout(CONNECT).timeout(WHOLE).redirect(Policy::none());
    let mut setting = "the TLS of notifications";
    if let Some((name, url)) = proxy {
        setting = name;
        let proxy =
            Proxy::all(url.expose()).map_err(|error| ClientError { setting, reason: chain_without_address(error) })?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| ClientError { setting, reason: chain_without_address(error) })
}

/// Sends; any answer is one.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    request.send().await.map_err(|error| Failure::Silent(chain_without_address(error)))
}

/// What an answer other than yes says.
pub(super) fn refused(status: StatusCode) -> Failure {
    Failure::Refused(format!("the answer was {status}"))
}

impl Failure {
    /// For the entry's row and the log.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Silent(reason) | Self::Refused(reason) => reason.clone(),
            Self::TooMany(pause) => format!("asked to wait {} s", pause.as_secs()),
        }
    }
}

/// The error and its sources without the address, which contains a token.
fn chain_without_address(error: reqwest::Error) -> String {
    chain(&error.without_url())
}
