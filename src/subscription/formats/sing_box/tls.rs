//! TLS of sing-box outbounds.

use serde::Serialize;

use crate::domain::host::Ech;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;

use super::release::Release;

/// The TLS of an outbound.
#[derive(Serialize)]
pub struct Tls<'a> {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    insecure: Option<bool>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    alpn: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    utls: Option<Utls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reality: Option<Reality<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ech: Option<EchSettings<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_public_key_sha256: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
struct Utls<'a> {
    enabled: bool,
    fingerprint: &'a str,
}

#[derive(Serialize)]
struct Reality<'a> {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_id: Option<&'a str>,
}

#[derive(Serialize)]
struct EchSettings<'a> {
    enabled: bool,
    /// The lines of a PEM; without it, the configurations are looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<[&'a str; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_server_name: Option<&'a str>,
}

impl<'a> Tls<'a> {
    /// The TLS of an entry.
    pub fn new(entry: &'a Entry<'_>, release: Release) -> Self {
        let pin = entry.core.certificate_public_key_sha256.as_deref();
        let reality = entry.security == Security::Reality;
        // sing-box supports REALITY only with a fingerprint.
        let default_fingerprint = (reality && release != Release::Unknown).then_some("chrome");
        Self {
            enabled: true,
            server_name: entry.sni.as_deref(),
            // sing-box accepts the pinned key of any certificate, and an exception would accept any key.
            insecure: (entry.spec.allowinsecure && pin.is_none()).then_some(true),
            alpn: if reality { &[] } else { entry.alpn },
            utls: entry
                .fingerprint
                .filter(|_| !is_over_quic(entry))
                .or(default_fingerprint)
                .map(|fingerprint| Utls { enabled: true, fingerprint }),
            reality: reality.then_some(Reality {
                enabled: true,
                public_key: entry.reality_public_key,
                short_id: entry.reality_short_id,
            }),
            ech: entry.core.ech().map(EchSettings::new),
            certificate_public_key_sha256: pin.map(|pin| [pin]),
        }
    }
}

impl<'a> EchSettings<'a> {
    const fn new(ech: Ech<'a>) -> Self {
        let (config, query_server_name) = match ech {
            Ech::List(list) => (Some(["-----BEGIN ECH CONFIGS-----", list, "-----END ECH CONFIGS-----"]), None),
            Ech::Lookup(name) => (None, name),
        };
        Self { enabled: true, config, query_server_name }
    }
}

/// True over QUIC, where uTLS fails at each connection.
fn is_over_quic(entry: &Entry<'_>) -> bool {
    matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic) || entry.network == Network::Quic
}
