//! Ports for the programs that tests start.

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 for a program that is about to start. The port stays reserved for as long as the test process
/// lives: its socket is bound and never listens, so the program can bind the port as well, and nobody else is given it.
pub fn free_port() -> u16 {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("the port may be bound twice");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let port = socket.local_addr().expect("its address").port();
    // The program may be restarted on its port until the end of the test.
    std::mem::forget(socket);
    port
}
