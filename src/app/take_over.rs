//! `serve --take-over`: the next process of this host receives the listening socket of the running one, which then
//! info. Both hold one and the same socket meanwhile, and with it one queue: no connection is refused or lost.
//!
//! The running process offers its socket on a Unix socket in DATA_DIR that only its own user may open. Whoever connects
//! gets it, and says with one byte that it is ready to serve; without that byte nothing changes.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;

/// How long a process that has the socket may take to start, migrations included.
const PATIENCE: Duration = Duration::from_secs(120);

/// The process whose socket was taken over.
#[derive(Debug)]
pub(super) struct Predecessor(UnixStream);

impl Predecessor {
    /// Tells it that it may go.
    pub(super) fn dismiss(mut self) -> io::Result<()> {
        self.0.write_all(&[1])
    }
}

/// The listening socket of the running process; `None` when none offers it.
pub(super) fn receive(settings: &Settings) -> anyhow::Result<Option<(OwnedFd, Predecessor)>> {
    let path = path(settings);
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            tracing::info!("no running panel offers its socket at {}: starting as usual", path.display());
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("--take-over: {} can't be opened", path.display())),
    };
    let socket = receive_socket(&stream)
        .with_context(|| format!("--take-over: the running panel gave no socket at {}", path.display()))?;
    Ok(Some((socket, Predecessor(stream))))
}

/// Offers `socket` to whoever takes over, and asks this process to stop when somebody did. Without a place for the
/// offer, the panel runs all the same.
pub(super) fn offer(settings: &Settings, socket: OwnedFd, stopping: CancellationToken) {
    let path = path(settings);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "the listening socket can't be offered at {} for --take-over", path.display());
            return;
        }
    };
    let offering = move || {
        for stream in listener.incoming() {
            match stream.and_then(|stream| hand_over(&stream, &socket)) {
                Ok(()) => {
                    tracing::info!("another process has taken over the listening socket");
                    stopping.cancel();
                    return;
                }
                Err(error) => tracing::warn!(%error, "a process asked for the listening socket and did not take over"),
            }
        }
    };
    // A thread that waits, not one of the runtime's: it must not hold up the end.
    if let Err(error) = std::thread::Builder::new().name("sarban-take-over".to_owned()).spawn(offering) {
        tracing::warn!(%error, "no thread to offer the listening socket for --take-over");
    }
}

/// One for each place where panels listen: several may share a DATA_DIR.
fn path(settings: &Settings) -> PathBuf {
    let name = match &settings.http.uds {
        Some(_) => "uds".to_owned(),
        None => settings.http.port.to_string(),
    };
    settings.instance.data_dir.join(format!("take-over-{name}.sock"))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Left over, or of the process whose socket we have.
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn hand_over(mut stream: &UnixStream, socket: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(stream, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read_exact(&mut [0])
}

fn receive_socket(stream: &UnixStream) -> io::Result<OwnedFd> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    received.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer carries no socket"))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_passes_from_one_end_to_the_other_with_its_queue() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let waiting = TcpStream::connect(listener.local_addr().expect("an address")).expect("a place in the queue");
        let giver = std::thread::spawn(move || hand_over(&here, &OwnedFd::from(listener)));
        let received = TcpListener::from(receive_socket(&there).expect("a socket"));
        Predecessor(there).dismiss().expect("it hears");
        giver.join().expect("no panic").expect("handed over");
        let (_, peer) = received.accept().expect("the one that waited");
        assert_eq!(peer, waiting.local_addr().expect("an address"));
    }

    #[test]
    fn whoever_goes_away_without_a_word_has_not_taken_over() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let giver = std::thread::spawn(move || hand_over(&here, &OwnedFd::from(listener)));
        drop(receive_socket(&there).expect("a socket"));
        drop(there);
        assert!(giver.join().expect("no panic").is_err());
    }
}
