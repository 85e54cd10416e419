//! Redirects between paths with and without a trailing slash.

use poem::http::{StatusCode, header};
use poem::{FromRequest, Request, Response};

use super::client::Client;

/// Redirects (307) to the path without its trailing slash.
pub(super) async fn without_slash(request: Request) -> poem::Result<Response> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    redirect(request, path).await
}

/// Redirects (307) to the path with a trailing slash.
pub(super) async fn with_slash(request: Request) -> poem::Result<Response> {
    let path = format!("{}/", request.uri().path());
    redirect(request, path).await
}

async fn redirect(request: Request, path: String) -> poem::Result<Response> {
    let (request, mut body) = request.split();
    let client = Client::from_request(&request, &mut body).await?;
    let uri = request.uri();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(header::LOCATION, client.relative_url(&format!("{path}{query}")))
        .finish())
}
