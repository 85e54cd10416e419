//! Request body of a host.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use utoipa::ToSchema;

use super::core_settings::{CoreSettingsBody, CoreSettingsEdit};
use super::parts::{FragmentBody, Headers, MuxBody, NoiseBody, SplitHttpBody};
use crate::api::http::enum_text::{EnumText, nullable_text_schema, text_schema};
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::{Ignored, LooseBool, LooseInt};
use crate::domain::host::template::HostTemplate;
use crate::domain::host::{Alpn, Fingerprint, Host, HostSecurity, HostSpec};
use crate::domain::ids::{HostId, ServiceId};
use crate::subscription::MAX_HOPS;

/// A host. A missing field gets its default.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct HostBody {
    /// Ignored: the path decides.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub inbound_id: Ignored<Option<LooseInt>>,
    /// Name of the entry in subscriptions. A template such as `{USERNAME} ({PROTOCOL})`.
    #[schema(value_type = String)]
    remark: Template,
    /// Address that clients connect to. A template.
    #[schema(value_type = String)]
    address: Template,
    #[deserr(default)]
    uuid: Option<String>,
    #[deserr(default)]
    password: Option<String>,
    /// Protocol of a host without an inbound. Any text.
    #[deserr(default)]
    protocol: Option<String>,
    #[deserr(default)]
    network: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    port: Option<LooseInt>,
    #[deserr(default)]
    sni: Option<String>,
    #[deserr(default)]
    host: Option<String>,
    /// Path of the transport. A template.
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    path: Option<Template>,
    #[deserr(default)]
    #[schema(schema_with = text_schema::<HostSecurity>, default = "inbound_default")]
    security: EnumText<HostSecurity>,
    #[deserr(default)]
    #[schema(schema_with = nullable_text_schema::<Alpn>, default = "none")]
    alpn: Option<LooseAlpn>,
    #[deserr(default)]
    #[schema(schema_with = text_schema::<Fingerprint>, default = "")]
    fingerprint: EnumText<Fingerprint>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>, default = false)]
    allowinsecure: Option<LooseBool>,
    /// Ignored when a host is created: a new host is always enabled. Null disables, as in Marzneshin.
    #[deserr(default = Some(LooseBool(false)))]
    #[schema(value_type = Option<bool>, default = false)]
    is_disabled: Option<LooseBool>,
    #[deserr(default)]
    fragment: Option<FragmentBody>,
    #[deserr(default)]
    noise: Option<Vec<NoiseBody>>,
    #[deserr(default = Some(Headers::default()))]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, default = json!({}))]
    http_headers: Option<Headers>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    mtu: Option<LooseInt>,
    #[deserr(default)]
    dns_servers: Option<String>,
    #[deserr(default)]
    allowed_ips: Option<String>,
    #[deserr(default)]
    header_type: Option<String>,
    #[deserr(default)]
    reality_public_key: Option<String>,
    #[deserr(default)]
    reality_short_ids: Option<Vec<String>>,
    #[deserr(default)]
    flow: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    shadowtls_version: Option<LooseInt>,
    #[deserr(default)]
    shadowsocks_method: Option<String>,
    #[deserr(default)]
    splithttp_settings: Option<SplitHttpBody>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    early_data: Option<LooseInt>,
    #[deserr(default)]
    mux_settings: Option<MuxBody>,
    /// Settings of current cores. A change of a host that does not name them leaves them alone; null removes them.
    #[deserr(default)]
    #[schema(value_type = Option<CoreSettingsBody>)]
    core_settings: CoreSettingsEdit,
    /// For a host without an inbound: offered to all users.
    #[deserr(default)]
    #[schema(value_type = bool, default = false)]
    universal: LooseBool,
    /// For a host without an inbound: services whose users get the host.
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]))]
    service_ids: Vec<LooseInt>,
    /// Position in subscriptions. Hosts with smaller weights come first.
    #[deserr(default = LooseInt(1))]
    #[schema(value_type = i64, default = 1)]
    weight: LooseInt,
    /// Ids of the hosts that traffic passes through after this one, in order.
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]), max_items = 16)]
    chain_ids: Chain,
}

