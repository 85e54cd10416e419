//! The certificate and the key for HTTPS.

use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig};

use crate::config::http::TlsFiles;

/// Reads the files. The error names the setting that is wrong.
pub(super) fn server_config(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("UVICORN_SSL_CERTFILE: no PEM certificates in {}", files.certificate.display()))?;
    if certificates.is_empty() {
        bail!("UVICORN_SSL_CERTFILE: no PEM certificates in {}", files.certificate.display());
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| {
        let place = if files.key == files.certificate {
            "no PEM key beside the certificate; set UVICORN_SSL_KEYFILE, or add the key to"
        } else {
            "no PEM key in"
        };
        format!("UVICORN_SSL_KEYFILE: {place} {}", files.key.display())
    })?;
    let builder = ServerConfig::builder().with_no_client_auth();
    let key =
        builder.crypto_provider().key_provider.load_private_key(key).with_context(|| {
            format!("UVICORN_SSL_KEYFILE: the kind of key in {} is not supported", files.key.display())
        })?;
    let certified = CertifiedKey::new(certificates, key);
    // Certificates of version 1, which many guides make, can't be read for this; they serve as well.
    if matches!(certified.keys_match(), Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch))) {
        bail!("the key in UVICORN_SSL_KEYFILE does not belong to the certificate in UVICORN_SSL_CERTFILE");
    }
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
