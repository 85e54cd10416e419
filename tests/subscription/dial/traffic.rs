//! The bytes that are sent through every connection, and the server that answers them.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::process::free_port;

/// The bytes that a client sends.
const UP: usize = 64 << 10;
/// The bytes that it gets back.
const DOWN: usize = 1 << 20;
/// The longest silence of a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server behind all servers. It ends with the process.
pub struct Target {
    pub port: u16,
}

impl Target {
    pub fn start() -> Self {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        std::thread::spawn(move || echo(&socket));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer(stream));
            }
        });
        Self { port }
    }
}

/// Reads a number, which it repeats, and bytes made from it, and answers with others.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut number = [0; 8];
    stream.read_exact(&mut number)?;
    stream.write_all(&number)?;
    let number = u64::from_be_bytes(number);
    let mut sent = vec![0; UP];
    stream.read_exact(&mut sent)?;
    if sent == bytes(number, UP) {
        stream.write_all(bytes(!number, DOWN))?;
    }
    Ok(())
}

/// Random bytes; those of another number start elsewhere.
fn bytes(number: u64, length: usize) -> &'static [u8] {
    const ALL: usize = 4 << 20;
    static RANDOM: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut bytes = vec![0; ALL];
        StdRng::seed_from_u64(7).fill_bytes(&mut bytes);
        bytes
    });
    let start = usize::try_from(number % 1_000_003).unwrap();
    &RANDOM[start..start + length]
}

/// The address that a client asks for, one for each client and case. It is of a network that is nowhere: only the
/// servers know that the target is meant.
pub fn destination(client: usize, case: usize) -> Ipv4Addr {
    let [.., net, high, low] = u32::try_from(client * 1_024 + case + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(198, 18 + net, high, low)
}

/// Exchanges bytes with the target, through the SOCKS server of a client.
pub fn fetched(port: u16, destination: Ipv4Addr) -> Result<(), String> {
    let exchange = || -> io::Result<&'static str> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[5, 1, 0])?;
        stream.read_exact(&mut [0; 2])?;
        stream.write_all(&[&[5, 1, 0, 1][..], &destination.octets(), &80_u16.to_be_bytes()].concat())?;
        let mut reply = [0; 10];
        stream.read_exact(&mut reply)?;
        if reply[1] != 0 {
            return Ok("the client refuses the connection");
        }
        let number = u64::from(u32::from(destination));
        // The first bytes of Trojan must be few.
        stream.write_all(&number.to_be_bytes())?;
        stream.read_exact(&mut [0; 8])?;
        stream.write_all(bytes(number, UP))?;
        let mut received = vec![0; DOWN];
        stream.read_exact(&mut received)?;
        Ok(if received == bytes(!number, DOWN) { "" } else { "other bytes arrive" })
    };
    match exchange() {
        Ok("") => Ok(()),
        Ok(problem) => Err(problem.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns each packet to its sender.
fn echo(socket: &UdpSocket) {
    let mut packet = [0; 2_048];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        let _ = socket.send_to(&packet[..length], from);
    }
}

/// Sends packets to the target and gets them back, through the SOCKS server of a client.
pub fn echoed(port: u16, destination: Ipv4Addr) -> Result<(), String> {
    const TRIES: u8 = 5;
    let exchange = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[5, 1, 0])?;
        stream.read_exact(&mut [0; 2])?;
        stream.write_all(&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0])?;
        let mut reply = [0; 10];
        stream.read_exact(&mut reply)?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE / u32::from(TRIES)))?;
        socket.connect((Ipv4Addr::LOCALHOST, u16::from_be_bytes([reply[8], reply[9]])))?;
        for number in 0..TRIES {
            let content = [&[number][..], bytes(u64::from(u32::from(destination)), 1_000)].concat();
            socket.send(&[&[0, 0, 0, 1][..], &destination.octets(), &81_u16.to_be_bytes(), &content].concat())?;
            let mut packet = [0; 2_048];
            if socket.recv(&mut packet).is_ok_and(|length| packet[..length].ends_with(&content[1..])) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match exchange() {
        Ok(true) => Ok(()),
        Ok(false) => Err("packets do not come back".to_owned()),
        Err(error) => Err(format!("packets: {error}")),
    }
}

/// A port that passes all connections on to another one, and the number of connections so far.
pub fn relay(to: u16) -> (u16, Arc<AtomicUsize>) {
    let passed = Arc::new(AtomicUsize::new(0));
    let (port, count) = (free_port(), Arc::clone(&passed));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    std::thread::spawn(move || {
        for one in listener.incoming().map_while(Result::ok) {
            let Ok(other) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
            count.fetch_add(1, Ordering::Relaxed);
            let pairs = one.try_clone().and_then(|copy| Ok([(copy, other.try_clone()?), (other, one)]));
            for (mut from, mut to) in pairs.into_iter().flatten() {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (port, passed)
}

/// Waits until a client passes connections of this SOCKS server on.
pub fn wait_for(port: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let [high, low] = listener.local_addr().unwrap().port().to_be_bytes();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"!");
        }
    });
    let passes = || -> io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[5, 1, 0])?;
        stream.read_exact(&mut [0; 2])?;
        stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low])?;
        stream.read_exact(&mut [0; 10 + 1])
    };
    for _ in 0..500 {
        if passes().is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it listens and passes no connection on");
}
