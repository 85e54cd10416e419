//! Errors of nodes as answers.

use super::not_found;
use crate::actions::nodes::NodeChangeError;
use crate::api::http::error::ApiError;
use crate::nodes::panel_certificate::PanelCertificateError;

impl From<PanelCertificateError> for ApiError {
    fn from(error: PanelCertificateError) -> Self {
        match error {
            PanelCertificateError::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<NodeChangeError> for ApiError {
    fn from(error: NodeChangeError) -> Self {
        match error {
            NodeChangeError::NotFound => not_found(),
            NodeChangeError::Taken(_) => Self::conflict("Another node has this name, or this address and port"),
            NodeChangeError::Store(error) => error.into(),
        }
    }
}
