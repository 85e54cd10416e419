//! Entity tags: a client's copy is compared with the current document without rendering the document.

use xxhash_rust::xxh3::xxh3_128;

use super::format::Format;
use super::request::Request;
use crate::domain::host::template::HostTemplate;

/// The tag of a rendering: a hash of everything that the document depends on. `revision` identifies hosts, settings and
/// templates. `None` when the document is random in part.
pub fn etag(format: &Format, request: &Request<'_>, revision: u128) -> Option<String> {
    if request.settings.shuffle_configs || request.catalogue.is_random() {
        return None;
    }
    let (user, is_for_placeholder) = (request.variables.user(), request.is_for_placeholder());
    let mut all = Vec::with_capacity(256);
    // Each part follows its length, so that two lists of parts never make the same bytes.
    let mut add = |part: &[u8]| {
        all.extend_from_slice(&part.len().to_le_bytes());
        all.extend_from_slice(part);
    };
    add(&revision.to_le_bytes());
    add(format.client_type.as_bytes());
    add(&[u8::from(is_for_placeholder)]);
    add(request.client.user_agent().as_bytes());
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
