//! The panel's client certificate: generated once, stored in the database, presented to nodes by every process.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::pki_types::pem;

use super::tls::PanelIdentity;
use crate::domain::moment::{DAY, Moment};
use crate::store::nodes::tls_material;
use crate::store::nodes::tls_material::TlsMaterial;
use crate::store::{Db, StoreError};

const LIFETIME: i64 = 3_650 * DAY;

/// Why the panel's certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PanelCertificateError {
    /// The certificate could not be generated.
    #[error("could not generate the panel's certificate")]
    Generate(#[source] rcgen::Error),
    /// The stored certificate or key is not valid PEM.
    #[error("the panel's own certificate is not valid PEM; restore the table tls from a backup")]
    Unreadable(#[source] pem::Error),
    /// The certificate could not be read or stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the cluster's certificate with its key, parsed. Generates it if there is none.
pub async fn identity(db: &Db, now: Moment) -> Result<PanelIdentity, PanelCertificateError> {
    let material = obtain(db, now).await?;
    PanelIdentity::from_pem(&material.certificate, &material.key).map_err(PanelCertificateError::Unreadable)
}

/// Returns the cluster's certificate with its key, in PEM. Generates it if there is none.
pub async fn obtain(db: &Db, now: Moment) -> Result<TlsMaterial, PanelCertificateError> {
    if let Some(material) = tls_material::current(db).await? {
        return Ok(material);
    }
    let own = generate(now).map_err(PanelCertificateError::Generate)?;
    Ok(tls_material::offer(db, own).await?)
}

/// Generates a self-signed EC P-256 certificate without a subject, valid for ten years from yesterday: a node's clock
/// may be behind.
fn generate(now: Moment) -> Result<TlsMaterial, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let day = |moment: Moment| {
        let date = moment.civil().date();
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(now.plus(-DAY));
    params.not_after = day(now.plus(LIFETIME));
    let certificate = params.self_signed(&key)?;
    Ok(TlsMaterial { key: key.serialize_pem(), certificate: certificate.pem() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_certificate_is_usable() {
        let made = generate(Moment::from_micros(1_795_466_185_000_000)).expect("a certificate");
        assert!(PanelIdentity::from_pem(&made.certificate, &made.key).is_ok());
    }
}
