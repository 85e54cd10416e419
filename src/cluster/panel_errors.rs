//! Faults of the link between an edge and its panels, as the log of the edge says them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::domain::edge::FORMAT;
use crate::foundation::lock;

/// The certificates of `EDGE_CA_FILE`, or those of the system, can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The file can't be read.
    #[error("EDGE_CA_FILE must name a PEM file with the certificates of the panels' authority; could not read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no certificate in the file.
    #[error("EDGE_CA_FILE must name a PEM file with the certificates of the panels' authority; {} has none", .0.display())]
    NoCertificates(PathBuf),
    /// A certificate in the file is damaged.
    #[error("EDGE_CA_FILE must name a PEM file with the certificates of the panels' authority; one in {} can't be used: {reason}", file.display())]
    WrongCertificate {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The authorities of the system can't be used.
    #[error(
        "could not prepare TLS for the panels; install ca-certificates, or name the panels' authority in EDGE_CA_FILE: {0}"
    )]
    Tls(String),
}

impl LinkError {
    /// True if `EDGE_CA_FILE` is set, and at fault.
    pub const fn is_of_file(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }
}

/// Why no panel gave an answer that can be used. The texts name the panel, and contain no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PanelError {
    /// It could not be reached, or did not answer in time.
    #[error("the panel {panel} can't be reached: {reason}")]
    NoAnswer {
        /// Address.
        panel: String,
        /// Why.
        reason: String,
    },
    /// It does not accept the token.
    #[error(
        "the panel {panel} refuses EDGE_TOKEN ({status}): {detail}; make one with `sarban token create --admin NAME --name edge --scope 'edge:*'`"
    )]
    Token {
        /// Address.
        panel: String,
        /// Status of the answer.
        status: u16,
        /// The panel's explanation.
        detail: String,
    },
    /// It has no such operation.
    #[error("{panel} is no panel that edges can follow: it answered 404; check EDGE_PANELS, and update the panel")]
    NoPanel {
        /// Address.
        panel: String,
    },
    /// Its links have other credentials.
    #[error("the panel {panel} has AUTH_GENERATION_ALGORITHM={theirs}, and this edge has not: set the same here")]
    OtherCredentials {
        /// Address.
        panel: String,
        /// The panel's setting.
        theirs: String,
    },
    /// It is a panel of another database than the copy's.
    #[error(
        "the panel {panel} has another database than the copy of this edge: EDGE_PANELS must name panels of one database; if that of the \
         copy was replaced, take panels that are gone for good out of EDGE_PANELS"
    )]
    OtherDatabase {
        /// Address.
        panel: String,
    },
    /// Its answers are of a later format.
    #[error("the panel {panel} is newer than this edge, which can't read its answers (format {theirs}, and it reads 1 to {known}): update the edge", known = FORMAT)]
    NewerFormat {
        /// Address.
        panel: String,
        /// The panel's format.
        theirs: String,
    },
    /// It answered something else.
    #[error("the panel {panel} answered {status}: {detail}")]
    Refused {
        /// Address.
        panel: String,
        /// Status of the answer.
        status: u16,
        /// The panel's explanation.
        detail: String,
    },
    /// Its answer can't be read.
    #[error("the panel {panel} gave an answer that can't be read: {reason}")]
    Unreadable {
        /// Address.
        panel: String,
        /// Why.
        reason: String,
    },
}

impl PanelError {
    /// Before any panel was asked.
    pub(super) fn none() -> Self {
        Self::NoAnswer { panel: String::new(), reason: "none was followed yet".to_owned() }
    }

    /// Remembers the failure that says most: the first one, unless a later one is for the operator to end.
    pub(super) fn prefer(known: &mut Option<Self>, other: Self) {
        let may_pass = |error: &Self| matches!(error, Self::NoAnswer { .. } | Self::Refused { .. });
        if known.as_ref().is_none_or(|known| may_pass(known) && !may_pass(&other)) {
            *known = Some(other);
        }
    }
}

/// A part of an edge's work that fails at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// No panel can be followed.
    Following,
    /// No panel takes its reports, and the fetches in them.
    Reporting,
}

/// The faults that last: of each operation the one of its last request, until the operation succeeds again.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<BTreeMap<&'static str, String>>);

impl Faults {
    /// Records that an operation failed, and logs it unless the same is known already.
    pub(super) fn failed(&self, operation: &'static str, is_report: bool, error: &PanelError) {
        let text = error.to_string();
        let mut faults = lock(&self.0);
        if !faults.values().any(|known| *known == text) {
            let meanwhile = match is_report {
                true => "fetches wait in DATA_DIR meanwhile",
                false => "nothing but the copy can be served meanwhile",
            };
            tracing::warn!("{text}; {meanwhile}");
        }
        faults.insert(operation, text);
    }

    /// Records that an operation succeeded. Returns true if it failed before.
    pub(super) fn succeeded(&self, operation: &str) -> bool {
        lock(&self.0).remove(operation).is_some()
    }

    /// Returns what can't be done; `reporting`: the operation that reports.
    pub(super) fn lasting(&self, reporting: &str) -> Option<LinkFault> {
        let faults = lock(&self.0);
        match faults.keys().any(|operation| *operation != reporting) {
            true => Some(LinkFault::Following),
            false => (!faults.is_empty()).then_some(LinkFault::Reporting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_lasts_until_its_own_operation_succeeds() {
        let faults = Faults::default();
        let error = PanelError::NoPanel { panel: "https://panel.example".to_owned() };
        assert_eq!(faults.lasting("/report"), None);
        faults.failed("/report", true, &error);
        assert_eq!(faults.lasting("/report"), Some(LinkFault::Reporting));
        faults.failed("/users", false, &error);
        assert!(!faults.succeeded("/changes"));
        assert_eq!(faults.lasting("/report"), Some(LinkFault::Following));
        assert!(faults.succeeded("/users"));
        assert!(!faults.succeeded("/users"));
        assert_eq!(faults.lasting("/report"), Some(LinkFault::Reporting));
    }
}
