//! How routes are registered, so that the contract's 404s, 405s and redirects hold for each of them.

use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, EndpointExt, FromRequest, IntoEndpoint, Request, Response, Route};

use super::client::Client;
use super::error::ApiError;
use super::query::FixedParam;

/// The routes of a resource, or of all.
#[derive(Default)]
pub struct Routes {
    route: Route,
    registered: Vec<(Method, String)>,
}

/// The handlers of one path, by method. An unknown method is a 405.
#[derive(Default)]
pub struct Methods(Vec<(Method, BoxEndpoint<'static>)>);

/// Starts with a GET.
pub fn get<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().get(endpoint)
}

/// Starts with a POST.
pub fn post<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().post(endpoint)
}

/// Starts with a PUT.
pub fn put<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().put(endpoint)
}

/// Starts with a DELETE.
pub fn delete<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().delete(endpoint)
}

impl Methods {
    /// And a GET.
    #[must_use]
    pub fn get<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::GET, endpoint)
    }

    /// And a POST.
    #[must_use]
    pub fn post<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::POST, endpoint)
    }

    /// And a PUT.
    #[must_use]
    pub fn put<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::PUT, endpoint)
    }

    /// And a DELETE.
    #[must_use]
    pub fn delete<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::DELETE, endpoint)
    }

    fn on<E: IntoEndpoint<Endpoint: 'static>>(mut self, method: Method, endpoint: E) -> Self {
        self.0.push((method, endpoint.into_endpoint().map_to_response().boxed()));
        self
    }

    /// And those of `others` for which there is none yet.
    fn or(mut self, others: Self) -> Self {
        for (method, endpoint) in others.0 {
            if !self.0.iter().any(|(known, _)| *known == method) {
                self.0.push((method, endpoint));
            }
        }
        self
    }

    /// What the `Allow` header of a 405 says.
    fn allow(&self) -> String {
        self.0.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Endpoint for Methods {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if let Some((_, endpoint)) = self.0.iter().find(|(method, _)| method == request.method()) {
            return endpoint.call(request).await;
        }
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "This path does not know the method");
        Err(match HeaderValue::try_from(self.allow()) {
            Ok(allow) => error.with_header(header::ALLOW, allow).into(),
            Err(_) => error.into(),
        })
    }
}

impl Routes {
    /// One path, such as `/api/users/:username`. With a slash at its end it redirects to itself without.
    #[must_use]
    pub fn at(self, path: &str, methods: Methods) -> Self {
        self.registering(path, &methods).add(path, methods)
    }

    /// A path with a fixed last part beside one that ends with a parameter: `/api/users/expired` beside
    /// `/api/users/:username`. After its own methods it serves `others`, all methods of its neighbour: to those it is a
    /// user called `expired`.
    #[must_use]
    pub fn beside(self, path: &'static str, value: &'static str, own: Methods, others: Methods) -> Self {
        let Some((parent, name)) = path.rsplit_once("/:") else { return self.at(path, own) };
        let path = format!("{parent}/{value}");
        self.registering(&path, &own).add(&path, own.or(others).data(FixedParam { name, value }))
    }

    /// A path that ends with a slash, such as `/dashboard/`; without it, it redirects to itself with one. Its methods
    /// are not [`Self::registered`]: its place is an operator's, and not a part of the API.
    #[must_use]
    pub fn folder(mut self, path: &str, methods: Methods) -> Self {
        self.route = self.route.at(path, methods).at(path.trim_end_matches('/'), poem::endpoint::make(with_slash));
        self
    }

    /// A path that the OpenAPI document can't describe.
    #[must_use]
    pub fn undescribed(self, path: &str, methods: Methods) -> Self {
        self.add(path, methods)
    }

    /// And all of these.
    #[must_use]
    pub fn and(self, more: fn(Self) -> Self) -> Self {
        more(self)
    }

    /// Every method of every path (of fixed paths: their own methods): what the OpenAPI document must describe.
    pub fn registered(&self) -> &[(Method, String)] {
        &self.registered
    }

    pub(in crate::api) fn into_endpoint(self) -> impl Endpoint<Output = Response> {
        self.route
    }

    fn registering(mut self, path: &str, methods: &Methods) -> Self {
        self.registered.extend(methods.0.iter().map(|(method, _)| (method.clone(), path.to_owned())));
        self
    }

    fn add(mut self, path: &str, endpoint: impl Endpoint<Output = Response> + 'static) -> Self {
        self.route = self.route.at(path, endpoint);
        if path != "/" {
            self.route = self.route.at(format!("{path}/"), poem::endpoint::make(without_slash));
        }
        self
    }
}

/// 307 to the same address without the slash at the end of its path.
async fn without_slash(request: Request) -> poem::Result<Response> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    redirect(request, path).await
}

/// 307 to the same address with a slash at the end of its path.
async fn with_slash(request: Request) -> poem::Result<Response> {
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
        .header(header::LOCATION, client.url(&format!("{path}{query}")))
        .finish())
}
