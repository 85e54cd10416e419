//! Whether a program has what it would be given already, known without rendering it.

use xxhash_rust::xxh3::Xxh3;

use super::{Format, Request};
use crate::domain::host_template::HostTemplate;
use crate::domain::host_variables::HostVariables;

/// A name for exactly this rendering: whatever the text depends on is in it. `revision` stands for what comes from
/// elsewhere than the request: hosts, settings, templates. `None`: chance has a part in the text.
pub fn etag(format: Format, request: &Request<'_>, revision: u128) -> Option<String> {
    if request.settings.shuffle_configs || request.catalogue.takes_chances() {
        return None;
    }
    let Request { user, server_ip, user_agent, now, .. } = *request;
    let mut hash = Xxh3::new();
    // Every part with its length, so that none can pass for the beginning of the next.
    let mut add = |part: &[u8]| {
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    };
    add(&revision.to_le_bytes());
    add(format!("{format:?}").as_bytes());
    add(user_agent.as_bytes());
    add(&user.id.0.to_le_bytes());
    add(user.key.as_bytes());
    add(&[u8::from(user.is_active(now))]);
    for service in &user.service_ids {
        add(&service.0.to_le_bytes());
    }
    let variables = HostVariables::of(user, server_ip, now);
    let placeholder = HostTemplate::lenient(&request.settings.placeholder_remark);
    let names = request.catalogue.names().iter().map(String::as_str).chain(placeholder.names());
    for name in names {
        add(variables.get(name, None, None).unwrap_or_default().as_bytes());
    }
    Some(format!("\"{:032x}\"", hash.digest128()))
}
