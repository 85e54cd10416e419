//! The input of one rendering.

use crate::domain::credentials::KeyDerivation;
use crate::domain::host::variables::HostVariables;
use crate::domain::subscription_settings::SubscriptionSettings;

use super::catalogue::Catalogue;
use super::client::Client;
use super::templates::Templates;

/// Everything that a rendering depends on, except the random source.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The user, the time, and the values that hosts' templates can name.
    pub variables: HostVariables<'a>,
    /// The hosts to choose from.
    pub catalogue: &'a Catalogue,
    /// Order and placeholder.
    pub settings: &'a SubscriptionSettings,
    /// The fixed parts of documents.
    pub templates: &'a Templates,
    /// How credentials derive from keys.
    pub derivation: KeyDerivation,
    /// The client, whose program and version may need another document.
    pub client: Client<'a>,
}

impl Request<'_> {
    /// True when the account does not work and the document shows only the reason.
    pub(super) fn is_for_placeholder(&self) -> bool {
        self.settings.placeholder_if_disabled && !self.variables.user().is_active(self.variables.now())
    }
}
