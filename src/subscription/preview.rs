//! Renders one host alone, as it would be if it were stored: for forms that show it while it is edited.

use rand::Rng;

use crate::domain::host::variables::HostVariables;
use crate::domain::ids::ServiceId;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::user::User;

use super::catalogue::HostRow;
use super::format::Format;
use super::refusal::Reason;
use super::request::Request;
use super::{Rendered, render};

/// The only service of the user of a preview, which no stored service is.
const SERVICE: ServiceId = ServiceId(0);

/// One host in one format.
#[derive(Debug)]
pub struct Preview {
    /// The document with this host alone; `None`: the host is left out.
    pub document: Option<String>,
    /// Why the host is left out.
    pub left_out: Option<Reason>,
}

/// Renders a host in several formats, for the user of the request, whether or not the user's account works and sees the
/// host. The hosts of its chain are those of the request.
pub fn previews<'a>(
    row: HostRow,
    formats: impl IntoIterator<Item = (&'static Format, Request<'a>)>,
    rng: &mut dyn Rng,
) -> Vec<Preview> {
    let row = HostRow { service_ids: vec![SERVICE], ..row };
    let mut formats = formats.into_iter().peekable();
    let Some((_, request)) = formats.peek() else { return Vec::new() };
    let catalogue = request.catalogue.with_only(row);
    let settings = SubscriptionSettings { placeholder_if_disabled: false, ..request.settings.clone() };
    let user = User { service_ids: vec![SERVICE], ..request.variables.user().clone() };
    let variables = HostVariables::of(&user, request.variables.server(), request.variables.now());
    formats
        .map(|(format, request)| {
            let request =
                Request { variables: variables.clone(), catalogue: &catalogue, settings: &settings, ..request };
            let Rendered { body, left_out, .. } = render(format, &request, rng);
            let left_out = left_out.first().map(|left| left.reason);
            Preview { document: left_out.is_none().then_some(body), left_out }
        })
        .collect()
}
