//! Reads of secrets, which `AUDIT_READS` enters into the audit log before they are answered.

use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::{Endpoint, EndpointExt, FromRequest, Request, RequestBody, Response};

use super::by::By;
use super::error::ApiError;
use crate::actions::secret_reads;
use crate::api::state::State;

/// Operations whose answers have users' keys or links, a node's configuration or the Telegram bot's token, with the action of
/// their entries. Paths as routes have them.
const READS: [(&str, &str); 9] = [
    ("/api/users", "user.read"),
    ("/api/users/:username", "user.read"),
    ("/api/users/:username/subscription", "user.read"),
    ("/api/admins/:username/users", "user.read"),
    ("/api/services/:id/users", "user.read"),
    ("/api/nodes/:node_id/:backend/config", "engine.read_config"),
    ("/api/nodes/:node_id/:backend/config/last-good", "engine.read_config"),
    ("/api/notifications", "notification.read"),
    ("/api/system/settings/telegram", "settings.read"),
];

struct Recorded {
    read: BoxEndpoint<'static>,
    action: &'static str,
}

/// The handler of a route, which enters what it reads if that is a secret.
pub(super) fn recorded(handler: BoxEndpoint<'static>, method: &Method, path: &str) -> BoxEndpoint<'static> {
    let known = READS.iter().find(|(read, _)| *read == path).filter(|_| method == Method::GET);
    match known {
        Some((_, action)) => Recorded { read: handler, action }.boxed(),
        None => handler,
    }
}

impl Endpoint for Recorded {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let state: Arc<State> = Arc::clone(State::of(&request)?);
        // A read-only panel writes nothing.
        if !state.options.audit_reads || state.options.http.read_only {
            return self.read.call(request).await;
        }
        let by = By::from_request(&request, &mut RequestBody::default()).await;
        let object = request.original_uri().path().to_owned();
        let response = self.read.call(request).await?;
        if let Ok(By(panel)) = by {
            secret_reads::record(&panel, self.action, &object).await.map_err(ApiError::from)?;
        }
        Ok(response)
    }
}