impl HostBody {
    /// True when a change with this body leaves the settings of current cores alone.
    pub const fn keeps_core_settings(&self) -> bool {
        matches!(self.core_settings, CoreSettingsEdit::Keep)
    }

    /// The host, without an inbound and with id 0; an error for values that no client takes.
    pub fn checked(self) -> Result<Host, FieldErrors> {
        let host = Host::from(self);
        let problems = host.spec.problems();
        if problems.is_empty() {
            return Ok(host);
        }
        let errors = problems.into_iter().map(|problem| FieldErrors::one(problem.field, problem.message));
        Err(errors.fold(FieldErrors::default(), FieldErrors::and))
    }
}

/// Ids of the hosts of a chain.
#[derive(Default)]
struct Chain(Vec<LooseInt>);

/// A valid host template.
struct Template(String);

/// ALPN protocols. The empty text is accepted for `none`.
struct LooseAlpn(Alpn);

impl Deserr<FieldErrors> for Template {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let text = String::deserialize_from_value(value, location)?;
        match HostTemplate::parse(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(FieldErrors::at(location, error.to_string())),
        }
    }
}

impl Deserr<FieldErrors> for Chain {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let ids = Vec::<LooseInt>::deserialize_from_value(value, location)?;
        if ids.len() > MAX_HOPS {
            return Err(FieldErrors::at(location, format!("must have at most {MAX_HOPS} elements")));
        }
        Ok(Self(ids))
    }
}

impl Deserr<FieldErrors> for LooseAlpn {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        match value {
            Value::String(text) if text.is_empty() => Ok(Self(Alpn::None)),
            other => EnumText::deserialize_from_value(other, location).map(|EnumText(alpn)| Self(alpn)),
        }
    }
}

/// Builds a host without an inbound, with id 0.
impl From<HostBody> for Host {
    fn from(body: HostBody) -> Self {
        Self {
            id: HostId(0),
            inbound_id: None,
            is_disabled: body.is_disabled.is_none_or(|flag| flag.0),
            universal: body.universal.0,
            weight: body.weight.0,
            service_ids: body.service_ids.iter().map(|id| ServiceId(id.0)).collect(),
            chain_ids: body.chain_ids.0.iter().map(|id| HostId(id.0)).collect(),
            spec: HostSpec {
                remark: body.remark.0,
                address: body.address.0,
                uuid: body.uuid,
                password: body.password,
                protocol: body.protocol,
                network: body.network,
                port: body.port.map(|port| port.0),
                sni: body.sni,
                host: body.host,
                path: body.path.map(|path| path.0),
                security: body.security.0,
                alpn: body.alpn.map_or(Alpn::None, |alpn| alpn.0),
                fingerprint: body.fingerprint.0,
                allowinsecure: body.allowinsecure.is_some_and(|flag| flag.0),
                fragment: body.fragment.map(Into::into),
                noise: body
                    .noise
                    .filter(|noise| !noise.is_empty())
                    .map(|noise| noise.into_iter().map(Into::into).collect()),
                http_headers: body.http_headers.map(|headers| headers.0),
                mtu: body.mtu.map(|mtu| mtu.0),
                dns_servers: body.dns_servers,
                allowed_ips: body.allowed_ips,
                header_type: body.header_type,
                reality_public_key: body.reality_public_key,
                reality_short_ids: body.reality_short_ids,
                flow: body.flow,
                shadowtls_version: body.shadowtls_version.map(|version| version.0),
                shadowsocks_method: body.shadowsocks_method,
                splithttp_settings: body.splithttp_settings.map(Into::into),
                early_data: body.early_data.map(|bytes| bytes.0),
                mux_settings: body.mux_settings.map(Into::into),
                core_settings: body.core_settings.settings(),
            },
        }
    }
}
