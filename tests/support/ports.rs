//! Ports for the programs that tests start.

use tokio::net::TcpSocket;

/// Returns a port of 127.0.0.1 for a program that is about to start. The port stays reserved until the test process
/// ends: a bound socket that never listens lets the program bind the port too, and keeps it from other processes.
pub fn free_port() -> u16 {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("the port may be bound twice");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let port = socket.local_addr().expect("its address").port();
    // The program may be restarted on its port until the end of the test.
    std::mem::forget(socket);
    port
}
