//! Connections: clients that are silent, never finish a request or do not read are disconnected; others are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Body, Endpoint, Request, Response};
use sarban::app::connections::{Connections, Limits};
use sarban::app::server::{Timeouts, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(400);
/// Time limit for everything that must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// Bytes of a large response: more than the kernel's buffers take.
const LARGE: usize = 16 << 20;

/// Responses that are slow, endless, broken or quick, depending on the path. The number is that of slow ones that have begun.
struct Routes(Arc<AtomicUsize>);

impl Endpoint for Routes {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
        Ok(match request.uri().path() {
            "/slow" => {
                self.0.fetch_add(1, Ordering::Relaxed);
                sleep(6 * SHORT).await;
                Response::from("slow")
            }
            "/large" => Response::from(vec![b'x'; LARGE]),
            "/endless" => Response::from(Body::from_bytes_stream(pieces)),
            "/broken" => {
                let broken = futures_util::stream::unfold(0, async |nth| match nth {
                    0 => Some((Ok("{\"items\":["), 1)),
                    _ => {
                        sleep(SHORT).await;
                        Some((Err(std::io::Error::other("on purpose")), 2))
                    }
                });
                Response::from(Body::from_bytes_stream(Box::pin(broken)))
            }
            _ => Response::from("quick"),
        })
    }
}

struct Running {
    address: String,
    slow: Arc<AtomicUsize>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

async fn start(timeouts: Timeouts, grace: Duration) -> Running {
    start_with(Limits::of(1_000), timeouts, grace).await
}

async fn start_with(limits: Limits, timeouts: Timeouts, grace: Duration) -> Running {
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a port");
    let address = acceptor.local_addr()[0].to_string().trim_start_matches("socket://").to_owned();
    let stop = CancellationToken::new();
    let connections = Connections::new(limits, "127.0.0.0/8".parse().expect("networks"));
    let stopped = stop.clone();
    let end = async move {
        stopped.cancelled().await;
        Instant::now() + grace
    };
    let slow = Arc::<AtomicUsize>::default();
    let server = tokio::spawn(serve(acceptor, connections, Routes(slow.clone()), timeouts, end));
    Running { address, slow, stop, server }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.expect("a connection")
    }

