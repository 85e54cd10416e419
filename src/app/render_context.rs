//! Reads what subscriptions depend on and what stays the same while the process runs: the operator's templates, the
//! derivation of credentials and the panel's own address.

use super::{own_address, templates};
use crate::actions::subscriptions::RenderContext;
use crate::config::Settings;
use crate::config::auth::AuthGeneration;
use crate::domain::credentials::KeyDerivation;
use crate::subscription::templates::TemplateProblem;

/// Reads the render context for this machine.
pub fn read(settings: &Settings) -> RenderContext {
    with_address(settings, own_address::detect()).0
}

/// Reads the render context for a machine with this address, and what is wrong with the operator's templates.
pub(super) fn with_address(settings: &Settings, server_ip: String) -> (RenderContext, Vec<TemplateProblem>) {
    let derivation = match settings.auth.generation {
        AuthGeneration::Xxh128 => KeyDerivation::Xxh128,
        AuthGeneration::Plain => KeyDerivation::Plain,
    };
    let (templates, problems) = templates::read(&settings.subscription);
    (RenderContext { derivation, templates, server_ip }, problems)
}
