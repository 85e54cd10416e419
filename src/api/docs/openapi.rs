//! `/openapi.json`: the OpenAPI document, served if `DOCS` is on. The responses that are common to many operations are
//! added here.

use poem::handler;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi};

use super::require_docs;
use crate::api::admins::sign_in;
use crate::api::backlog;
use crate::api::http::body::Json;
use crate::api::http::error::{ApiError, ErrorBody, WrongFields};
use crate::api::http::routes::{Routes, get};
use crate::api::nodes::engines;
use crate::api::operations::Need;
use crate::api::state::State;
use crate::api::users::{diagnosis, node_status, subscription as user_subscription};
use crate::api::{
    admins, api_tokens, audit, cluster, docs, edge, events, health, home, hosts, inbounds, metrics, nodes,
    notifications, roles, saved_views, second_factor, services, sessions, settings, setup, stats, subscription, usage,
    users,
};
use crate::domain::rights::Extent;

#[derive(OpenApi)]
#[openapi(
    info(title = "Sarban", description = "A panel for fleets of proxy servers."),
    paths(openapi_json),
    components(schemas(ErrorBody, WrongFields)),
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

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/openapi.json", get(openapi_json))
}

/// Returns the OpenAPI document of the API. Available if `DOCS` is on.
#[utoipa::path(get, path = "/openapi.json", tag = "Documentation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object),
              (status = 404, description = "The documentation is off: DOCS is not set")))]
#[handler]
fn openapi_json(state: &State) -> Result<Json<utoipa::openapi::OpenApi>, ApiError> {
    require_docs(state)?;
    Ok(Json(document()))
}

/// Builds the document from the parts of all resources.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = [
        admins::Doc::openapi(),
        audit::Doc::openapi(),
        admins::owner::Doc::openapi(),
        admins::quota::Doc::openapi(),
        api_tokens::Doc::openapi(),
        cluster::Doc::openapi(),
        events::Doc::openapi(),
        docs::Doc::openapi(),
        edge::Doc::openapi(),
        engines::Doc::openapi(),
        health::Doc::openapi(),
        home::Doc::openapi(),
        hosts::Doc::openapi(),
        hosts::preview::Doc::openapi(),
        inbounds::Doc::openapi(),
        metrics::Doc::openapi(),
        nodes::Doc::openapi(),
        nodes::statistics::Doc::openapi(),
        nodes::sync::Doc::openapi(),
        notifications::Doc::openapi(),
        roles::Doc::openapi(),
        second_factor::Doc::openapi(),
        second_factor::passkeys::Doc::openapi(),
        services::Doc::openapi(),
        saved_views::Doc::openapi(),
        sessions::Doc::openapi(),
        settings::Doc::openapi(),
        setup::Doc::openapi(),
        sign_in::Doc::openapi(),
        stats::Doc::openapi(),
        subscription::Doc::openapi(),
        usage::Doc::openapi(),
        diagnosis::Doc::openapi(),
        backlog::Doc::openapi(),
        node_status::Doc::openapi(),
        user_subscription::Doc::openapi(),
        users::Doc::openapi(),
    ]
    .into_iter()
    .fold(Doc::openapi(), utoipa::openapi::OpenApi::merge_from);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            set_id(operation);
            add_need(operation, Need::of_operation(&format!("{method} {path}")));
            add_error_responses(operation);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    let methods = [("GET", get), ("POST", post), ("PUT", put), ("PATCH", patch), ("DELETE", delete)];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds the rights that an operation needs to its description.
fn add_need(operation: &mut Operation, need: Need) {
    let rights: Vec<String> = need
        .rights()
        .map(|(scope, extent)| match extent {
            Extent::Own => format!("`{scope}`, which may be for one's own only"),
            _ => format!("`{scope}` for all"),
        })
        .collect();
    if rights.is_empty() {
        return;
    }
    let need = format!("Needs the right {}.", rights.join(" and "));
    operation.description = Some(match operation.description.take().filter(|text| !text.is_empty()) {
        Some(text) => format!("{text}\n\n{need}"),
        None => need,
    });
}

/// Prefixes the operation's id, which utoipa takes from its handler, with its tag: `list` of User becomes `user_list`.
fn set_id(operation: &mut Operation) {
    if let (Some(tag), Some(id)) = (operation.tags.as_ref().and_then(|tags| tags.first()), &operation.operation_id) {
        operation.operation_id = Some(format!("{}_{id}", tag.to_lowercase()));
    }
}

/// Adds the error responses of the boundary and the extractors, and a body to each error response that has none.
fn add_error_responses(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let is_checked = has_body || operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let errors = [
        ("400", "The body is malformed", has_body),
        ("401", "Missing or invalid token", operation.security.is_none()),
        ("403", "The admin lacks the right", operation.security.is_none()),
        ("408", "The body arrived too slowly", has_body),
        ("413", "The body is larger than the operation accepts", has_body),
        ("422", "Invalid fields", is_checked),
        ("503", "The database is unreachable, or the panel is overloaded or read-only", true),
    ];
    let responses = &mut operation.responses.responses;
    for (status, description, _) in errors.into_iter().filter(|(_, _, applies)| *applies) {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::new(description)));
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if !status.starts_with('2') && response.content.is_empty() {
            let body = Ref::from_schema_name(if status == "422" { "WrongFields" } else { "Error" });
            response.content.insert("application/json".to_owned(), RefOr::T(Content::new(Some(body))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Each operation of the document, with its name such as `GET /api/users/{username}`.
    fn described(document: &Value) -> Vec<(String, &Value)> {
        let paths = document["paths"].as_object().expect("paths").iter();
        paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("methods").iter();
                methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
            })
            .collect()
    }

    #[test]
    fn operation_ids_are_unique() {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut seen = BTreeSet::new();
        for (name, operation) in described(&document) {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(seen.insert(id.clone()), "{name}: another operation is {id}, too");
        }
    }

    #[test]
    fn every_schema_reference_resolves() {
        let document = serde_json::to_value(document()).expect("JSON");
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

    #[test]
    fn operations_describe_their_parameters_and_responses() {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut missing = Vec::new();
        for (name, operation) in described(&document) {
            let says = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
            let mut expect = |good: bool, what: &str| {
                if !good {
                    missing.push(format!("{name}: {what}"));
                }
            };
            expect(says(&operation["summary"]), "no doc comment");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let named: BTreeSet<&str> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
            for part in name.split('{').skip(1) {
                let parameter = part.split('}').next().unwrap_or_default();
                expect(named.contains(parameter), &format!("the path's {parameter} is not described"));
            }
            for parameter in &parameters {
                let described = says(&parameter["description"]) || says(&parameter["schema"]["description"]);
                expect(described, &format!("{} is not described", parameter["name"]));
            }
            let answers = operation["responses"].as_object().expect("responses");
            expect(answers.keys().any(|status| status.starts_with('2')), "no success response");
            for (status, answer) in answers {
                expect(answer.get("content").is_some(), &format!("no body for {status}"));
            }
            expect(operation.get("security").is_some() || answers.contains_key("401"), "needs a token but has no 401");
        }
        assert_eq!(missing, Vec::<String>::new());
    }
}
