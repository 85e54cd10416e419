//! Errors of a node's connection and calls. Operators read their texts in the node's status.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use tonic::{Code, Status};

use super::fingerprint::Fingerprint;
use super::raw_reply::TOO_LARGE;
use crate::foundation::excerpt;

/// Characters of a node's own words in a message.
const SHOWN: usize = 500;

/// Why a node can't be reached, or why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The address can't be parsed, or the port is out of range.
    #[error("{0} is not a valid address and port; correct them in the node's settings")]
    Address(String),
    /// The TCP connection failed.
    #[error("{}", connect_failure(.0))]
    Connect(#[source] io::Error),
    /// The TCP connection or the TLS handshake took too long.
    #[error("timeout: no answer within {} s of connecting; check the node's address, port and firewall", .0.as_secs())]
    ConnectTimeout(Duration),
    /// The peer does not speak TLS.
    #[error("the node does not answer with TLS ({0}); if it has no TLS, set its connection backend to grpcio")]
    NotTls(#[source] io::Error),
    /// The node expects another client certificate.
    #[error(
        "the node refuses this panel's certificate; copy the certificate from the panel's node settings to the node"
    )]
    PanelRefused,
    /// The node closed the connection without an alert, as many do that expect another client certificate.
    #[error(
        "the node closes the connection right after the TLS handshake, probably because it does not know this panel's \
         certificate; copy the certificate from the panel's node settings to the node"
    )]
    HungUp,
    /// The node presented a certificate other than the pinned one.
    #[error(
        "the node's certificate has changed: pinned {pinned}, presented {presented}; repin the node if you replaced \
         its certificate, else somebody may be intercepting the connection"
    )]
    CertificateChanged {
        /// Fingerprint of the certificate that was seen first.
        pinned: Fingerprint,
        /// Fingerprint of the certificate that was presented now.
        presented: Fingerprint,
    },
    /// The panel's own certificate can't be used.
    #[error("the panel's own certificate is unusable: {0}; restore the table tls from a backup")]
    PanelIdentity(#[source] rustls::Error),
    /// The peer is not a node.
    #[error(
        "the service at this address does not speak the node protocol ({detail}); check the node's address, port and \
         connection backend"
    )]
    NotANode {
        /// The unexpected answer.
        detail: String,
    },
    /// The node's report of engines and inbounds exceeds its bounds.
    #[error(
        "the node reports what this panel does not accept: {reason}; correct the engines' configuration on the node"
    )]
    Report {
        /// The part that is not accepted, and what would be.
        reason: String,
    },
    /// The node has reported ever different inbounds.
    #[error(
        "the node reports {reported} inbounds, and the panel has {unreported} more of this node that it no longer \
         reports; {most} may be stored: delete those that are gone for good (DELETE /api/inbounds/absent)"
    )]
    TooManyInbounds {
        /// Inbounds in the database that the report does not name.
        unreported: usize,
        /// Inbounds in the report.
        reported: usize,
        /// Inbounds of a node that may be stored.
        most: usize,
    },
    /// The node did not answer a call in time.
    #[error("timeout: no answer to {call} within {} s; check the node's load and its log", .limit.as_secs())]
    NoAnswer {
        /// Name of the call.
        call: &'static str,
        /// The call's time limit.
        limit: Duration,
    },
    /// The node's reply is larger than replies to this call can be.
    #[error("the node's reply to {call} is too large ({reason}); check that the node's version supports this panel")]
    TooLarge {
        /// Name of the call.
        call: &'static str,
        /// Its size and the limit.
        reason: String,
    },
    /// The node answered a call with an error.
    #[error("the node refused {call}: {reason}")]
    Refused {
        /// Name of the call.
        call: &'static str,
        /// The gRPC status code.
        code: Code,
        /// The node's own message.
        reason: String,
    },
    /// The connection broke during a call.
    #[error(
        "the connection to the node broke during {call}: {detail}; if this repeats, check the network and \
         the node's log"
    )]
    Broken {
        /// Name of the call.
        call: &'static str,
        /// The underlying error.
        detail: String,
        /// The request was certainly not sent: the connection was already closed.
        unsent: bool,
    },
}

/// The error of a channel whose connection is closed: a node connection never reconnects.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
pub(super) struct ConnectionGone;

impl NodeError {
    pub(super) fn from_handshake(error: io::Error) -> Self {
        if refuses_panel(&error) { Self::PanelRefused } else { Self::NotTls(error) }
    }

    /// True if the node does not have the call, or nothing to say about its subject.
    pub(super) const fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused { code: Code::Unimplemented | Code::NotFound, .. })
    }

    /// Classifies a failed call. `first`: no call has been answered on this connection yet.
    pub(super) fn from_status(call: &'static str, status: &Status, first: bool) -> Self {
        if let Some(source) = status.source() {
            let detail = excerpt(&deepest(source).to_string(), SHOWN);
            let unsent = chain(source).any(|error| error.is::<ConnectionGone>());
            return if first { Self::NotANode { detail } } else { Self::Broken { call, detail, unsent } };
        }
        let reason = match status.message() {
            "" => status.code().description().to_owned(),
            message => excerpt(message, SHOWN),
        };
        match status.code() {
            Code::OutOfRange if reason.starts_with(TOO_LARGE) => Self::TooLarge { call, reason },
            Code::Unimplemented if first => Self::NotANode { detail: reason },
            code => Self::Refused { call, code, reason },
        }
    }
}

fn connect_failure(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: nothing listens at the node's address and port; check both, and that the node runs"
                .into()
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("the node's address can't be reached from this host ({error}); check the address and the routing")
        }
        _ => format!("could not connect to the node: {error}; check its address and port"),
    }
}

/// Returns whether the node refuses the panel's certificate: an alert about a certificate concerns the panel's, because
/// the node's own was already verified by its fingerprint.
pub(super) fn refuses_panel(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        matches!(
            error.downcast_ref::<rustls::Error>(),
            Some(rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                    | AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
                    | AlertDescription::AccessDenied
                    | AlertDescription::DecryptError
            ))
        )
    })
}

/// Iterates over an error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// Returns the cause of an error. The error that an `io::Error` wraps is not its `source`, so it is looked up
/// explicitly.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn deepest<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}
