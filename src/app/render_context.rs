//! Reads what subscriptions depend on and what stays the same while the process runs: the operator's templates, the
//! derivation of credentials and the machine's addresses.

use super::{own_address, templates};
use crate::actions::subscriptions::RenderContext;
use crate::config::Settings;
use crate::config::auth::AuthGeneration;
use crate::domain::credentials::KeyDerivation;
use crate::domain::panel_address::FoundAddress;
use crate::subscription::templates::TemplateProblem;

/// Reads the render context for this machine.
pub fn read(settings: &Settings) -> RenderContext {
    let found = settings.subscription.addresses(own_address::detect());
    with_addresses(settings, &found).0
}

/// Reads the render context for a machine with these addresses, and what is wrong with the operator's templates.
pub(super) fn with_addresses(settings: &Settings, found: &[FoundAddress]) -> (RenderContext, Vec<TemplateProblem>) {
    let derivation = match settings.auth.generation {
        AuthGeneration::Xxh128 => KeyDerivation::Xxh128,
        AuthGeneration::Plain => KeyDerivation::Plain,
    };
    let of_family =
        |is_ipv4: bool| found.iter().find(|found| found.ip.is_ipv4() == is_ipv4).map(|found| found.ip.to_string());
    let (templates, problems) = templates::read(&settings.subscription);
    (RenderContext { derivation, templates, own_ipv4: of_family(true), own_ipv6: of_family(false) }, problems)
}
