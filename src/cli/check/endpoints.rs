//! Every endpoint answers: strangers are turned away from each, and a sudo gets what each GET is there for.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::panel::Panel;
use super::{Endpoints, Finding};

/// Named in the line of a step that did not pass.
const SHOWN: usize = 5;

pub(super) async fn all_answer(panel: &Panel, endpoints: &Endpoints) -> Finding {
    let values = Values::find(panel).await?;
    let stranger = panel.stranger();
    let (mut asked, mut wrong) = (0, Vec::new());
    let mut slowest = (Duration::ZERO, String::new());
    for (method, pattern) in endpoints {
        let path = values.fill(pattern);
        let name = format!("{method} {pattern}");
        let Ok(method) = method.parse::<Method>() else { return Err(format!("{method} is no method")) };
        let is_get = method == Method::GET;
        // Without a token nothing can change, whatever the method.
        let refused = stranger.ask(method, &path, None).await?;
        asked += 1;
        if !turned_away(pattern, refused.status) {
            wrong.push(format!("{name} answers a stranger {}", refused.status));
        }
        if is_get {
            let answer = panel.get(&path).await?;
            asked += 1;
            if !served(pattern, answer.status) {
                wrong.push(format!("{name} answers {}", answer.status));
            }
            if answer.time > slowest.0 {
                slowest = (answer.time, name);
            }
        }
    }
    if wrong.is_empty() {
        let (time, name) = slowest;
        return Ok(format!(
            "{} endpoints, {asked} answers; the slowest {} ms, {name}",
            endpoints.len(),
            time.as_millis()
        ));
    }
    let more = wrong.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    wrong.truncate(SHOWN);
    Err(format!("{}{more}", wrong.join("; ")))
}

/// Whether a stranger got what a stranger should: below `/api` that is 401, but for signing in and WebSockets.
fn turned_away(pattern: &str, status: u16) -> bool {
    match pattern {
        "/api/admins/token" => status == 422,
        _ if is_websocket(pattern) => status == 404,
        _ if pattern.starts_with("/api/") => status == 401,
        _ => status < 500 && status != 405,
    }
}

/// Whether a sudo was served. What a placeholder names may not be there, and a node may not answer.
fn served(pattern: &str, status: u16) -> bool {
    let named = pattern.contains(':');
    match status {
        200..=399 => true,
        404 => named || !pattern.starts_with("/api/"),
        // Of the panel's own pages: another token, another link.
        401 | 403 => pattern == "/metrics",
        422 => pattern.starts_with("/sub/"),
        502 => pattern.contains("/:backend/"),
        _ => false,
    }
}

fn is_websocket(pattern: &str) -> bool {
    pattern.ends_with("/logs")
}

/// What stands where a path has a name: things that are there, if any are.
struct Values {
    username: String,
    key: String,
    backend: String,
    node: String,
    ids: Vec<(&'static str, String)>,
}

impl Values {
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

/// The first item of a list; null when it is empty.
async fn first(panel: &Panel, list: &str) -> Result<Value, String> {
    let answer = panel.get(list).await?;
    if answer.status != 200 {
        return Err(format!("GET {list} answers {}", answer.status));
    }
    Ok(answer.body["items"][0].clone())
}
