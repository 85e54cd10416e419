//! What can go wrong with a node, in words that tell an operator what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use tonic::{Code, Status};

use super::tls::Fingerprint;

/// Why a node can't be reached, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address or the port is none.
    #[error("{0} is not an address and port that can be connected to")]
    Address(String),
    /// No TCP connection.
    #[error("{}", connecting(.0))]
    Connect(#[source] io::Error),
    /// No TCP connection or no TLS handshake in time.
    #[error("timeout: no answer within {} s", .0.as_secs())]
    ConnectTimeout(Duration),
    /// Something answers, but not with TLS.
    #[error("it does not answer with TLS; for a node without TLS choose the connection kind grpcio ({0})")]
    NotTls(#[source] io::Error),
    /// The node wants another client certificate.
    #[error(
        "it refuses this panel's certificate; install on the node the one that the panel shows in its node settings"
    )]
    PanelRefused,
    /// Many nodes do not even say that they want another client certificate.
    #[error(
        "it closes the connection right after the TLS handshake: probably it does not know this panel's certificate; \
         install on the node the one that the panel shows in its node settings"
    )]
    HungUp,
    /// Not the node that it was, or somebody in between.
    #[error("its certificate has changed: pinned {pinned}, presented {presented}; re-pin it if that is intended")]
    CertificateChanged {
        /// What was seen first.
        pinned: Fingerprint,
        /// What is there now.
        presented: Fingerprint,
    },
    /// The panel's own certificate can't be used.
    #[error("the panel's own certificate can't be used ({0})")]
    PanelIdentity(#[source] rustls::Error),
    /// Something answers, but it is no node.
    #[error("what answers there speaks something other than the node protocol ({detail})")]
    NotANode {
        /// What it did.
        detail: String,
    },
    /// Connected, but no reply in time.
    #[error("timeout: no answer to {call} within {} s", .limit.as_secs())]
    NoAnswer {
        /// The call.
        call: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// The node says no.
    #[error("it refused {call}: {reason}")]
    Refused {
        /// The call.
        call: &'static str,
        /// gRPC's code.
        code: Code,
        /// The node's words.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection broke during {call} ({detail})")]
    Broken {
        /// The call.
        call: &'static str,
        /// How.
        detail: String,
        /// The request certainly never left: the connection was already known to be gone.
        unsent: bool,
    },
}

/// What a link's channel meets when its connection is gone: a link never connects twice.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
pub(super) struct ConnectionGone;

impl LinkError {
    pub(super) fn from_handshake(error: io::Error) -> Self {
        if refuses_panel(&error) { Self::PanelRefused } else { Self::NotTls(error) }
    }

    /// Sorts the failure of a call. `first`: nothing has worked on this connection so far.
    pub(super) fn from_status(call: &'static str, status: &Status, first: bool) -> Self {
        if let Some(source) = status.source() {
            let detail = deepest(source).to_string();
            let unsent = chain(source).any(|error| error.is::<ConnectionGone>());
            return if first { Self::NotANode { detail } } else { Self::Broken { call, detail, unsent } };
        }
        let reason = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        match status.code() {
            Code::Unimplemented if first => Self::NotANode { detail: reason },
            code => Self::Refused { call, code, reason },
        }
    }
}

fn connecting(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nothing listens at its address and port".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("its address can't be reached from this host ({error})")
        }
        _ => format!("it can't be connected to ({error})"),
    }
}

/// An alert about certificates is about ours: the node's own has been checked by its fingerprint.
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

/// An error and all its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// What an `io::Error` wraps does not count as its source, so it is looked into.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn deepest<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}
