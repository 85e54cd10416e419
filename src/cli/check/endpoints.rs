//! Every endpoint responds: requests without a token are refused, and a sudo admin's GET requests succeed.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::panel::Panel;
use super::report::StepResult;

/// Each method and path of the API, as `(GET, /api/users/:username)`.
pub type Endpoints = Vec<(String, String)>;

/// Maximum number of failures that the report lists.
const SHOWN: usize = 5;

/// Requests all endpoints without a token, and those with GET as the admin.
pub(super) async fn all_respond(panel: &Panel, endpoints: &Endpoints) -> StepResult {
    let parameters = Parameters::find(panel).await?;
    let anonymous = panel.anonymous();
    let (mut responses, mut failures) = (0, Vec::new());
    let mut slowest = (Duration::ZERO, String::new());
    for (method, pattern) in endpoints {
        let path = parameters.fill(pattern);
        let name = format!("{method} {pattern}");
        let method = method.parse::<Method>().map_err(|_| format!("{method} is not an HTTP method"))?;
        let is_get = method == Method::GET;
        // Without a token, no method changes anything.
        let refused = anonymous.request(method.clone(), &path, None).await?;
        responses += 1;
        if !is_refusal(pattern, refused.status) {
            failures.push(format!("{name} without a token responds {}", refused.status));
        }
        if is_get {
            // An answer that does not end is not read.
            let method = if pattern == "/api/events" { Method::HEAD } else { method };
            let response = panel.request(method, &path, None).await?;
            responses += 1;
            if !is_success(pattern, response.status) {
                failures.push(format!("{name} responds {}", response.status));
            }
            if response.time > slowest.0 {
                slowest = (response.time, name);
            }
        }
    }
    if !failures.is_empty() {
        return Err(listed(failures));
    }
    let (time, name) = slowest;
    let count = endpoints.len();
    Ok(format!("{count} endpoints, {responses} responses; the slowest {} ms, {name}", time.as_millis()))
}

/// Joins the first failures, and counts the others.
fn listed(mut failures: Vec<String>) -> String {
    let more = failures.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    failures.truncate(SHOWN);
    format!("{}{more}", failures.join("; "))
}

/// Returns true for the right status of a request without a token: 401 below `/api`, except sign-in, setup and WebSockets.
fn is_refusal(pattern: &str, status: u16) -> bool {
    match pattern {
        "/api/admins/token" | "/api/passkey-sign-in" | "/api/setup" => status == 422,
        // An address can have no passkeys.
        "/api/passkey-sign-in/options" => matches!(status, 200 | 400),
        _ if is_websocket(pattern) => status == 404,
        _ if pattern.starts_with("/api/") => status == 401,
        _ => status < 500 && status != 405,
    }
}

/// Returns true for the right status of a sudo admin's GET request. An item that a path names may not exist, and a node
/// may not respond.
fn is_success(pattern: &str, status: u16) -> bool {
    let has_parameter = pattern.contains(':');
    match status {
        200..=399 => true,
        404 => has_parameter || !pattern.starts_with("/api/"),
        // Metrics have a token of their own.
        401 | 403 => pattern == "/metrics",
        422 => pattern.starts_with("/sub/"),
        502 => pattern.contains("/:backend/"),
        _ => false,
    }
}

fn is_websocket(pattern: &str) -> bool {
    pattern.ends_with("/logs")
}

/// Values for the parameters of paths, from existing items where there are any.
struct Parameters {
    username: String,
    key: String,
    backend: String,
    node: String,
    /// Ids, each with the part of the path before it.
    ids: Vec<(&'static str, String)>,
}

impl Parameters {
    async fn find(panel: &Panel) -> Result<Self, String> {
        let user = first(panel, "/api/users?size=1").await?;
        let node = first(panel, "/api/nodes?size=1").await?;
        let id = |item: &Value| item["id"].as_i64().unwrap_or(1).to_string();
        let text = |item: &Value, field: &str| item[field].as_str().unwrap_or("nobody").to_owned();
        let mut ids = Vec::new();
        for (part, list) in [
            ("/services/", "/api/services?size=1"),
            ("/inbounds/hosts/", "/api/inbounds/hosts?size=1"),
            ("/inbounds/", "/api/inbounds?size=1"),
        ] {
            ids.push((part, id(&first(panel, list).await?)));
        }
        Ok(Self {
            username: text(&user, "username"),
            key: text(&user, "key"),
            backend: text(&node["backends"][0], "name"),
            node: id(&node),
            ids,
        })
    }

    fn fill(&self, pattern: &str) -> String {
        let fill = |part: &str| match part.strip_prefix(':') {
            None => part.to_owned(),
            Some("username") if pattern.starts_with("/api/admins/") => "nobody".to_owned(),
            Some("username") => self.username.clone(),
            Some("key") => self.key.clone(),
            Some("backend") => self.backend.clone(),
            Some("client_type") => "links".to_owned(),
            Some("node_id") => self.node.clone(),
            Some(_) => {
                let known = self.ids.iter().find(|(part, _)| pattern.contains(part));
                known.map_or_else(|| "1".to_owned(), |(_, id)| id.clone())
            }
        };
        pattern.split('/').map(fill).collect::<Vec<_>>().join("/")
    }
}

/// Returns the first item of a list, or null.
async fn first(panel: &Panel, list: &str) -> Result<Value, String> {
    let response = panel.get(list).await?;
    if response.status != 200 {
        return Err(format!("GET {list} responds {}", response.status));
    }
    Ok(response.body["items"][0].clone())
}
