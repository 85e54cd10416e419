//! Listens on a TCP port, plain or with TLS, or on a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use poem::listener::{Acceptor, TcpAcceptor, UnixAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, http::uri::Scheme};
use rustix::net::sockopt::set_tcp_nodelay;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Limits};
use super::server::ACCEPT_BACKOFF;
use super::server_certificate::server_config;
use super::unix_socket;
use super::wrong_setting::wrong_setting;
use crate::config::Settings;

/// Longest time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// An acceptor, and its socket to be handed over to a successor.
pub(super) struct BoundListener {
    pub(super) acceptor: AnyAcceptor,
    pub(super) socket: OwnedFd,
}

/// An acceptor of one of three kinds. (poem's boxed acceptor splits each connection into two halves with a lock between
/// them, which every read and write takes.)
pub(super) enum AnyAcceptor {
    Tcp(Closable<TcpAcceptor>),
    Unix(Closable<UnixAcceptor>),
    Tls(TlsHandshakes),
}

impl Acceptor for AnyAcceptor {
    /// The TLS stream is boxed because its state is large and most connections have none.
    type Io = Either<TcpStream, Either<UnixStream, Box<TlsStream<TcpStream>>>>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        match self {
            Self::Tcp(acceptor) => acceptor.local_addr(),
            Self::Unix(acceptor) => acceptor.local_addr(),
            Self::Tls(handshakes) => handshakes.local_addr(),
        }
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (io, local, remote, scheme) = match self {
            Self::Tcp(acceptor) => {
                let (io, local, remote, scheme) = acceptor.accept().await?;
                (Either::Left(io), local, remote, scheme)
            }
            Self::Unix(acceptor) => {
                let (io, local, remote, scheme) = acceptor.accept().await?;
                (Either::Right(Either::Left(io)), local, remote, scheme)
            }
            Self::Tls(handshakes) => {
                let (io, local, remote, scheme) = handshakes.accept().await?;
                (Either::Right(Either::Right(Box::new(io))), local, remote, scheme)
            }
        };
        Ok((io, local, remote, scheme))
    }
}

/// An acceptor that accepts no connection once it is closed. Accepted connections stay open.
pub(super) struct Closable<A> {
    acceptor: A,
    closed: CancellationToken,
}

impl<A: Acceptor> Acceptor for Closable<A> {
    type Io = A::Io;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        match self.closed.run_until_cancelled(self.acceptor.accept()).await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }
}

/// Listens at the address of the settings, or on an inherited socket of that kind. After `closed`, new connections wait
/// in the socket's queue for another process that has the socket.
pub(super) async fn listen(
    settings: &Settings,
    inherited: Option<OwnedFd>,
    closed: CancellationToken,
) -> anyhow::Result<BoundListener> {
    if let Some(path) = &settings.http.uds {
        let listener = match inherited {
            Some(socket) => UnixListener::from(socket),
            None => unix_socket::bind(path).await.map_err(of_socket)?,
        };
        listener.set_nonblocking(true)?;
        let socket = listener.as_fd().try_clone_to_owned()?;
        let acceptor = AnyAcceptor::Unix(Closable { acceptor: UnixAcceptor::from_std(listener)?, closed });
        return Ok(BoundListener { acceptor, socket });
    }
    let listener = match inherited {
        Some(socket) => {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).context("the inherited socket does not listen on TCP")?
        }
        None => bind_tcp(&settings.http.host, settings.http.port).await.map_err(wrong_setting)?,
    };
    set_nodelay(&listener)?;
    let socket = listener.as_fd().try_clone_to_owned()?;
    let acceptor = match &settings.tls {
        None => AnyAcceptor::Tcp(Closable { acceptor: TcpAcceptor::from_tokio(listener)?, closed }),
        Some(files) => {
            let tls = TlsAcceptor::from(Arc::new(server_config(files).await.map_err(wrong_setting)?));
            let limits = Limits::of_process().for_handshakes();
            let handshakes = Connections::new(limits, settings.http.trusted_proxies.clone());
            AnyAcceptor::Tls(TlsHandshakes::start(listener, tls, closed, handshakes)?)
        }
    };
    Ok(BoundListener { acceptor, socket })
}

/// Binds the address of the settings for a moment.
pub(super) async fn probe(settings: &Settings) -> anyhow::Result<()> {
    match &settings.http.uds {
        None => bind_tcp(&settings.http.host, settings.http.port).await.map(drop),
        Some(path) => unix_socket::probe(path).await,
    }
}

/// True if an error of listening says that another program has the address.
pub(super) fn is_in_use(error: &anyhow::Error) -> bool {
    says(error, io::ErrorKind::AddrInUse)
}

/// The socket's folder may be one that another service makes in `/run` when it starts.
fn of_socket(error: anyhow::Error) -> anyhow::Error {
    if says(&error, io::ErrorKind::NotFound) { error } else { wrong_setting(error) }
}

fn says(error: &anyhow::Error, kind: io::ErrorKind) -> bool {
    error.chain().filter_map(|it| it.downcast_ref::<io::Error>()).any(|it| it.kind() == kind)
}

