//! The dashboard: its page at `DASHBOARD_PATH`, and the files that the page loads, below it.

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Body, Request, Response, handler};

use super::http::error::ApiError;
use super::http::etag;
use super::http::routes::{Routes, get};
use super::state::State;
use crate::dashboard::{self, File};

/// The page may load, run and call what this panel serves, and nothing else. `'self'` covers the engines' logs over
/// websockets too.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                                       frame-ancestors 'none'";

/// For a file that was asked for with its version: the URL's content never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// For the page and for files without a version: the browser asks each time if its copy is current.
const ASK: &str = "no-cache";
/// For a version that this panel does not have, as during an upgrade of several panels: nobody may store the answer as
/// that version.
const NEVER: &str = "no-store";

/// Adds the dashboard at `path`, which begins and ends with a slash.
pub(super) fn routes_at(routes: Routes, path: &str) -> Routes {
    dashboard::names().fold(routes.folder(path, get(serve_page).without_permit().for_everybody()), |routes, name| {
        routes.hidden(&format!("{path}{name}"), get(serve_file).without_permit().for_everybody())
    })
}

#[handler]
fn serve_page(state: &State) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(header::CACHE_CONTROL, ASK)
        .body(dashboard::page(state.options.http.dashboard_path.as_str()))
}

#[handler]
fn serve_file(request: &Request) -> Result<Response, ApiError> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let file = dashboard::file(name).ok_or_else(|| ApiError::not_found("The file"))?;
    Ok(respond(request, file))
}

fn respond(request: &Request, file: File) -> Response {
    let tag = format!("\"{}\"", file.version);
    let asked = request.uri().query().and_then(|query| query.strip_prefix("v="));
    let caching = match asked {
        Some(version) if version == file.version => FOREVER,
        Some(_) => NEVER,
        None => ASK,
    };
    let is_current = etag::is_current(request, &tag);
    let mut response =
        Response::builder().content_type(file.media_type).header(header::CACHE_CONTROL, caching).finish();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if is_current {
        response.set_status(StatusCode::NOT_MODIFIED);
        return response;
    }
    // Every browser takes gzip, also over HTTP, where none takes Brotli.
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.set_body(Body::from(file.gzip));
    response
}
