//! `serve --take-over`: a successor receives the listening socket of the running process, which then stops. Meanwhile
//! both hold the same socket with the same queue, so that no connection is refused or lost.
//!
//! The running process offers its socket on a Unix socket in DATA_DIR that only its own user may open. A successor that
//! connects gets the socket, and sends one byte when it is ready to serve. Without that byte nothing changes.

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

/// Longest time for a successor to start, migrations included.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The process that this one takes over from.
#[derive(Debug)]
pub(super) struct Predecessor(UnixStream);

impl Predecessor {
    /// Tells the process to stop.
    pub(super) fn dismiss(mut self) -> io::Result<()> {
        self.0.write_all(&[1])
    }
}

/// Receives the listening socket of the running process; `None` if no process offers one.
pub(super) fn receive(settings: &Settings) -> anyhow::Result<Option<(OwnedFd, Predecessor)>> {
    let path = path(settings);
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            tracing::info!("no running panel offers its socket at {}: starting without a takeover", path.display());
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("--take-over: could not open {}", path.display())),
    };
    let socket = receive_socket(&stream)
        .with_context(|| format!("--take-over: the running panel sent no socket at {}", path.display()))?;
    Ok(Some((socket, Predecessor(stream))))
}

/// Offers `socket` to a successor, and cancels `taken_over` when it is ready to serve. A panel that can't offer its socket
/// runs all the same.
pub(super) fn offer(settings: &Settings, socket: OwnedFd, taken_over: CancellationToken) {
    let path = path(settings);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "could not offer the listening socket at {}: --take-over will not work", path.display());
            return;
        }
    };
    let offering = move || {
        for stream in listener.incoming() {
            match stream.and_then(|stream| hand_over(&stream, &socket)) {
                Ok(()) => {
                    tracing::info!("another process has taken over the listening socket");
                    taken_over.cancel();
                    return;
                }
                Err(error) => tracing::warn!(%error, "a process asked for the listening socket, but did not take over"),
            }
        }
    };
    // A thread outside of the runtime: a blocking thread of the runtime would delay its shutdown.
    if let Err(error) = std::thread::Builder::new().name("sarban-take-over".to_owned()).spawn(offering) {
        tracing::warn!(%error, "could not start the thread that offers the listening socket: --take-over will not work");
    }
}

/// Path of the Unix socket for the offer. It depends on the listening address, because panels may share a DATA_DIR.
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
        // Removed, or there was none: the file is left over, or of the predecessor.
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
    stream.set_read_timeout(Some(START_TIMEOUT))?;
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
    received.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer has no socket"))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn handed_over_socket_keeps_its_queue() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let waiting = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let giver = std::thread::spawn(move || hand_over(&here, &OwnedFd::from(listener)));
        let received = TcpListener::from(receive_socket(&there).expect("a socket"));
        Predecessor(there).dismiss().expect("sent");
        giver.join().expect("no panic").expect("handed over");
        let (_, peer) = received.accept().expect("the waiting connection");
        assert_eq!(peer, waiting.local_addr().expect("an address"));
    }

    #[test]
    fn successor_that_disconnects_without_a_byte_has_not_taken_over() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let giver = std::thread::spawn(move || hand_over(&here, &OwnedFd::from(listener)));
        drop(receive_socket(&there).expect("a socket"));
        drop(there);
        assert!(giver.join().expect("no panic").is_err());
    }
}
