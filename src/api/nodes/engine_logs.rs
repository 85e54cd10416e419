//! `/api/nodes/{node_id}/{backend}/logs`: an engine's log as a websocket, a text frame per line.
//!
//! What is wrong is said before the handshake, as an HTTP status. A log that ends leaves the socket open: clients know
//! it so, and would only connect again.

use std::pin::pin;
use std::time::Duration;

use deserr::Deserr;
use futures_util::{SinkExt, Stream, StreamExt};
use poem::http::{StatusCode, header};
use poem::web::websocket::{CloseCode, Message, WebSocket, WebSocketConfig, WebSocketStream};
use poem::{FromRequest, IntoResponse, Request, RequestBody, Response, handler};
use tokio::time::{Instant, interval_at, timeout};

use super::engines::EnginePath;
use crate::actions::engines::{self, EngineError};
use crate::api::http::auth::bearer_token;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::{Both, Input};
use crate::api::http::loose::Flag;
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, get};
use crate::api::state::State;
use crate::nodes::link_error::LinkError;
use crate::nodes::one_off::VisitError;

/// How often a quiet client is asked whether it is there; one that stays quiet until the next time is gone.
const PING: Duration = Duration::from_secs(30);
/// How long a client may take for a line.
const PATIENCE: Duration = Duration::from_secs(30);
/// Clients have nothing to say.
const LARGEST_MESSAGE: usize = 4_096;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    // OpenAPI has no words for a websocket.
    routes.undescribed("/api/nodes/:node_id/:backend/logs", get(logs))
}

#[derive(Debug, Deserr)]
#[deserr(error = FieldErrors)]
struct LogsQuery {
    /// For browsers, which can't set a header.
    #[deserr(default)]
    token: Option<String>,
    /// Whether to begin with what the node still remembers.
    #[deserr(default = Flag(true))]
    include_buffer: Flag,
}

impl Params for LogsQuery {}

#[handler]
async fn logs(request: &Request, state: &State) -> Result<Response, ApiError> {
    if !request.header(header::UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "There is nothing at this address"));
    }
    let read = Both::<Path<EnginePath>, Query<LogsQuery>>::read(request, &mut RequestBody::default()).await;
    let Ok(Both(Path(at), Query(query))) = read else { return Err(ApiError::forbidden()) };
    let Some(token) = query.token.as_deref().or_else(|| bearer_token(request)) else {
        return Err(ApiError::forbidden());
    };
    if !state.admin_of_token(token).await?.is_some_and(|admin| admin.is_sudo) {
        return Err(ApiError::forbidden());
    }
    let link = engines::for_logs(&state.panel, at.node()).await.map_err(|error| match error {
        EngineError::Visit(VisitError::Unknown) => ApiError::forbidden(),
        error => error.into(),
    })?;
    let socket = WebSocket::from_request_without_body(request).await;
    let socket = socket.map_err(|_| ApiError::bad_request("This is no websocket handshake of version 13"))?;
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(LARGEST_MESSAGE);
    config.max_frame_size = Some(LARGEST_MESSAGE);
    let Flag(include_buffer) = query.include_buffer;
    let forwarding =
        socket.config(config).on_upgrade(move |socket| forward(socket, link.backend_logs(at.backend, include_buffer)));
    Ok(forwarding.into_response())
}

/// Passes lines on until the client is gone or the node breaks off. A slow client holds the node's stream back.
async fn forward(mut socket: WebSocketStream, lines: impl Stream<Item = Result<String, LinkError>> + Send) {
    let mut lines = pin!(lines.fuse());
    let mut pings = interval_at(Instant::now() + PING, PING);
    let (mut heard, mut over) = (true, false);
    loop {
        let message = tokio::select! {
            line = lines.next(), if !over => match line {
                Some(Ok(line)) => Message::text(line),
                Some(Err(error)) => {
                    let close = Message::close_with(CloseCode::Error, close_reason(&error));
                    // Whether it arrives or not, this is the end.
                    let _ = timeout(PATIENCE, socket.send(close)).await;
                    return;
                }
                None => {
                    over = true;
                    continue;
                }
            },
            said = socket.next() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    heard = true;
                    continue;
                }
            },
            _ = pings.tick() => {
                if !std::mem::take(&mut heard) {
                    return;
                }
                Message::ping(Vec::new())
            }
        };
        if !matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// A close frame has room for 123 bytes.
fn close_reason(error: &LinkError) -> String {
    format!("The node broke off: {error}").chars().filter(char::is_ascii).take(123).collect()
}
