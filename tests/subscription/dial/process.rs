//! Programs that run while a test needs them.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// The address of every listener.
pub const HERE: &str = "127.0.0.1";
/// The time that a program has for its start.
const START: Duration = Duration::from_secs(30);
/// The time between two looks.
const STEP: Duration = Duration::from_millis(20);

/// A running program with its output. It ends when this value is dropped.
pub struct Program {
    child: Child,
    output: PathBuf,
}

impl Program {
    /// Starts the command with its output in this file.
    pub fn start(mut command: Command, output: PathBuf) -> Self {
        let file = File::create(&output).unwrap();
        let child = command
            .stdout(Stdio::from(file.try_clone().unwrap()))
            .stderr(Stdio::from(file))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, output }
    }

    /// Waits until it listens on each of these ports.
    pub fn listens<'a>(&mut self, ports: impl Iterator<Item = &'a u16>) {
        for port in ports {
            self.waits_until(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok());
        }
    }

    /// Waits until it writes this.
    pub fn says(&mut self, text: &str) {
        self.waits_until(|program| program.output().contains(text));
    }

    fn waits_until(&mut self, is_ready: impl Fn(&Self) -> bool) {
        for _ in 0..START.as_millis() / STEP.as_millis() {
            if is_ready(self) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.output());
            std::thread::sleep(STEP);
        }
        panic!("does not start: {}", self.output());
    }

    /// The lines that it has written so far, without warnings.
    pub fn output(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.output).unwrap()).into_owned();
        text.lines().filter(|line| !line.contains("[Warning]")).fold(String::new(), |all, line| all + line + "\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free for TCP and UDP, below the ports that the system gives to connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() * 311 % 20_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}

/// A command that trusts the servers' certificate.
pub fn trusting(program: &Path, certificate: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("SSL_CERT_FILE", certificate);
    command
}
