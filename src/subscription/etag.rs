//! Whether a program has what it would be given already, known without rendering it.

use xxhash_rust::xxh3::xxh3_128;

use super::{Format, Request};
use crate::domain::host::template::HostTemplate;

/// A name for exactly this rendering: whatever the text depends on is in it. `revision` stands for what comes from
/// elsewhere than the request: hosts, settings, templates. `None`: chance has a part in the text.
pub fn etag(format: Format, request: &Request<'_>, revision: u128) -> Option<String> {
    if request.settings.shuffle_configs || request.catalogue.takes_chances() {
        return None;
    }
    let (user, is_for_placeholder) = (request.variables.user(), request.is_for_placeholder());
    let mut all = Vec::with_capacity(256);
    // Every part with its length, so that none can pass for the beginning of the next.
    let mut add = |part: &[u8]| {
        all.extend_from_slice(&part.len().to_le_bytes());
        all.extend_from_slice(part);
    };
    add(&revision.to_le_bytes());
    add(&[format as u8, u8::from(is_for_placeholder)]);
    add(request.user_agent.as_bytes());
    add(&user.id.0.to_le_bytes());
    add(user.key.as_bytes());
    for service in &user.service_ids {
        add(&service.0.to_le_bytes());
    }
    let mut add_value = |name: &str| add(request.variables.get(name, None, None).unwrap_or_default().as_bytes());
    if is_for_placeholder {
        HostTemplate::lenient(&request.settings.placeholder_remark).names().for_each(add_value);
    } else {
        request.catalogue.names().iter().for_each(|name| add_value(name));
    }
    Some(format!("\"{:032x}\"", xxh3_128(&all)))
}
