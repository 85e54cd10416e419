//! `sarban healthcheck`, with and without a server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;

use super::WorkDir;

const REQUEST: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn answer(mut stream: impl Read + Write, status: &str) {
    let mut request = vec![0; REQUEST.len()];
    stream.read_exact(&mut request).expect("a request");
    assert_eq!(request, REQUEST.as_bytes());
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").expect("an answer");
}

#[test]
fn only_status_200_is_alive() {
    for (status, code) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        let panel = thread::spawn(move || answer(listener.accept().expect("a connection").0, status));
        assert_eq!(WorkDir::new().run(&["healthcheck"], &[("UVICORN_PORT", &port)]).code, Some(code), "{status}");
        panel.join().expect("asked");
    }
}

#[test]
fn unix_socket_is_used_when_configured() {
    let dir = WorkDir::new();
    let listener = UnixListener::bind(dir.0.path().join("panel.sock")).expect("a socket");
    let panel = thread::spawn(move || answer(listener.accept().expect("a connection").0, "200 OK"));
    dir.run(&["healthcheck"], &[("UVICORN_UDS", "panel.sock")]).expect_success();
    panel.join().expect("asked");
}

#[test]
fn unreachable_panel_is_a_one_line_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    drop(listener);
    let error = WorkDir::new().run(&["healthcheck"], &[("UVICORN_PORT", &port)]).expect_failure(1);
    assert!(error.contains(&format!("127.0.0.1 port {port}")), "{error}");
}
