//! The listener of a test node: TCP or TLS, with connections that can be cut at any moment.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use futures_util::Stream;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName as Name, Error, ServerConfig, SignatureScheme};
use sarban::domain::node::DEFAULT_PORT;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, copy_bidirectional, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Controls, Options};

/// A node's certificate and key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

impl Certificate {
    /// Creates a self-signed certificate without a subject.
    pub fn fresh() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Listens, and returns the address, a stream of connections, and the task that accepts them.
pub async fn listen(
    options: &Options,
    controls: Controls,
) -> anyhow::Result<(SocketAddr, impl Stream<Item = io::Result<DuplexStream>> + use<>, JoinHandle<()>)> {
    let mut listener = TcpListener::bind(options.listen).await?;
    // New panels connect to the default port: a test node must not be found by panels of other tests.
    if options.listen.port() == 0 && i64::from(listener.local_addr()?.port()) == DEFAULT_PORT {
        listener = TcpListener::bind(options.listen).await?;
    }
    let address = listener.local_addr()?;
    let acceptor = if options.tls { Some(acceptor(options)?) } else { None };
    let hangs_up = options.hangs_up;
    let (sender, receiver) = mpsc::channel(16);
    let accepting = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if !controls.0.refusing.load(SeqCst) {
                controls.0.connections.fetch_add(1, SeqCst);
                tokio::spawn(carry(tcp, acceptor.clone(), hangs_up, controls.clone(), sender.clone()));
            }
        }
    });
    let incoming = futures_util::stream::unfold(receiver, |mut receiver: mpsc::Receiver<DuplexStream>| async move {
        receiver.recv().await.map(|connection| (Ok(connection), receiver))
    });
    Ok((address, incoming, accepting))
}

/// Carries bytes between the network and the server until either end closes or all connections are cut.
async fn carry(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    hangs_up: bool,
    controls: Controls,
    sender: mpsc::Sender<DuplexStream>,
) {
    let mut cuts = controls.0.cuts.subscribe();
    tcp.set_nodelay(true).expect("a TCP socket");
    let wire: Box<dyn Wire> = match acceptor {
        None => Box::new(tcp),
        Some(acceptor) => match acceptor.accept(tcp).await {
            Ok(stream) if !hangs_up => Box::new(stream),
            _ => return,
        },
    };
    let (mut outer, inner) = duplex(64 * 1024);
    if sender.send(inner).await.is_err() {
        return;
    }
    let mut wire = wire;
    tokio::select! {
        _ = copy_bidirectional(&mut wire, &mut outer) => {}
        _ = cuts.changed() => {}
        // The node was dropped.
        () = sender.closed() => {}
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

fn acceptor(options: &Options) -> anyhow::Result<TlsAcceptor> {
    let own = options.certificate.clone().unwrap_or_else(Certificate::fresh);
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let wanted = options.client_certificate.as_ref();
    let wanted = wanted.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes())).transpose()?;
    // Not `with_single_cert`: it refuses to read version 1 of X.509, which nodes in the field present.
    let key = provider.key_provider.load_private_key(key)?;
    let own = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let verifier = Arc::new(ExactClient { wanted, provider });
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(own));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts one client certificate only, or any or none if no certificate is wanted.
#[derive(Debug)]
struct ExactClient {
    wanted: Option<CertificateDer<'static>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ClientCertVerifier for ExactClient {
    fn client_auth_mandatory(&self) -> bool {
        self.wanted.is_some()
    }

    fn root_hint_subjects(&self) -> &[Name] {
        &[]
    }

    fn verify_client_cert(
        &self,
        presented: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.wanted {
            Some(wanted) if wanted != presented => {
                Err(Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
            }
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
