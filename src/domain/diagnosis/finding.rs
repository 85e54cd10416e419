//! A finding of a diagnosis: a stable code, the object it concerns, values, and an English text.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::moment::Moment;

/// How much a finding is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DiagnosisSeverity)]
pub enum Severity {
    /// Nothing works until this is fixed.
    Error,
    /// A part does not work, or may not.
    Warning,
    /// Not in the way, but good to know.
    Info,
}

/// The kind of object that a finding concerns: where it is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DiagnosisObjectKind)]
pub enum ObjectKind {
    /// The user.
    User,
    /// The owner of the user.
    Admin,
    /// A service of the user.
    Service,
    /// An inbound of a service.
    Inbound,
    /// A host.
    Host,
    /// A node.
    Node,
}

/// The object that a finding concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DiagnosisObject)]
pub struct ObjectRef {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Id of the object.
    pub id: i64,
    /// Name: username, name of a service or node, tag of an inbound, remark of a host.
    pub name: String,
}

/// The values that the text of a finding names. Those that a finding does not have are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DiagnosisDetails)]
pub struct Details {
    /// Time since when it holds, or of the event. UTC, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "utc")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub since: Option<Moment>,
    /// Time at which it ends by itself. UTC, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "utc")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub until: Option<Moment>,
    /// Used traffic in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub used: Option<i64>,
    /// Data limit in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<i64>,
    /// Reason as the node reported it or as the rendering gives it, in English. Reasons of nodes are for sudo admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Program that fetched the subscription, or its User-Agent if it is not a known one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub app: Option<String>,
    /// Version of the program's core.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub core_version: Option<String>,
    /// Name of the node of an inbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub node: Option<String>,
    /// Name of an engine of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub engine: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn utc<S: Serializer>(moment: &Option<Moment>, serializer: S) -> Result<S::Ok, S::Error> {
    moment.map(Moment::utc_iso).serialize(serializer)
}

impl Severity {
    /// The text form in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that stands in the way of a user, or is good to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DiagnosisFinding)]
pub struct Finding {
    /// Stable name of the finding. Further codes may be added.
    #[schema(value_type = String, examples("user_expired"))]
    pub code: Code,
    /// How much it is in the way.
    pub severity: Severity,
    /// English text for people.
    pub text: String,
    /// Where it is fixed.
    pub object: ObjectRef,
    /// The values of the text.
    pub details: Details,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// The stable name of a finding. Codes are only added.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The text form in the API.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

codes! {
    /// An admin disabled the user.
    UserDisabled = "user_disabled",
    /// The user is disabled, because the traffic of its owner's quota is used up.
    OwnerQuotaUsedUp = "owner_quota_used_up",
    /// The fixed date has passed.
    UserExpired = "user_expired",
    /// The data limit is reached.
    UserLimited = "user_limited",
    /// The account starts with its first use.
    UserOnHold = "user_on_hold",
    /// The account works, and is not yet put on nodes again.
    UserNotActivated = "user_not_activated",
    /// The owner is disabled. Its users go on working.
    OwnerDisabled = "owner_disabled",
    /// The user has no service.
    NoService = "no_service",
    /// A service has neither inbounds nor hosts of its own.
    ServiceEmpty = "service_without_inbounds",
    /// Its node does not report an inbound of the user any more.
    InboundAbsent = "inbound_absent",
    /// No node has an inbound of the user.
    NoNode = "no_node",
    /// An admin disabled a node of the user.
    NodeDisabled = "node_disabled",
    /// The panel has never been connected to a node of the user.
    NodeNeverConnected = "node_never_connected",
    /// A node of the user can't be reached, or refuses its users.
    NodeUnhealthy = "node_unhealthy",
    /// A node of the user is connected and waits for its full list of users.
    NodeOutOfStep = "node_out_of_step",
    /// An engine of a node of the user does not run.
    EngineStopped = "engine_stopped",
    /// A connected node may not have the last change of the user yet.
    ChangePending = "change_pending",
    /// No host is for the user.
    NoHost = "no_host",
    /// A host of the user's services is disabled.
    HostDisabled = "host_disabled",
    /// A host is left out for the app.
    HostLeftOut = "host_left_out",
    /// All hosts are left out for the app.
    NoHostForApp = "no_host_for_app",
    /// The client rules refuse the app.
    AppBlocked = "app_blocked",
    /// The client rules give the app the web page, or no rule matches it.
    AppGetsNoDocument = "app_gets_no_document",
    /// The app is not a known program.
    AppUnknown = "app_unknown",
    /// The subscription was never fetched.
    NeverFetched = "never_fetched",
    /// The last fetch.
    LastFetch = "last_fetch",
    /// The link was revoked after the last fetch.
    LinkRevoked = "link_revoked_since_fetch",
    /// The user was edited after the last fetch.
    EditedSinceFetch = "edited_since_fetch",
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
