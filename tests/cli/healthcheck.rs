//! `sarban healthcheck`, with something that answers and without.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread;

use super::Box;

const REQUEST: &str = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn answer(mut stream: impl Read + Write, status: &str) {
    let mut request = vec![0; REQUEST.len()];
    stream.read_exact(&mut request).expect("a request");
    assert_eq!(request, REQUEST.as_bytes());
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").expect("an answer");
}

#[test]
fn a_panel_that_answers_is_alive() {
    for (status, code) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        let panel = thread::spawn(move || answer(listener.accept().expect("a connection").0, status));
        assert_eq!(Box::new().run(&["healthcheck"], &[("UVICORN_PORT", &port)]).code, Some(code), "{status}");
        panel.join().expect("asked");
    }
}

#[test]
fn it_asks_through_the_socket_too() {
    let place = Box::new();
    let listener = UnixListener::bind(place.0.path().join("panel.sock")).expect("a socket");
    let panel = thread::spawn(move || answer(listener.accept().expect("a connection").0, "200 OK"));
    place.run(&["healthcheck"], &[("UVICORN_UDS", "panel.sock")]).well();
    panel.join().expect("asked");
}

#[test]
fn nobody_there_is_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    drop(listener);
    let error = Box::new().run(&["healthcheck"], &[("UVICORN_PORT", &port)]).failed(1);
    assert!(error.contains(&format!("127.0.0.1 port {port}")), "{error}");
}
