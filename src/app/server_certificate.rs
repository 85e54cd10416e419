//! The certificate and the key for HTTPS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig};
use tokio::time::{Instant, sleep};

use crate::config::http::TlsFiles;

/// How long files that can't be used are read again: a program that renews them writes one after the other, or replaces them.
const RENEWAL: Duration = Duration::from_secs(2);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads the files, also while they are being renewed. The error names the setting that is wrong.
pub(super) async fn server_config(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
    let until = Instant::now() + RENEWAL;
    loop {
        match read(files) {
            Err(_) if Instant::now() < until => sleep(PAUSE).await,
            done => return done,
        }
    }
}

/// Reads the files. The error names the setting that is wrong.
pub(super) fn read(files: &TlsFiles) -> anyhow::Result<ServerConfig> {
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

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;

    #[tokio::test]
    async fn files_are_read_while_they_are_renewed() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = TlsFiles { certificate: folder.path().join("full.pem"), key: folder.path().join("key.pem") };
        let [old, new] =
            [(); 2].map(|()| rcgen::generate_simple_self_signed(["panel.example".to_owned()]).expect("a certificate"));
        let put = |rcgen::CertifiedKey { cert, signing_key }: &rcgen::CertifiedKey<rcgen::KeyPair>, key_only: bool| {
            write(&files.key, signing_key.serialize_pem()).expect("written");
            if !key_only {
                write(&files.certificate, cert.pem()).expect("written");
            }
        };
        let renewal = async {
            sleep(PAUSE).await;
            put(&old, false);
            put(&new, true);
            sleep(2 * PAUSE).await;
            put(&new, false);
        };
        let (read, ()) = tokio::join!(server_config(&files), renewal);
        read.expect("the renewed certificate");
        put(&old, true);
        let error = server_config(&files).await.expect_err("another key").to_string();
        assert!(error.contains("does not belong"), "{error}");
    }
}
