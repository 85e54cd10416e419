//! Bodies of requests that create or change a node.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use utoipa::ToSchema;

use crate::api::http::enum_text::{EnumText, nullable_text_schema, text_schema};
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::{Ignored, LooseFloat, LooseInt, LooseIntIn};
use crate::api::http::short_text::ShortText;
use crate::domain::address;
use crate::domain::node::{ConnectionBackend, DEFAULT_PORT, NodeStatus};
use crate::domain::node_edit::{NewNode, NodeEdit};

/// A new node.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct NodeCreate {
    /// Ignored.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub id: Ignored<Option<LooseInt>>,
    #[schema(value_type = String, max_length = 256)]
    name: ShortText,
    /// A name or an IP address. Spaces around it and brackets are removed; names of other alphabets become `xn--` names.
    #[schema(value_type = String, max_length = 256)]
    address: NodeAddress,
    #[deserr(default = LooseIntIn(DEFAULT_PORT))]
    #[schema(value_type = i64, default = 53042, minimum = 1, maximum = 65535)]
    port: Port,
    #[deserr(default = EnumText(ConnectionBackend::Grpclib))]
    #[schema(schema_with = text_schema::<ConnectionBackend>, default = "grpclib")]
    connection_backend: EnumText<ConnectionBackend>,
    #[deserr(default = Coefficient(1.0))]
    #[schema(value_type = f64, minimum = 0, default = 1.0)]
    usage_coefficient: Coefficient,
}

/// Changes of a node. A field that is null or missing is not changed. The panel reconnects to the node, unless the new
/// status is `disabled`.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct NodeModify {
    /// Ignored.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub id: Ignored<Option<LooseInt>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 256)]
    name: Option<ShortText>,
    #[deserr(default)]
    /// A name or an IP address, cleaned as that of a new node.
    #[schema(value_type = Option<String>, max_length = 256)]
    address: Option<NodeAddress>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 65535)]
    port: Option<Port>,
    #[deserr(default)]
    #[schema(schema_with = nullable_text_schema::<ConnectionBackend>)]
    connection_backend: Option<EnumText<ConnectionBackend>>,
    /// 0 leaves the coefficient unchanged.
    #[deserr(default)]
    #[schema(value_type = Option<f64>, minimum = 0)]
    usage_coefficient: Option<Coefficient>,
    #[deserr(default)]
    #[schema(schema_with = nullable_text_schema::<NodeStatus>)]
    status: Option<EnumText<NodeStatus>>,
}

/// A TCP port.
type Port = LooseIntIn<1, 65535>;

/// The address of a node, cleaned.
struct NodeAddress(String);

/// The factor for the reported usage of users, at least 0.
#[derive(Clone, Copy, Debug)]
struct Coefficient(f64);

impl Deserr<FieldErrors> for Coefficient {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let LooseFloat(number) = LooseFloat::deserialize_from_value(value, location)?;
        if number >= 0.0 { Ok(Self(number)) } else { Err(FieldErrors::at(location, "must be at least 0")) }
    }
}

impl Deserr<FieldErrors> for NodeAddress {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let ShortText(text) = ShortText::deserialize_from_value(value, location)?;
        match address::cleaned(&text) {
            Ok(clean) => Ok(Self(clean.into_owned())),
            Err(error) => Err(FieldErrors::at(location, error.to_string())),
        }
    }
}

impl From<NodeCreate> for NewNode {
    fn from(body: NodeCreate) -> Self {
        Self {
            name: body.name.0,
            address: body.address.0,
            port: body.port.0,
            connection_backend: body.connection_backend.0,
            usage_coefficient: body.usage_coefficient.0,
        }
    }
}

impl From<NodeModify> for NodeEdit {
    fn from(body: NodeModify) -> Self {
        Self {
            name: body.name.map(|name| name.0),
            address: body.address.map(|address| address.0),
            port: body.port.map(|port| port.0),
            connection_backend: body.connection_backend.map(|kind| kind.0),
            usage_coefficient: body.usage_coefficient.map(|coefficient| coefficient.0),
            status: body.status.map(|status| status.0),
        }
    }
}
