//! Mutual TLS with a node. Node certificates are self-signed and often name no host, so each is verified by its pinned
//! fingerprint alone. The panel presents a client certificate of its own.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fingerprint::Fingerprint;
use super::node_error::NodeError;

/// The panel's client certificate with its private key.
#[derive(Clone)]
pub struct PanelIdentity {
    certificates: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Accepts the pinned certificate only. Without a pin it accepts any certificate and remembers the presented one.
#[derive(Debug)]
struct Pinned {
    pin: Option<Fingerprint>,
    presented: OnceLock<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl PanelIdentity {
    /// Parses a certificate and its private key in PEM.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, pem::Error> {
        Ok(Self {
            certificates: CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?,
            key: Arc::new(PrivateKeyDer::from_pem_slice(key.as_bytes())?),
        })
    }
}

impl fmt::Debug for PanelIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanelIdentity").finish_non_exhaustive()
    }
}

/// Performs the TLS handshake. Returns the stream and the fingerprint of the certificate that the node presented.
pub(super) async fn handshake(
    tcp: TcpStream,
    identity: &PanelIdentity,
    pin: Option<Fingerprint>,
) -> Result<(TlsStream<TcpStream>, Fingerprint), NodeError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { pin, presented: OnceLock::new(), provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(NodeError::PanelIdentity)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_auth_cert(identity.certificates.clone(), identity.key.clone_key())
        .map_err(NodeError::PanelIdentity)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Node certificates name no host, so there is no server name to send.
    config.enable_sni = false;
    let unused = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let stream = TlsConnector::from(Arc::new(config)).connect(unused, tcp).await;
    let presented = verifier.presented.get().copied();
    match (stream, pin, presented) {
        (_, Some(pinned), Some(presented)) if pinned != presented => {
            Err(NodeError::CertificateChanged { pinned, presented })
        }
        (Ok(stream), _, Some(presented)) => Ok((stream, presented)),
        (Ok(_), _, None) => Err(NodeError::NotTls(std::io::Error::other("the node presented no certificate"))),
        (Err(error), ..) => Err(NodeError::from_handshake(error)),
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented =
            Fingerprint::of(certificate).ok_or_else(|| Error::General("the crypto provider has no SHA-256".into()))?;
        let presented = self.presented.get_or_init(|| presented);
        match self.pin {
            Some(pin) if pin != *presented => Err(Error::General("not the pinned certificate".into())),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    /// Many nodes present an X.509 version 1 certificate, which rustls refuses to parse as an end-entity certificate.
    /// It does parse version 1 in trust anchors, so the public key is extracted that way.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut anchors = RootCertStore::empty();
        anchors.add(certificate.clone())?;
        let key = anchors
            .roots
            .first()
            .map(public_key)
            .ok_or_else(|| Error::General("the certificate has no public key".into()))?;
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Encodes an anchor's public key as DER: the anchor holds the content of the SEQUENCE without its tag and length.
fn public_key(anchor: &TrustAnchor<'_>) -> SubjectPublicKeyInfoDer<'static> {
    let content = anchor.subject_public_key_info.as_ref();
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![0x30];
    match *significant {
        [short] if short < 0x80 => der.push(short),
        // DER's long form: the number of length bytes (at most eight), then the length.
        _ => {
            der.push(0x80 | significant.len() as u8);
            der.extend_from_slice(significant);
        }
    }
    der.extend_from_slice(content);
    der.into()
}
