//! `/api/nodes/{node_id}/{backend}/logs`: the log of an engine over a websocket, one text frame per line.
//!
//! Errors are answered before the handshake, with an HTTP status. The socket stays open when the log ends, as existing
//! clients expect: otherwise they would reconnect.
//!
//! Browsers can't set headers of a handshake, except for the subprotocols. So that a token need not be in the URL, and in
//! the logs of proxies, a client may offer it as a subprotocol: `Sec-WebSocket-Protocol: sarban.log, sarban.bearer.TOKEN`.
//! The answer selects `sarban.log`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deserr::Deserr;
use futures_util::{SinkExt, Stream, StreamExt};
use poem::http::{StatusCode, header};
use poem::web::websocket::{CloseCode, Message, WebSocket, WebSocketConfig, WebSocketStream};
use poem::{FromRequest, IntoResponse, Request, RequestBody, Response, handler};
use tokio::time::{Instant, interval_at, sleep, timeout};

use super::engines::EnginePath;
use crate::actions::api_tokens::Refused;
use crate::actions::engines::{self, EngineError};
use crate::api::http::auth::{Identity, bearer_token};
use crate::api::http::client::Client;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::{Input, Inputs};
use crate::api::http::loose::LooseBool;
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, get};
use crate::api::operations::Need;
use crate::api::state::State;
use crate::nodes::node_error::NodeError;
use crate::nodes::one_off::ConnectError;

/// Interval of pings. A client that sends nothing between two of them is disconnected.
const PING: Duration = Duration::from_secs(30);
/// Time limit for sending a line to a client.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of checks that the admin may still read the log.
const CHECK: Duration = Duration::from_secs(2);
/// Failed checks after which the log ends: half a minute without the database.
const FAILED_CHECKS: u32 = 15;
/// Maximum size of a message from a client, in bytes. Clients only need control frames.
const MAX_MESSAGE_SIZE: usize = 4_096;

const ROUTE: &str = "/api/nodes/:node_id/:backend/logs";
/// The subprotocol that is selected. Browsers refuse an answer that selects none of those that they offered.
const PROTOCOL: &str = "sarban.log";
/// Prefix of the token as an offered subprotocol.
const BEARER: &str = "sarban.bearer.";

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    // OpenAPI can't describe a websocket.
    routes.hidden(ROUTE, get(logs).without_permit())
}

#[derive(Debug, Deserr)]
#[deserr(error = FieldErrors)]
struct LogsQuery {
    /// For clients of Marzneshin.
    #[deserr(default)]
    token: Option<String>,
    /// True to start with the lines that the node has buffered.
    #[deserr(default = LooseBool(true))]
    include_buffer: LooseBool,
}

impl Params for LogsQuery {}

#[handler]
async fn logs(request: &Request, state: &State) -> Result<Response, ApiError> {
    if !request.header(header::UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "Not found"));
    }
    let read = Inputs::<Path<EnginePath>, Query<LogsQuery>>::read(request, &mut RequestBody::default()).await;
    let Ok(Inputs(Path(path), Query(query))) = read else { return Err(ApiError::forbidden()) };
    let Some(token) = query.token.as_deref().or_else(|| bearer_token(request)).or_else(|| offered_token(request))
    else {
        return Err(ApiError::forbidden());
    };
    let client = Client::of(request, &state.options.http.trusted_proxies);
    let identity = state.identity(token, &client).await?.map_err(|refused| match refused {
        // As the old panel answers.
        Refused::Wrong => ApiError::forbidden(),
        refused => refused.into(),
    })?;
    identity.may(Need::of("GET", ROUTE))?;
    let open = state.log_streams.open(identity.admin.id)?;
    let connection = engines::for_logs(&state.panel, path.node()).await.map_err(|error| match error {
        EngineError::Connect(ConnectError::Unknown) => ApiError::forbidden(),
        error => error.into(),
    })?;
    let socket = WebSocket::from_request_without_body(request).await;
    let socket = socket.map_err(|_| ApiError::bad_request("Not a websocket handshake of version 13"))?;
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_MESSAGE_SIZE);
    config.max_frame_size = Some(MAX_MESSAGE_SIZE);
    let LooseBool(include_buffer) = query.include_buffer;
    let (state, token) = (State::of(request)?.clone(), token.to_owned());
    let response = socket.config(config).protocols([PROTOCOL]).on_upgrade(move |socket| {
        let lines = connection.backend_logs(path.backend, include_buffer);
        async move {
            let _open = open;
            forward(socket, lines, until_revoked(state, token, client)).await;
        }
    });
    Ok(response.into_response())
}

