//! A real HTTP server that takes notifications, and misbehaves when it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Endpoint, Request as HttpRequest, Response, Server};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How one request is answered.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// With this status.
    Status(u16),
    /// With this status and body.
    Answer(u16, &'static str),
    /// With 200, but late.
    Slow(Duration),
    /// Not at all: the connection is cut.
    Drop,
}

/// What came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Notes {
    requests: Vec<Request>,
    manners: VecDeque<Manner>,
    refused_chat: Option<&'static str>,
}

/// The server. Dropped, it is gone.
pub struct Receiver {
    notes: Arc<Mutex<Notes>>,
    port: u16,
    server: JoinHandle<()>,
}

impl Request {
    /// A header's value; empty when it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Receiver {
    /// Starts; it answers everything with 200.
    pub async fn start() -> Self {
        let notes = Arc::<Mutex<Notes>>::default();
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let port = acceptor.local_addr()[0].as_socket_addr().unwrap().port();
        let door = Door(notes.clone());
        let server = tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(door).await.unwrap() });
        Self { notes, port, server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The next requests are answered like this, the others well.
    pub fn behave(&self, manners: impl IntoIterator<Item = Manner>) {
        self.notes.lock().unwrap().manners.extend(manners);
    }

    /// Telegram's answer where somebody blocked the bot.
    pub fn refuse_chat(&self, chat: &'static str) {
        self.notes.lock().unwrap().refused_chat = Some(chat);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.notes.lock().unwrap().requests.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Door(Arc<Mutex<Notes>>);

impl Endpoint for Door {
    type Output = Response;

    async fn call(&self, mut request: HttpRequest) -> poem::Result<Response> {
        let body = request.take_body().into_vec().await?;
        let headers = request.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
        let request = Request { path: request.uri().path().to_owned(), headers, body };
        let manner = {
            let mut notes = self.0.lock().unwrap();
            let chat = serde_json::from_slice::<serde_json::Value>(&request.body).unwrap_or_default();
            let refused = notes.refused_chat.is_some_and(|refused| chat["chat_id"] == refused);
            notes.requests.push(request);
            if refused {
                Manner::Answer(403, r#"{"ok":false,"description":"Forbidden: bot was blocked by the user"}"#)
            } else {
                notes.manners.pop_front().unwrap_or(Manner::Status(200))
            }
        };
        let status = |code: u16| poem::http::StatusCode::from_u16(code).unwrap();
        match manner {
            Manner::Status(code) => Ok(Response::builder().status(status(code)).finish()),
            Manner::Answer(code, body) => Ok(Response::builder().status(status(code)).body(body)),
            Manner::Slow(pause) => {
                sleep(pause).await;
                Ok(Response::default())
            }
            // The server catches no panic: the connection's task ends with it.
            Manner::Drop => panic!("this request is dropped on purpose"),
        }
    }
}
