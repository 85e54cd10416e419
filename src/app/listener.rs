//! Where the panel listens: a TCP port, plain or TLS, or a Unix socket.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use poem::listener::{Acceptor, TcpAcceptor, UnixAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, http::uri::Scheme};
use rustix::net::sockopt::set_tcp_nodelay;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::config::http::TlsFiles;

/// Who connects must have shaken hands by then.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open door, and the socket behind it: to be handed on.
pub(super) struct Listening {
    pub(super) acceptor: Listeners,
    pub(super) socket: OwnedFd,
}

/// A door of one of three kinds. (poem's boxed acceptor makes two halves of each connection, with a lock between them that
/// is taken for every read and write.)
pub(super) enum Listeners {
    Tcp(Door<TcpAcceptor>),
    Unix(Door<UnixAcceptor>),
    Tls(Handshakes),
}

impl Acceptor for Listeners {
    /// Where most are plain, none should be as large as what TLS remembers.
    type Io = Either<TcpStream, Either<UnixStream, Box<TlsStream<TcpStream>>>>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        match self {
            Self::Tcp(door) => door.local_addr(),
            Self::Unix(door) => door.local_addr(),
            Self::Tls(handshakes) => handshakes.local_addr(),
        }
    }

    async fn accept(&mut self) -> std::io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let (io, local, remote, scheme) = match self {
            Self::Tcp(door) => {
                let (io, local, remote, scheme) = door.accept().await?;
                (Either::Left(io), local, remote, scheme)
            }
            Self::Unix(door) => {
                let (io, local, remote, scheme) = door.accept().await?;
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

/// A door that lets nobody in any more once it is closed, while those who are inside stay.
pub(super) struct Door<A> {
    acceptor: A,
    closed: CancellationToken,
}

impl<A: Acceptor> Acceptor for Door<A> {
    type Io = A::Io;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> std::io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        match self.closed.run_until_cancelled(self.acceptor.accept()).await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }
}

/// Listens where the settings say, or on a socket of that kind that was inherited, until `closed`: from then on, whoever
/// comes waits for another process that has the socket.
pub(super) async fn listen(
    settings: &Settings,
    inherited: Option<OwnedFd>,
    closed: CancellationToken,
) -> anyhow::Result<Listening> {
    if let Some(path) = &settings.http.uds {
        let listener = match inherited {
            Some(socket) => UnixListener::from(socket),
            None => bind_unix(path).await?,
        };
        listener.set_nonblocking(true)?;
        let socket = listener.as_fd().try_clone_to_owned()?;
        let acceptor = Listeners::Unix(Door { acceptor: UnixAcceptor::from_std(listener)?, closed });
        return Ok(Listening { acceptor, socket });
    }
    let listener = match inherited {
        Some(socket) => {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener).context("the inherited socket does not listen on TCP")?
        }
        None => bind_tcp(&settings.http.host, settings.http.port).await?,
    };
    send_at_once(&listener)?;
    let socket = listener.as_fd().try_clone_to_owned()?;
    let acceptor = match &settings.tls {
        None => Listeners::Tcp(Door { acceptor: TcpAcceptor::from_tokio(listener)?, closed }),
        Some(files) => {
            let tls = TlsAcceptor::from(Arc::new(server_config(files)?));
            Listeners::Tls(Handshakes::start(listener, tls, closed)?)
        }
    };
    Ok(Listening { acceptor, socket })
}

/// The socket that a service manager opened and passed on (`LISTEN_FDS`, as systemd does), if there is one.
pub(super) fn from_service_manager() -> anyhow::Result<Option<OwnedFd>> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(None);
    }
    // Which of both is known by asking for either.
    if let Ok(listener) = passed.take_tcp_listener(0) {
        return Ok(listener.map(OwnedFd::from));
    }
    let listener = passed.take_unix_listener(0).context("LISTEN_FDS: the first socket is neither TCP nor Unix")?;
    Ok(listener.map(OwnedFd::from))
}

async fn bind_tcp(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("can't listen on {host} port {port}: another program may have it; check UVICORN_HOST and UVICORN_PORT")
    })
}

/// Long answers are written in pieces: without this the kernel keeps a small one back until the client has acknowledged
/// the one before, which takes 40 ms. Whoever is accepted inherits it.
fn send_at_once(listener: &TcpListener) -> anyhow::Result<()> {
    set_tcp_nodelay(listener, true).context("TCP_NODELAY can't be set on the listening socket")
}

/// A socket file that nobody listens on any more is left over from a crash; one that answers is somebody's.
async fn bind_unix(path: &Path) -> anyhow::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        bail!("another program listens on {}; check UVICORN_UDS", path.display());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} is in the way; check UVICORN_UDS", path.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("can't listen on {}; check UVICORN_UDS", path.display()))?;
    Ok(listener)
}

fn server_config(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("UVICORN_SSL_CERTFILE: no PEM certificates in {}", files.certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("UVICORN_SSL_KEYFILE: no PEM key in {}", files.key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("UVICORN_SSL_CERTFILE and UVICORN_SSL_KEYFILE do not fit together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS connections that have shaken hands. Each handshake is a task of its own, so that a silent client holds up
/// nobody else; one that has begun before the door is closed comes in.
pub(super) struct Handshakes {
    local: LocalAddr,
    done: mpsc::Receiver<(TlsStream<TcpStream>, std::net::SocketAddr)>,
}

impl Handshakes {
    fn start(listener: TcpListener, tls: TlsAcceptor, closed: CancellationToken) -> anyhow::Result<Self> {
        let local = LocalAddr(Addr::SocketAddr(listener.local_addr()?));
        let (sender, done) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = closed.cancelled() => return,
                    () = sender.closed() => return,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, peer)) => {
                            let (tls, sender) = (tls.clone(), sender.clone());
                            tokio::spawn(async move {
                                if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                                    // The server is gone: so is the connection.
                                    let _ = sender.send((stream, peer)).await;
                                }
                            });
                        }
                        // Out of file descriptors, most likely: it passes.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        });
        Ok(Self { local, done })
    }
}

impl Acceptor for Handshakes {
    type Io = TlsStream<TcpStream>;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![self.local.clone()]
    }

    async fn accept(&mut self) -> std::io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        match self.done.recv().await {
            Some((stream, peer)) => Ok((stream, self.local.clone(), RemoteAddr(Addr::SocketAddr(peer)), Scheme::HTTPS)),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_sends_at_once() {
        let listener = bind_tcp("127.0.0.1", 0).await.expect("a free port");
        send_at_once(&listener).expect("it is set");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        client.expect("a connection");
        assert!(accepted.expect("a connection").0.nodelay().expect("an answer"));
    }

    #[tokio::test]
    async fn who_comes_with_tls_after_the_door_is_closed_is_left_to_the_next_process() {
        let listener = bind_tcp("127.0.0.1", 0).await.expect("a free port").into_std().expect("a socket");
        let next = TcpListener::from_std(listener.try_clone().expect("a socket")).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
        let tls = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
        let closed = CancellationToken::new();
        let listener = TcpListener::from_std(listener).expect("a listener");
        let _handshakes = Handshakes::start(listener, tls, closed.clone()).expect("it starts");
        tokio::task::yield_now().await;
        closed.cancel();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), next.accept());
        let client = client.expect("a connection").local_addr().expect("an address");
        assert_eq!(accepted.expect("a connection").1, client);
    }
}