/// Takes the listening socket that a service manager passed on (`LISTEN_FDS`, as systemd does), if any.
pub(super) fn from_service_manager() -> anyhow::Result<Option<OwnedFd>> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(None);
    }
    // The error of one kind tells that the socket is of the other kind.
    if let Ok(listener) = passed.take_tcp_listener(0) {
        return Ok(listener.map(OwnedFd::from));
    }
    let listener =
        passed.take_unix_listener(0).context("LISTEN_FDS: the first inherited socket is neither TCP nor Unix")?;
    Ok(listener.map(OwnedFd::from))
}

async fn bind_tcp(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((host, port)).await.with_context(|| {
        format!(
            "could not listen on {host} port {port}: another program may have it; check UVICORN_HOST and UVICORN_PORT"
        )
    })
}

/// Sets TCP_NODELAY, which accepted connections inherit. Long responses are written in pieces; without it the kernel
/// holds a small piece back until the client has acknowledged the one before, which takes 40 ms.
fn set_nodelay(listener: &TcpListener) -> anyhow::Result<()> {
    set_tcp_nodelay(listener, true).context("could not set TCP_NODELAY on the listening socket")
}

/// Accepts TLS connections after their handshake. Each handshake is a task, so that a silent client delays no other.
/// A handshake that began before the acceptor is closed is still finished.
pub(super) struct TlsHandshakes {
    local: LocalAddr,
    done: mpsc::Receiver<TlsConnection>,
}

type TlsConnection = (TlsStream<TcpStream>, SocketAddr);

impl TlsHandshakes {
    fn start(
        listener: TcpListener,
        tls: TlsAcceptor,
        closed: CancellationToken,
        handshakes: Connections,
    ) -> anyhow::Result<Self> {
        let local = LocalAddr(Addr::SocketAddr(listener.local_addr()?));
        let (sender, done) = mpsc::channel(64);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = closed.cancelled() => {}
                () = sender.closed() => {}
                () = shake_hands(listener, tls, sender.clone(), handshakes) => {}
            }
        });
        Ok(Self { local, done })
    }
}

/// Accepts connections and starts their handshakes. At the maximum of handshakes the oldest one is given up.
async fn shake_hands(
    listener: TcpListener,
    tls: TlsAcceptor,
    done: mpsc::Sender<TlsConnection>,
    handshakes: Connections,
) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            handshakes.out_of_descriptors();
            sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let Some(slot) = handshakes.admit(Some(peer.ip())) else { continue };
        let (tls, done) = (tls.clone(), done.clone());
        tokio::spawn(async move {
            let shaking = async {
                if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                    // Without a server the connection is closed.
                    let _ = done.send((stream, peer)).await;
                }
            };
            tokio::select! {
                () = shaking => {}
                () = slot.closed() => {}
            }
        });
        handshakes.settle().await;
    }
}

impl Acceptor for TlsHandshakes {
    type Io = TlsStream<TcpStream>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![self.local.clone()]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        match self.done.recv().await {
            Some((stream, peer)) => Ok((stream, self.local.clone(), RemoteAddr(Addr::SocketAddr(peer)), Scheme::HTTPS)),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn accepted_connection_inherits_nodelay() {
        let listener = bind_tcp("127.0.0.1", 0).await.expect("a free port");
        set_nodelay(&listener).expect("it is set");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        client.expect("a connection");
        assert!(accepted.expect("a connection").0.nodelay().expect("an answer"));
    }

    /// A TLS acceptor on a free port, and another listener on the same socket, as a successor has it.
    async fn tls(closed: CancellationToken, most: usize) -> (TlsHandshakes, TcpListener, SocketAddr) {
        let listener = bind_tcp("127.0.0.1", 0).await.expect("a free port").into_std().expect("a socket");
        let next = TcpListener::from_std(listener.try_clone().expect("a socket")).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
        let tls = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
        let listener = TcpListener::from_std(listener).expect("a listener");
        let handshakes = Connections::new(Limits::of(most), "127.0.0.0/8".parse().expect("networks"));
        (TlsHandshakes::start(listener, tls, closed, handshakes).expect("it starts"), next, address)
    }

    /// Connects, and checks that the connection stays in the queue, where the successor finds it.
    async fn connection_reaches(next: &TcpListener, address: SocketAddr) {
        let (client, accepted) = tokio::join!(TcpStream::connect(address), next.accept());
        let client = client.expect("a connection").local_addr().expect("an address");
        assert_eq!(accepted.expect("a connection").1, client);
    }

    #[tokio::test]
    async fn tls_client_waiting_at_shutdown_reaches_next_process() {
        let closed = CancellationToken::new();
        let (_handshakes, next, address) = tls(closed.clone(), 1_024).await;
        tokio::task::yield_now().await;
        closed.cancel();
        connection_reaches(&next, address).await;
    }

    #[tokio::test]
    async fn oldest_handshake_is_given_up_at_the_maximum() {
        let (_handshakes, _next, address) = tls(CancellationToken::new(), 2).await;
        // Silent clients: their handshakes never end.
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.expect("a connection"));
            sleep(Duration::from_millis(20)).await;
        }
        let ended = timeout(Duration::from_secs(5), clients[0].read(&mut [0])).await.expect("the oldest one is closed");
        assert_eq!(ended.expect("a connection"), 0);
        for client in &mut clients[1..] {
            assert!(timeout(Duration::from_millis(100), client.read(&mut [0])).await.is_err(), "it is still open");
        }
    }
}