    /// Waits until this many slow responses have begun.
    async fn is_busy(&self, responses: usize) {
        let began = Instant::now();
        while self.slow.load(Ordering::Relaxed) < responses {
            assert!(began.elapsed() < DEADLINE, "the requests are not read");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

/// Returns everything until the connection ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn answer(stream: &mut TcpStream, end: &str) {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let mut bytes = [0; 1024];
        let read = timeout(DEADLINE, stream.read(&mut bytes)).await.expect("an answer").expect("a connection");
        assert!(read > 0, "it ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}

#[tokio::test]
async fn connection_with_endless_headers_is_closed() {
    let server = start(Timeouts { request: SHORT, silence: LONG, response: LONG }, LONG).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    let began = Instant::now();
    // Single bytes keep the connection from being silent.
    while stream.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < DEADLINE, "the connection is still open");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn connection_is_reused_and_closed_when_idle() {
    let server = start(Timeouts { request: 5 * SHORT, silence: LONG, response: LONG }, LONG).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(&request("/")).await.expect("sent");
        answer(&mut stream, "quick").await;
        sleep(SHORT / 4).await;
    }
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn silent_connection_is_closed() {
    let server = start(Timeouts { request: LONG, silence: SHORT, response: LONG }, LONG).await;
    assert_eq!(rest(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn connection_waiting_for_a_slow_response_stays_open() {
    let server = start(Timeouts { request: SHORT, silence: SHORT, response: LONG }, LONG).await;
    let mut stream = server.connect().await;
    stream.write_all(&request("/slow")).await.expect("sent");
    answer(&mut stream, "slow").await;
}

#[tokio::test]
async fn response_that_the_client_does_not_read_is_aborted() {
    let server = start(Timeouts { request: LONG, silence: SHORT, response: LONG }, DEADLINE).await;
    let mut stream = server.connect().await;
    stream.write_all(&request("/endless")).await.expect("sent");
    // The server stops once all connections are closed. This response would never end.
    server.stop.cancel();
    timeout(DEADLINE / 2, server.server).await.expect("the response is aborted").expect("no panic");
    drop(stream);
}

#[tokio::test]
async fn response_that_takes_too_long_is_aborted_although_the_client_reads() {
    let server = start(Timeouts { request: LONG, silence: LONG, response: SHORT }, LONG).await;
    let mut stream = server.connect().await;
    stream.write_all(&request("/endless")).await.expect("sent");
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn responses_that_are_not_read_have_bounded_memory_and_the_first_ones_are_cut_off() {
    let server = start(Timeouts { request: LONG, silence: LONG, response: LONG }, LONG).await;
    let mut unread = Vec::new();
    for _ in 0..6 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("sent");
        stream.readable().await.expect("an answer");
        unread.push(stream);
    }
    let lengths: Vec<usize> =
        futures_util::future::join_all(unread.iter_mut().map(rest)).await.iter().map(String::len).collect();
    assert!(lengths[0] < LARGE, "the first response was sent whole: {lengths:?}");
    assert!(lengths[5] > LARGE, "the last response was cut off: {lengths:?}");
}

#[tokio::test]
async fn failed_response_is_not_terminated_like_a_complete_one() {
    let server = start(Timeouts { request: LONG, silence: LONG, response: LONG }, LONG).await;
    let mut stream = server.connect().await;
    stream.write_all(&request("/broken")).await.expect("sent");
    let text = rest(&mut stream).await;
    assert!(text.contains("items") && !text.contains("\r\n0\r\n"), "{text:?}");
}

#[tokio::test]
async fn shutdown_waits_for_responses_up_to_the_grace_period() {
    let timeouts = Timeouts { request: LONG, silence: LONG, response: LONG };
    let server = start(timeouts, LONG).await;
    let (mut idle, mut slow) = (server.connect().await, server.connect().await);
    for (stream, path, end) in [(&mut idle, "/", "quick"), (&mut slow, "/", "quick")] {
        stream.write_all(&request(path)).await.expect("sent");
        answer(stream, end).await;
    }
    slow.write_all(&request("/slow")).await.expect("sent");
    server.is_busy(1).await;
    server.stop.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(rest(&mut slow).await.ends_with("slow"));
    timeout(DEADLINE, server.server).await.expect("the server stops").expect("no panic");

    let server = start(timeouts, SHORT).await;
    let mut endless = server.connect().await;
    endless.write_all(&request("/endless")).await.expect("sent");
    endless.readable().await.expect("an answer");
    server.stop.cancel();
    timeout(DEADLINE, server.server).await.expect("the server stops").expect("no panic");
}

#[tokio::test]
async fn idle_connections_are_closed_for_new_ones_and_probes_answered_beside_busy_ones() {
    let limits = Limits { all: 4, for_probes: 2, per_address: 4 };
    let server = start_with(limits, Timeouts { request: LONG, silence: LONG, response: LONG }, LONG).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(server.connect().await);
    }
    let mut stream = server.connect().await;
    stream.write_all(&request("/")).await.expect("sent");
    answer(&mut stream, "quick").await;
    assert_eq!(rest(&mut idle[0]).await, "", "the longest idle connection is closed");
    let mut busy = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect().await;
        stream.write_all(&request("/slow")).await.expect("sent");
        busy.push(stream);
    }
    server.is_busy(4).await;
    let mut stream = server.connect().await;
    stream.write_all(&request("/")).await.expect("sent");
    let refusal = rest(&mut stream).await;
    assert!(refusal.starts_with("HTTP/1.1 503") && refusal.contains("retry-after"), "{refusal}");
    let mut stream = server.connect().await;
    stream.write_all(&request("/health/live")).await.expect("sent");
    answer(&mut stream, "quick").await;
    for stream in &mut busy {
        answer(stream, "slow").await;
    }
}
