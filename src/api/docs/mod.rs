//! `/docs` and `/redoc`: the OpenAPI document for people, when `DOCS` asks for it. Everything that the pages need is in
//! the program; they load nothing from elsewhere.

pub mod openapi;

use deserr::Deserr;
use poem::http::{StatusCode, header};
use poem::{Body, Response, handler};
use utoipa::{IntoParams, OpenApi};

use super::state::State;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::query::Path;
use crate::api::http::routes::{Routes, get};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(swagger_ui, redoc, file))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/docs", get(swagger_ui)).at("/redoc", get(redoc)).at("/docs/:asset", get(file))
}

const SWAGGER_UI: &str = r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sarban · API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true, persistAuthorization: true })
</script>
</body>
</html>
"##;

const REDOC: &str = r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sarban · API</title>
<link rel="icon" href="data:,">
<style>body { margin: 0; }</style>
</head>
<body>
<redoc spec-url="/openapi.json"></redoc>
<script src="/docs/redoc.standalone.js"></script>
</body>
</html>
"##;

/// What a page may load: only what the panel itself serves.
const ONLY_FROM_HERE: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                              img-src 'self' data:; worker-src 'self' blob:";

/// A file that a page needs.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    gzip: &'static [u8],
}

const ASSETS: [Asset; 3] = [
    Asset {
        name: "swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: include_bytes!("swagger-ui-bundle.js.gz"),
    },
    Asset { name: "swagger-ui.css", media_type: "text/css; charset=utf-8", gzip: include_bytes!("swagger-ui.css.gz") },
    Asset {
        name: "redoc.standalone.js",
        media_type: "text/javascript; charset=utf-8",
        gzip: include_bytes!("redoc.standalone.js.gz"),
    },
];

/// A file in a path.
#[derive(Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct AssetPath {
    /// Its name.
    asset: String,
}

/// The API, to read and to try (Swagger UI).
#[utoipa::path(get, path = "/docs", tag = "Documentation", security(()),
    responses((status = 200, body = String, content_type = "text/html"),
              (status = 404, description = "Not switched on")))]
#[handler]
fn swagger_ui(state: &State) -> Result<Response, ApiError> {
    page(state, SWAGGER_UI)
}

/// The API, to read (Redoc).
#[utoipa::path(get, path = "/redoc", tag = "Documentation", security(()),
    responses((status = 200, body = String, content_type = "text/html"),
              (status = 404, description = "Not switched on")))]
#[handler]
fn redoc(state: &State) -> Result<Response, ApiError> {
    page(state, REDOC)
}

/// What these pages are made of. Compressed, whatever the client asks for.
#[utoipa::path(get, path = "/docs/{asset}", tag = "Documentation", security(()), params(AssetPath),
    responses((status = 200, description = "The file",
               content((String = "text/javascript"), (String = "text/css"))),
              (status = 404, description = "Not switched on, or no such file")))]
#[handler]
fn file(state: &State, Path(at): Path<AssetPath>) -> Result<Response, ApiError> {
    switched_on(state)?;
    let asset = ASSETS.iter().find(|asset| asset.name == at.asset);
    let asset = asset.ok_or_else(|| ApiError::not_found("The file"))?;
    Ok(Response::builder()
        .content_type(asset.media_type)
        .header(header::CONTENT_ENCODING, "gzip")
        .header(header::CACHE_CONTROL, "max-age=3600")
        .body(Body::from(asset.gzip)))
}

fn page(state: &State, html: &'static str) -> Result<Response, ApiError> {
    switched_on(state)?;
    Ok(Response::builder()
        .status(StatusCode::OK)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, ONLY_FROM_HERE)
        .body(html))
}

pub(in crate::api) fn switched_on(state: &State) -> Result<(), ApiError> {
    if state.options.http.docs { Ok(()) } else { Err(ApiError::not_found("The documentation")) }
}
