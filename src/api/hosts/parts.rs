//! Objects inside the request body of a host.

use std::collections::BTreeMap;

use deserr::{Deserr, IntoValue, Map, Value, ValueKind, ValuePointerRef};
use utoipa::ToSchema;

use crate::api::http::enum_text::{EnumText, text_schema};
use crate::api::http::field_errors::{FieldErrors, wrong_kind};
use crate::api::http::loose::{LooseBool, LooseInt};
use crate::domain::host::{
    FragmentSettings, MuxCoolSettings, MuxSettings, Noise, NoiseKind, SingBoxMuxSettings, SplitHttpSettings,
    XMuxSettings, is_fragment_length, is_fragment_packets, is_range,
};

/// Packet fragmentation in Xray.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct FragmentBody {
    /// Packets to fragment: `tlshello`, or a number or range.
    #[schema(value_type = String, pattern = "^(tlshello|[0-9]{1,10}(-[0-9]{1,10})?)$")]
    packets: FragmentPackets,
    /// Length of fragments in bytes, a number or range.
    #[schema(value_type = String, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    length: FragmentLength,
    /// Delay between fragments in milliseconds, a number or range.
    #[schema(value_type = String, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    interval: Range,
}

/// A packet of noise.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct NoiseBody {
    #[deserr(rename = "type")]
    #[schema(rename = "type", schema_with = text_schema::<NoiseKind>)]
    kind: EnumText<NoiseKind>,
    packet: String,
    /// Delay after the packet in milliseconds, a number or range.
    #[schema(value_type = String, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    delay: Range,
}

/// Settings of splithttp (XHTTP).
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct SplitHttpBody {
    #[deserr(default)]
    mode: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    no_grpc_header: Option<LooseBool>,
    #[deserr(default)]
    padding_bytes: Option<String>,
    #[deserr(default)]
    xmux: Option<XMuxBody>,
}

/// Connection reuse in splithttp (XHTTP).
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct XMuxBody {
    #[deserr(default)]
    #[schema(value_type = Option<String>, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    max_concurrency: Option<Range>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    max_connections: Option<Range>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    max_reuse_times: Option<Range>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, pattern = "^[0-9]{1,10}(-[0-9]{1,10})?$")]
    max_lifetime: Option<Range>,
    #[deserr(default)]
    max_request_times: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    keep_alive_period: Option<LooseInt>,
}

/// Multiplexing of streams in one connection.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct MuxBody {
    /// `mux_cool`, `h2mux`, `yamux` or `smux`.
    protocol: String,
    #[deserr(default)]
    sing_box_mux_settings: Option<SingBoxMuxBody>,
    #[deserr(default)]
    mux_cool_settings: Option<MuxCoolBody>,
}

/// Settings of multiplexing in sing-box.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct SingBoxMuxBody {
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    max_connections: Option<LooseInt>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    max_streams: Option<LooseInt>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    min_streams: Option<LooseInt>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    padding: Option<LooseBool>,
}

/// Settings of multiplexing in Xray (Mux.Cool).
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct MuxCoolBody {
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    concurrency: Option<LooseInt>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    xudp_concurrency: Option<LooseInt>,
    #[deserr(default)]
    xudp_proxy_443: Option<String>,
}

/// HTTP headers by name. Written here because deserr's reader of maps drops the errors of their values.
#[derive(Default)]
pub struct Headers(pub BTreeMap<String, String>);

impl Deserr<FieldErrors> for Headers {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let map = match value {
            Value::Map(map) => map,
            other => return Err(wrong_kind(other, &[ValueKind::Map], location)),
        };
        let mut headers = BTreeMap::new();
        let mut wrong = FieldErrors::default();
        for (name, value) in map.into_iter() {
            match String::deserialize_from_value(value.into_value(), location.push_key(&name)) {
                Ok(text) => drop(headers.insert(name, text)),
                Err(fields) => wrong.add(fields),
            }
        }
        if wrong.is_empty() { Ok(Self(headers)) } else { Err(wrong) }
    }
}

/// Defines readers of texts that a function of the domain validates.
macro_rules! checked_texts {
    ($($(#[$doc:meta])* $name:ident if $is_valid:path, else $message:literal;)*) => {$(
        $(#[$doc])*
        struct $name(String);

        impl Deserr<FieldErrors> for $name {
            fn deserialize_from_value<V: IntoValue>(
                value: Value<V>,
                location: ValuePointerRef<'_>,
            ) -> Result<Self, FieldErrors> {
                let text = String::deserialize_from_value(value, location)?;
                if $is_valid(&text) { Ok(Self(text)) } else { Err(FieldErrors::at(location, $message)) }
            }
        }
    )*};
}

checked_texts! {
    /// A number or a range, `n` or `n-m`.
    Range if is_range, else "must be a number or a range such as 1-5, of at most ten digits each";
    /// A number or a range from 1.
    FragmentLength if is_fragment_length, else "must be a number or a range such as 10-20, from 1";
    /// `tlshello`, or a number or a range from 1.
    FragmentPackets if is_fragment_packets, else "must be tlshello, or a number or a range such as 1-3, from 1";
}

impl From<FragmentBody> for FragmentSettings {
    fn from(body: FragmentBody) -> Self {
        Self {
            packets: body.packets.0.trim_start_matches(':').to_owned(),
            length: body.length.0,
            interval: body.interval.0,
        }
    }
}

impl From<NoiseBody> for Noise {
    fn from(body: NoiseBody) -> Self {
        Self { kind: body.kind.0, packet: body.packet, delay: body.delay.0 }
    }
}

impl From<SplitHttpBody> for SplitHttpSettings {
    fn from(body: SplitHttpBody) -> Self {
        Self {
            mode: body.mode,
            no_grpc_header: body.no_grpc_header.map(|flag| flag.0),
            padding_bytes: body.padding_bytes,
            xmux: body.xmux.map(Into::into),
        }
    }
}

impl From<XMuxBody> for XMuxSettings {
    fn from(body: XMuxBody) -> Self {
        Self {
            max_concurrency: body.max_concurrency.map(|range| range.0),
            max_connections: body.max_connections.map(|range| range.0),
            max_reuse_times: body.max_reuse_times.map(|range| range.0),
            max_lifetime: body.max_lifetime.map(|range| range.0),
            max_request_times: body.max_request_times,
            keep_alive_period: body.keep_alive_period.map(|seconds| seconds.0),
        }
    }
}

impl From<MuxBody> for MuxSettings {
    fn from(body: MuxBody) -> Self {
        Self {
            protocol: body.protocol,
            sing_box_mux_settings: body.sing_box_mux_settings.map(Into::into),
            mux_cool_settings: body.mux_cool_settings.map(Into::into),
        }
    }
}

impl From<SingBoxMuxBody> for SingBoxMuxSettings {
    fn from(body: SingBoxMuxBody) -> Self {
        Self {
            max_connections: body.max_connections.map(|number| number.0),
            max_streams: body.max_streams.map(|number| number.0),
            min_streams: body.min_streams.map(|number| number.0),
            padding: body.padding.map(|flag| flag.0),
        }
    }
}

impl From<MuxCoolBody> for MuxCoolSettings {
    fn from(body: MuxCoolBody) -> Self {
        Self {
            concurrency: body.concurrency.map(|number| number.0),
            xudp_concurrency: body.xudp_concurrency.map(|number| number.0),
            xudp_proxy_443: body.xudp_proxy_443,
        }
    }
}
