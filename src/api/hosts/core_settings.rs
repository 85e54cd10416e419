//! The settings of current cores in the request body of a host.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde_json::Map;
use utoipa::ToSchema;

use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::LooseInt;
use crate::domain::host::CoreSettings;

/// Settings that current cores have and Marzneshin does not know. A missing one is that of the inbound, if its node reports it.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct CoreSettingsBody {
    /// SHA-256 of the server's certificate in hex. Clients accept this certificate and no other.
    #[deserr(default)]
    pinned_peer_cert_sha256: Option<String>,
    /// SHA-256 of the certificate's public key in base64, which sing-box pins in place of the certificate.
    #[deserr(default)]
    certificate_public_key_sha256: Option<String>,
    /// List of ECH configurations in base64, or a DNS server to ask for it, as in `example.com+https://1.1.1.1/dns-query`.
    #[deserr(default)]
    ech_config_list: Option<String>,
    /// The client's VLESS encryption, as in `mlkem768x25519plus.native.0rtt.KEY`.
    #[deserr(default)]
    encryption: Option<String>,
    /// ML-DSA-65 public key that verifies the certificate of REALITY, in base64url.
    #[deserr(default)]
    mldsa65_verify: Option<String>,
    /// Path at which clients of REALITY begin to crawl.
    #[deserr(default)]
    spider_x: Option<String>,
    /// Ports between which Hysteria 2 hops, as in `1000-2000,3000`.
    #[deserr(default)]
    ports: Option<String>,
    /// Seconds between two hops.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    hop_interval: Option<LooseInt>,
    /// Obfuscation of Hysteria 2: `salamander`.
    #[deserr(default)]
    obfs: Option<String>,
    /// Password of the obfuscation, at least 4 characters.
    #[deserr(default)]
    obfs_password: Option<String>,
    /// Upload bandwidth of Hysteria 2 in megabits a second.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    up_mbps: Option<LooseInt>,
    /// Download bandwidth of Hysteria 2 in megabits a second.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    down_mbps: Option<LooseInt>,
    /// Congestion control of TUIC: `cubic`, `new_reno` or `bbr`.
    #[deserr(default)]
    congestion_control: Option<String>,
    /// How TUIC carries UDP: `native` or `quic`.
    #[deserr(default)]
    udp_relay_mode: Option<String>,
    /// Settings of XHTTP with Xray's names, such as `downloadSettings`. They win over those of `splithttp_settings`.
    #[deserr(default)]
    #[schema(value_type = Option<Object>)]
    xhttp_extra: Option<JsonObject>,
    /// Disguises of packets in Xray: `tcp`, `udp`, `quicParams`.
    #[deserr(default)]
    #[schema(value_type = Option<Object>)]
    finalmask: Option<JsonObject>,
}

/// The settings in a body: a body that does not name them leaves those of the host alone.
#[derive(Default)]
pub enum CoreSettingsEdit {
    /// The body does not name them.
    #[default]
    Keep,
    /// The body names them, or null for none.
    Set(Option<Box<CoreSettings>>),
}

/// A JSON object.
struct JsonObject(Map<String, serde_json::Value>);

impl Deserr<FieldErrors> for CoreSettingsEdit {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let body = Option::<CoreSettingsBody>::deserialize_from_value(value, location)?;
        Ok(Self::Set(body.map(|body| Box::new(body.into()))))
    }
}

impl Deserr<FieldErrors> for JsonObject {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        match serde_json::Value::deserialize_from_value(value, location)? {
            serde_json::Value::Object(object) => Ok(Self(object)),
            _ => Err(FieldErrors::at(location, "must be an object")),
        }
    }
}

impl CoreSettingsEdit {
    /// The settings of a new host.
    pub fn settings(self) -> Option<CoreSettings> {
        match self {
            Self::Keep => None,
            Self::Set(settings) => settings.map(|settings| *settings),
        }
    }
}

impl From<CoreSettingsBody> for CoreSettings {
    fn from(body: CoreSettingsBody) -> Self {
        Self {
            pinned_peer_cert_sha256: body.pinned_peer_cert_sha256,
            certificate_public_key_sha256: body.certificate_public_key_sha256,
            ech_config_list: body.ech_config_list,
            encryption: body.encryption,
            mldsa65_verify: body.mldsa65_verify,
            spider_x: body.spider_x,
            ports: body.ports,
            hop_interval: body.hop_interval.map(|seconds| seconds.0),
            obfs: body.obfs,
            obfs_password: body.obfs_password,
            up_mbps: body.up_mbps.map(|rate| rate.0),
            down_mbps: body.down_mbps.map(|rate| rate.0),
            congestion_control: body.congestion_control,
            udp_relay_mode: body.udp_relay_mode,
            xhttp_extra: body.xhttp_extra.map(|object| object.0),
            finalmask: body.finalmask.map(|object| object.0),
        }
    }
}
