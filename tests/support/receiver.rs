//! A real HTTP server that receives notifications and can answer with faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Endpoint, Request as HttpRequest, Response, Server};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The answer to one request.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// This status.
    Status(u16),
    /// This status and body.
    Answer(u16, &'static str),
    /// A permanent redirect to this address.
    Redirect(&'static str),
    /// Status 200 after this delay.
    Slow(Duration),
    /// No answer: the connection is closed.
    Drop,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    replies: VecDeque<Reply>,
    refused_chat: Option<&'static str>,
}

/// The server. Dropping it stops the server.
pub struct Receiver {
    state: Arc<Mutex<State>>,
    port: u16,
    server: JoinHandle<()>,
}

impl Request {
    /// The value of a header; empty when the header is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Receiver {
    /// Starts a server that answers each request with 200.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let port = acceptor.local_addr()[0].as_socket_addr().unwrap().port();
        let handler = Handler(state.clone());
        let server = tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(handler).await.unwrap() });
        Self { state, port, server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers the next requests like this, and later ones with 200.
    pub fn behave(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().replies.extend(replies);
    }

    /// Answers requests for this chat like Telegram when a user blocked the bot.
    pub fn refuse_chat(&self, chat: &'static str) {
        self.state.lock().unwrap().refused_chat = Some(chat);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Handler(Arc<Mutex<State>>);

impl Endpoint for Handler {
    type Output = Response;

    async fn call(&self, mut request: HttpRequest) -> poem::Result<Response> {
        let body = request.take_body().into_vec().await?;
        let headers = request.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
        let request = Request { path: request.uri().path().to_owned(), headers, body };
        let reply = {
            let mut state = self.0.lock().unwrap();
            let chat = serde_json::from_slice::<serde_json::Value>(&request.body).unwrap_or_default();
            let refused = state.refused_chat.is_some_and(|refused| chat["chat_id"] == refused);
            state.requests.push(request);
            if refused {
                Reply::Answer(403, r#"{"ok":false,"description":"Forbidden: bot was blocked by the user"}"#)
            } else {
                state.replies.pop_front().unwrap_or(Reply::Status(200))
            }
        };
        let status = |code: u16| poem::http::StatusCode::from_u16(code).unwrap();
        match reply {
            Reply::Status(code) => Ok(Response::builder().status(status(code)).finish()),
            Reply::Answer(code, body) => Ok(Response::builder().status(status(code)).body(body)),
            Reply::Redirect(to) => Ok(Response::builder().status(status(308)).header("location", to).finish()),
            Reply::Slow(pause) => {
                sleep(pause).await;
                Ok(Response::default())
            }
            // The server does not catch panics, so the task of the connection ends.
            Reply::Drop => panic!("this request is dropped on purpose"),
        }
    }
}
