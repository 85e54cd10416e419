//! Where the panel listens: a TCP port, plain or TLS, or a Unix socket.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use poem::listener::{Acceptor, AcceptorExt, BoxAcceptor, TcpAcceptor, UnixAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, http::uri::Scheme};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Settings;
use crate::config::http::TlsFiles;

/// Who connects must have shaken hands by then.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Binds what the settings name.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<BoxAcceptor> {
    if let Some(path) = &settings.http.uds {
        return Ok(UnixAcceptor::from_std(bind_unix(path).await?)?.boxed());
    }
    let (host, port) = (settings.http.host.as_str(), settings.http.port);
    let listener = TcpListener::bind((host, port)).await.with_context(|| {
        format!("can't listen on {host} port {port}: another program may have it; check UVICORN_HOST and UVICORN_PORT")
    })?;
    match &settings.tls {
        None => Ok(TcpAcceptor::from_tokio(listener)?.boxed()),
        Some(files) => {
            let tls = TlsAcceptor::from(Arc::new(server_config(files)?));
            Ok(Handshakes::start(listener, tls)?.boxed())
        }
    }
}

/// A socket file that nobody listens on any more is left over from a crash; one that answers is somebody's.
async fn bind_unix(path: &Path) -> anyhow::Result<UnixListener> {
    if tokio::net::UnixStream::connect(path).await.is_ok() {
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
    listener.set_nonblocking(true)?;
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
/// nobody else.
struct Handshakes {
    local: LocalAddr,
    done: mpsc::Receiver<(TlsStream<TcpStream>, std::net::SocketAddr)>,
}

impl Handshakes {
    fn start(listener: TcpListener, tls: TlsAcceptor) -> anyhow::Result<Self> {
        let local = LocalAddr(Addr::SocketAddr(listener.local_addr()?));
        let (sender, done) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                tokio::select! {
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