/// Returns the token among the offered subprotocols.
fn offered_token(request: &Request) -> Option<&str> {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    offers.find_map(|offer| offer.trim().strip_prefix(BEARER)).filter(|token| !token.is_empty())
}

/// Returns when the token has expired, its admin is deleted or disabled, either lacks the right now, or that can't be checked:
/// the code and the reason for the client. Clients come again after all codes but that of a refusal.
async fn until_revoked(state: Arc<State>, token: String, client: Client) -> (CloseCode, &'static str) {
    let mut failed = 0;
    loop {
        sleep(CHECK).await;
        let checked = state.identity(&token, &client).await;
        let may = |identity: Identity| identity.may(Need::of("GET", ROUTE)).is_ok();
        let may_read = checked.ok().map(|identity| identity.is_ok_and(may));
        if let Some(close) = close_after(&mut failed, may_read) {
            return close;
        }
    }
}

/// Returns why the log is closed after a check; `may_read` is none if it failed, as the `failed` ones before it in a row did.
const fn close_after(failed: &mut u32, may_read: Option<bool>) -> Option<(CloseCode, &'static str)> {
    match may_read {
        Some(true) => *failed = 0,
        Some(false) => return Some((CloseCode::Policy, "The token is not valid any more")),
        None => *failed += 1,
    }
    if *failed < FAILED_CHECKS {
        return None;
    }
    Some((CloseCode::Again, "The token can't be checked, try again"))
}

/// Forwards lines until the client disconnects, the node's stream fails or the client's rights are revoked. A slow client
/// applies backpressure to the node.
async fn forward(
    mut socket: WebSocketStream,
    lines: impl Stream<Item = Result<String, NodeError>> + Send,
    revoked: impl Future<Output = (CloseCode, &'static str)> + Send,
) {
    let (mut lines, mut revoked) = (pin!(lines.fuse()), pin!(revoked));
    let mut pings = interval_at(Instant::now() + PING, PING);
    let (mut is_alive, mut log_ended) = (true, false);
    loop {
        let message = tokio::select! {
            line = lines.next(), if !log_ended => match line {
                Some(Ok(line)) => Message::text(line),
                Some(Err(error)) => {
                    let close = Message::close_with(CloseCode::Error, close_reason(&error));
                    // The socket is closed even if the client does not receive the reason.
                    let _ = timeout(SEND_TIMEOUT, socket.send(close)).await;
                    return;
                }
                None => {
                    log_ended = true;
                    continue;
                }
            },
            received = socket.next() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    is_alive = true;
                    continue;
                }
            },
            (code, reason) = &mut revoked => {
                let close = Message::close_with(code, reason);
                let _ = timeout(SEND_TIMEOUT, socket.send(close)).await;
                return;
            }
            _ = pings.tick() => {
                if !std::mem::take(&mut is_alive) {
                    return;
                }
                Message::ping(Vec::new())
            }
        };
        let sent = tokio::select! {
            sent = timeout(SEND_TIMEOUT, socket.send(message)) => matches!(sent, Ok(Ok(()))),
            _ = &mut revoked => false,
        };
        if !sent {
            return;
        }
    }
}

/// Returns the reason for a close frame, which holds up to 123 bytes.
fn close_reason(error: &NodeError) -> String {
    format!("The node closed the log: {error}").chars().filter(char::is_ascii).take(123).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_come_again_when_only_the_database_is_away() {
        let mut failed = 0;
        let mut checks = |may_read, times: u32| {
            let codes = (0..times).filter_map(|_| close_after(&mut failed, may_read));
            codes.map(|(code, _)| u16::from(code)).collect::<Vec<_>>()
        };
        assert_eq!(checks(None, FAILED_CHECKS - 1), [0_u16; 0]);
        assert_eq!(checks(Some(true), 1), [0_u16; 0], "the failures before count no more");
        assert_eq!(checks(None, FAILED_CHECKS), [1013]);
        assert_eq!(checks(Some(false), 1), [1008]);
    }
}
