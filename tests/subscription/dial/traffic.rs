//! The bytes that are sent through every connection, and the server that answers them.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
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
