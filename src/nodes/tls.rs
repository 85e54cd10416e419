//! TLS to a node: its certificate is known by its fingerprint alone, because it is self-signed and often names nobody.
//! The panel shows a certificate of its own, which the node knows just as exactly.

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

use super::link_error::LinkError;

/// The SHA-256 of a certificate; printed as 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What the panel shows to its nodes, ready to use.
#[derive(Clone)]
pub struct PanelIdentity {
    certificates: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Accepts the pinned certificate and no other; with nothing pinned the one that is presented, and remembers it.
#[derive(Debug)]
struct Pinned {
    pin: Option<Fingerprint>,
    presented: OnceLock<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        // rustls carries a SHA-256 already: the one of its own handshake.
        let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
        suite.common.hash_provider.hash(certificate).as_ref().try_into().ok().map(Self)
    }

    /// From 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl PanelIdentity {
    /// From the PEM texts of the certificate and its private key.
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

/// Speaks TLS over a connection and says which certificate the node presented.
pub(super) async fn handshake(
    tcp: TcpStream,
    identity: &PanelIdentity,
    pin: Option<Fingerprint>,
) -> Result<(TlsStream<TcpStream>, Fingerprint), LinkError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { pin, presented: OnceLock::new(), provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(LinkError::PanelIdentity)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_auth_cert(identity.certificates.clone(), identity.key.clone_key())
        .map_err(LinkError::PanelIdentity)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // The node's certificate names nobody, so there is no name to ask for.
    config.enable_sni = false;
    let nobody = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let stream = TlsConnector::from(Arc::new(config)).connect(nobody, tcp).await;
    let presented = verifier.presented.get().copied();
    match (stream, pin, presented) {
        (_, Some(pinned), Some(presented)) if pinned != presented => {
            Err(LinkError::CertificateChanged { pinned, presented })
        }
        (Ok(stream), _, Some(presented)) => Ok((stream, presented)),
        (Ok(_), _, None) => Err(LinkError::NotTls(std::io::Error::other("no certificate was presented"))),
        (Err(error), ..) => Err(LinkError::from_handshake(error)),
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
        let presented = Fingerprint::of(certificate).ok_or_else(|| Error::General("SHA-256 is missing".into()))?;
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

    /// Many nodes in the field present an X.509 version 1 certificate, which the ordinary check refuses to read:
    /// so the public key is taken out as if of a trust anchor, where version 1 is understood.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut anchors = RootCertStore::empty();
        anchors.add(certificate.clone())?;
        let key = anchors.roots.first().map(public_key).ok_or_else(|| Error::General("no public key".into()))?;
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A trust anchor holds the content of the key's SEQUENCE; the check wants the SEQUENCE itself.
fn public_key(anchor: &TrustAnchor<'_>) -> SubjectPublicKeyInfoDer<'static> {
    let content = anchor.subject_public_key_info.as_ref();
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![0x30];
    match *significant {
        [short] if short < 0x80 => der.push(short),
        // DER's long form: how many bytes the length has, then the length. A length has at most eight bytes.
        _ => {
            der.push(0x80 | significant.len() as u8);
            der.extend_from_slice(significant);
        }
    }
    der.extend_from_slice(content);
    der.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_what_it_prints() {
        let fingerprint = Fingerprint::of(b"abc").expect("SHA-256 is there");
        let printed = fingerprint.to_string();
        assert_eq!(printed, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Fingerprint::parse(&printed), Some(fingerprint));
        assert_eq!(Fingerprint::parse(&printed[1..]), None);
        assert_eq!(Fingerprint::parse(&printed.replace('b', "x")), None);
    }
}
