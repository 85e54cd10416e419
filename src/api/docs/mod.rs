//! `/docs` and `/redoc`: Swagger UI and Redoc, served if `DOCS` is on. Their assets are embedded in the binary, so they
//! need no internet access.

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

const SWAGGER_UI: &str = r#"<!DOCTYPE html>
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
<script src="/docs/swagger-ui-start.js"></script>
</body>
</html>
"#;

const REDOC: &str = r#"<!DOCTYPE html>
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
"#;

/// The pages may load from the panel only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                              worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; \
                              frame-ancestors 'none'";

/// An embedded asset of the pages.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    is_gzip: bool,
}

const ASSETS: [Asset; 4] = [
    Asset {
        name: "swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("swagger-ui-bundle.js.gz"),
        is_gzip: true,
    },
    Asset {
        name: "swagger-ui-start.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("swagger-ui-start.js"),
        is_gzip: false,
    },
    Asset {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        content: include_bytes!("swagger-ui.css.gz"),
        is_gzip: true,
    },
    Asset {
        name: "redoc.standalone.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("redoc.standalone.js.gz"),
        is_gzip: true,
    },
];

/// The path of an asset.
#[derive(Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct AssetPath {
    /// File name.
    asset: String,
}

/// Returns Swagger UI, in which the API can be read and tried. Available if `DOCS` is on.
#[utoipa::path(get, path = "/docs", tag = "Documentation", security(()),
    responses((status = 200, body = String, content_type = "text/html"),
              (status = 404, description = "The documentation is off: DOCS is not set")))]
#[handler]
fn swagger_ui(state: &State) -> Result<Response, ApiError> {
    page(state, SWAGGER_UI)
}

/// Returns the API reference as Redoc. Available if `DOCS` is on.
#[utoipa::path(get, path = "/redoc", tag = "Documentation", security(()),
    responses((status = 200, body = String, content_type = "text/html"),
              (status = 404, description = "The documentation is off: DOCS is not set")))]
#[handler]
fn redoc(state: &State) -> Result<Response, ApiError> {
    page(state, REDOC)
}

/// Returns an asset of the documentation pages. Large ones are always gzip-compressed.
#[utoipa::path(get, path = "/docs/{asset}", tag = "Documentation", security(()), params(AssetPath),
    responses((status = 200, description = "The file",
               content((String = "text/javascript"), (String = "text/css"))),
              (status = 404, description = "No such file, or the documentation is off: DOCS is not set")))]
#[handler]
fn file(state: &State, Path(path): Path<AssetPath>) -> Result<Response, ApiError> {
    require_docs(state)?;
    let asset = ASSETS.iter().find(|asset| asset.name == path.asset);
    let asset = asset.ok_or_else(|| ApiError::not_found("The file"))?;
    let response = Response::builder().content_type(asset.media_type).header(header::CACHE_CONTROL, "max-age=3600");
    let response = if asset.is_gzip { response.header(header::CONTENT_ENCODING, "gzip") } else { response };
    Ok(response.body(Body::from(asset.content)))
}

fn page(state: &State, html: &'static str) -> Result<Response, ApiError> {
    require_docs(state)?;
    Ok(Response::builder()
        .status(StatusCode::OK)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .body(html))
}

pub(in crate::api) fn require_docs(state: &State) -> Result<(), ApiError> {
    if state.options.http.docs { Ok(()) } else { Err(ApiError::not_found("The documentation")) }
}
