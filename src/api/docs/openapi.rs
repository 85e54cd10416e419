//! `/openapi.json`: the API described for machines, when `DOCS` asks for it. What every operation may answer besides its
//! own is added here, from what it is like.

use poem::handler;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Flow, OAuth2, Password, Scopes, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi};

use super::switched_on;
use crate::api::admins::sign_in;
use crate::api::http::body::Json;
use crate::api::http::error::{ApiError, ErrorBody, WrongFields};
use crate::api::http::routes::{Routes, get};
use crate::api::nodes::engines;
use crate::api::users::node_status;
use crate::api::{
    State, admins, cluster, docs, health, home, hosts, inbounds, metrics, nodes, notifications, services, settings,
    stats, subscription, usage, users,
};

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

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "Documentation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object),
              (status = 404, description = "Not switched on")))]
#[handler]
fn openapi_json(state: &State) -> Result<Json<utoipa::openapi::OpenApi>, ApiError> {
    switched_on(state)?;
    Ok(Json(document()))
}

/// The whole document: what every resource says of itself, and what is the same for all.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = [
        admins::Doc::openapi(),
        cluster::Doc::openapi(),
        docs::Doc::openapi(),
        engines::Doc::openapi(),
        health::Doc::openapi(),
        home::Doc::openapi(),
        hosts::Doc::openapi(),
        inbounds::Doc::openapi(),
        metrics::Doc::openapi(),
        nodes::Doc::openapi(),
        notifications::Doc::openapi(),
        services::Doc::openapi(),
        settings::Doc::openapi(),
        sign_in::Doc::openapi(),
        stats::Doc::openapi(),
        subscription::Doc::openapi(),
        usage::Doc::openapi(),
        node_status::Doc::openapi(),
        users::Doc::openapi(),
    ]
    .into_iter()
    .fold(Doc::openapi(), utoipa::openapi::OpenApi::merge_from);
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        name(operation);
        add_refusals(operation);
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// Ids must be unique, and utoipa takes the handlers' names: `list` of the tag User becomes `user_list`.
fn name(operation: &mut Operation) {
    if let (Some(tag), Some(id)) = (operation.tags.as_ref().and_then(|tags| tags.first()), &operation.operation_id) {
        operation.operation_id = Some(format!("{}_{id}", tag.to_lowercase()));
    }
}

/// How the boundary and the extractors refuse requests, and the bodies of all refusals that say nothing of theirs.
fn add_refusals(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let is_checked = has_body || operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let refusals = [
        ("400", "The body can't be read", has_body),
        ("401", "Not signed in", operation.security.is_none()),
        ("403", "Signed in, but without the right", operation.security.is_none()),
        ("408", "The body took longer than a minute", has_body),
        ("413", "The body is larger than 4 MiB", has_body),
        ("422", "Fields are wrong", is_checked),
        ("503", "The database can't be reached, or the panel is read-only", true),
    ];
    let responses = &mut operation.responses.responses;
    for (status, description, _) in refusals.into_iter().filter(|(_, _, applies)| *applies) {
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

    /// `GET /api/users/{username}` and its description for each operation of the document.
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
    fn every_route_is_described_and_nothing_else() {
        let document = serde_json::to_value(document()).expect("JSON");
        let registered: BTreeSet<String> = crate::api::all_routes()
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
        let described: BTreeSet<String> = described(&document).into_iter().map(|(name, _)| name).collect();
        assert_eq!(described.difference(&registered).collect::<Vec<_>>(), Vec::<&String>::new(), "without a route");
        assert_eq!(registered.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn ids_are_unique() {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut seen = BTreeSet::new();
        for (name, operation) in described(&document) {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(seen.insert(id.clone()), "{name}: another operation is {id}, too");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
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
    fn operations_say_what_they_do_take_and_answer() {
        let document = serde_json::to_value(document()).expect("JSON");
        let mut lacking = Vec::new();
        for (name, operation) in described(&document) {
            let says = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
            let mut expect = |good: bool, what: &str| {
                if !good {
                    lacking.push(format!("{name}: {what}"));
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
                expect(described, &format!("no word on {}", parameter["name"]));
            }
            let answers = operation["responses"].as_object().expect("responses");
            expect(answers.keys().any(|status| status.starts_with('2')), "no good answer");
            for (status, answer) in answers {
                expect(answer.get("content").is_some(), &format!("no body for {status}"));
            }
            expect(operation.get("security").is_some() || answers.contains_key("401"), "a token is needed, and no 401");
        }
        assert_eq!(lacking, Vec::<String>::new());
    }
}
