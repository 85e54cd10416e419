//! The panel's own certificate, which every process of the cluster shows to the nodes: made once, kept in the database.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::pki_types::pem;

use super::tls::PanelIdentity;
use crate::domain::moment::{DAY, Moment};
use crate::store::nodes::tls_material;
use crate::store::nodes::tls_material::TlsMaterial;
use crate::store::{Db, StoreError};

const LIFETIME: i64 = 3_650 * DAY;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum PanelCertificateError {
    /// It could not be made.
    #[error("the panel's certificate could not be made")]
    Generate(#[source] rcgen::Error),
    /// What the database has is none.
    #[error("the panel's own certificate (table tls) can't be read")]
    Unreadable(#[source] pem::Error),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the panel shows to its nodes, ready to use.
pub async fn identity(db: &Db, now: Moment) -> Result<PanelIdentity, PanelCertificateError> {
    let material = obtain(db, now).await?;
    PanelIdentity::from_pem(&material.certificate, &material.key).map_err(PanelCertificateError::Unreadable)
}

/// The cluster's certificate; the first process to ask makes it.
pub async fn obtain(db: &Db, now: Moment) -> Result<TlsMaterial, PanelCertificateError> {
    if let Some(material) = tls_material::current(db).await? {
        return Ok(material);
    }
    let own = generate(now).map_err(PanelCertificateError::Generate)?;
    Ok(tls_material::offer(db, own).await?)
}

/// Self-signed, EC P-256, without a subject, good for ten years. It begins a day early: nodes' clocks differ.
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
    fn the_panel_can_use_the_certificate_it_makes() {
        let made = generate(Moment::from_micros(1_795_466_185_000_000)).expect("it is made");
        assert!(PanelIdentity::from_pem(&made.certificate, &made.key).is_ok());
    }
}
