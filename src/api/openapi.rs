//! `/openapi.json`: the API described for machines, when `DOCS` asks for it.

use poem::handler;
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::body::Json;
use super::error::ApiError;
use super::routes::{Routes, get};
use super::{State, admins, engines, health, hosts, inbounds, metrics, nodes, pages, services, subscription, users};

#[derive(OpenApi)]
#[openapi(
    info(title = "Sarban", description = "A panel for fleets of proxy servers."),
    paths(openapi_json),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct Doc;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let flow = Flow::Password(Password::new("/api/admins/token", Scopes::new()));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::OAuth2(OAuth2::new([flow])));
    }
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/openapi.json", get(openapi_json))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "System", security(()),
    responses((status = 200, description = "OpenAPI 3.1"), (status = 404, description = "Not switched on")))]
#[handler]
fn openapi_json(state: &State) -> Result<Json<utoipa::openapi::OpenApi>, ApiError> {
    if state.options.http.docs { Ok(Json(whole())) } else { Err(ApiError::not_found("The documentation")) }
}

/// What every resource says of itself.
fn whole() -> utoipa::openapi::OpenApi {
    [
        admins::Doc::openapi(),
        engines::Doc::openapi(),
        health::Doc::openapi(),
        hosts::Doc::openapi(),
        inbounds::Doc::openapi(),
        metrics::Doc::openapi(),
        nodes::Doc::openapi(),
        pages::Doc::openapi(),
        services::Doc::openapi(),
        subscription::Doc::openapi(),
        users::Doc::openapi(),
    ]
    .into_iter()
    .fold(Doc::openapi(), utoipa::openapi::OpenApi::merge_from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// `GET /api/users/{username}` for each operation of the document.
    fn described(document: &Value) -> BTreeSet<String> {
        let paths = document["paths"].as_object().expect("paths").iter();
        paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("methods").keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = serde_json::to_value(whole()).expect("JSON");
        let registered: BTreeSet<String> = super::super::all_routes()
            .registered()
            .iter()
            .map(|(method, path)| {
                let parts = path.split('/').map(|part| match part.strip_prefix(':') {
                    Some(name) => format!("{{{name}}}"),
                    None => part.to_owned(),
                });
                format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
            })
            .collect();
        let described = described(&document);
        assert_eq!(described.difference(&registered).collect::<Vec<_>>(), Vec::<&String>::new(), "without a route");
        assert_eq!(registered.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(whole()).expect("JSON");
        let text = document.to_string();
        let mut dangling = BTreeSet::new();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            if document["components"]["schemas"].get(name).is_none() {
                dangling.insert(name.to_owned());
            }
        }
        assert_eq!(dangling, BTreeSet::new());
    }
}
