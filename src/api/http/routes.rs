//! Registration of routes, so that 404, 405, redirects and admission are the same for all of them.

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, Route};
use tokio::time::Instant;

use super::admission::Class;
use super::caller::Caller;
use super::error::ApiError;
use super::identify;
use super::query::LiteralParam;
use super::receive::{self, NotReceived, Pace, receive};
use super::secret_reads::recorded;
use super::slashes::{with_slash, without_slash};
use crate::api::operations::Need;
use crate::api::state::State;

/// Rights that were read this long ago are read again.
const RIGHTS_LAST: Duration = Duration::from_secs(1);

/// The routes of a resource, or of all resources.
#[derive(Default)]
pub struct Routes {
    route: Route,
    registered: Vec<(Method, String)>,
    limits: Vec<(Method, String, Limits)>,
}

/// The handlers of one path, by method. HEAD is answered like GET, and other methods with 405.
#[derive(Default)]
pub struct Methods(Vec<Handler>);

struct Handler {
    method: Method,
    endpoint: BoxEndpoint<'static>,
    limits: Limits,
}

/// The limits of a handler, which are applied before it is called.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    class: Class,
    /// The scope that an API token must have, and the right of the admin.
    pub need: Need,
    /// A request waits for a permit.
    pub needs_permit: bool,
    /// Bytes of the body, at most.
    pub body: usize,
    /// Clients who have not signed in may send a body.
    pub before_sign_in: bool,
}

/// Starts with a GET handler.
pub fn get<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().get(endpoint)
}

/// Starts with a POST handler.
pub fn post<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().post(endpoint)
}

/// Starts with a PUT handler.
pub fn put<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().put(endpoint)
}

/// Starts with a DELETE handler.
pub fn delete<E: IntoEndpoint<Endpoint: 'static>>(endpoint: E) -> Methods {
    Methods::default().delete(endpoint)
}

impl Methods {
    /// Adds a GET handler.
    #[must_use]
    pub fn get<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::GET, endpoint)
    }

    /// Adds a POST handler.
    #[must_use]
    pub fn post<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::POST, endpoint)
    }

    /// Adds a PUT handler.
    #[must_use]
    pub fn put<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::PUT, endpoint)
    }

    /// Adds a PATCH handler.
    #[must_use]
    pub fn patch<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::PATCH, endpoint)
    }

    /// Adds a DELETE handler.
    #[must_use]
    pub fn delete<E: IntoEndpoint<Endpoint: 'static>>(self, endpoint: E) -> Self {
        self.on(Method::DELETE, endpoint)
    }

    /// Exempts these handlers from admission. For probes, which must be answered under any load, and for requests that
    /// mostly wait: for a node, for a change, or for their turn to hash a password.
    #[must_use]
    pub fn without_permit(self) -> Self {
        self.limit(|limits| limits.needs_permit = false)
    }

    /// Sets another limit than the usual one, in bytes, for those of these handlers that take a body.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        self.limit(|limits| limits.body = if limits.body > 0 { bytes } else { 0 })
    }

    /// Answers everybody alike: a token is not looked at.
    #[must_use]
    pub fn for_everybody(self) -> Self {
        self.limit(|limits| limits.need = Need::Public)
    }

    /// Accepts bodies of clients who have not signed in, up to a small size.
    #[must_use]
    pub fn before_sign_in(self) -> Self {
        self.limit(|limits| (limits.before_sign_in, limits.body) = (true, receive::BEFORE_SIGN_IN))
    }

    /// Gives these handlers the permits of subscriptions.
    #[must_use]
    pub fn for_subscribers(self) -> Self {
        self.limit(|limits| limits.class = Class::Subscription)
    }

    /// Sets the scopes and rights that the operations of this path need, unless everybody may ask for them.
    fn at(mut self, path: &str) -> Self {
        let at = |Handler { method, endpoint, limits }: Handler| {
            let need = match limits.need {
                Need::Unknown => Need::of(method.as_str(), path),
                need => need,
            };
            Handler { endpoint: recorded(endpoint, &method, path), limits: Limits { need, ..limits }, method }
        };
        self.0 = self.0.into_iter().map(at).collect();
        self
    }

    fn limit(mut self, set: impl Fn(&mut Limits)) -> Self {
        self.0.iter_mut().for_each(|handler| set(&mut handler.limits));
        self
    }

    fn on<E: IntoEndpoint<Endpoint: 'static>>(mut self, method: Method, endpoint: E) -> Self {
        let endpoint = endpoint.into_endpoint().map_to_response().boxed();
        let body = if matches!(method, Method::POST | Method::PUT | Method::PATCH) { receive::USUAL } else { 0 };
        let limits = Limits { class: Class::Api, need: Need::Unknown, needs_permit: true, body, before_sign_in: false };
        self.0.push(Handler { method, endpoint, limits });
        self
    }

    /// Adds the handlers of `others` for the methods that have none yet.
    fn or(mut self, others: Self) -> Self {
        for handler in others.0 {
            if !self.0.iter().any(|known| known.method == handler.method) {
                self.0.push(handler);
            }
        }
        self
    }

    /// The `Allow` header of a 405.
    fn allow(&self) -> String {
        let methods = self.0.iter().map(|handler| match handler.method {
            Method::GET => "GET, HEAD",
            ref method => method.as_str(),
        });
        methods.collect::<Vec<_>>().join(", ")
    }

    fn not_allowed(&self) -> ApiError {
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
        match HeaderValue::try_from(self.allow()) {
            Ok(allow) => error.with_header(header::ALLOW, allow),
            Err(_) => error,
        }
    }
}

impl Endpoint for Methods {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        // The handlers of GET answer HEAD, too; the boundary removes the body.
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let handler = self.0.iter().find(|handler| handler.method == method);
        let handler = handler.ok_or_else(|| self.not_allowed())?;
        handler.call(request).await
    }
}

impl Handler {
    /// Counts the request for its caller, receives its body, waits for a permit and handles it. Probes and the like, which
    /// have no body and need no permit, are handled at once.
    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let Limits { class, need, needs_permit, body, before_sign_in } = self.limits;
        let is_at_once = !needs_permit && body == 0;
        if is_at_once && need == Need::Public {
            return self.endpoint.call(request).await;
        }
        let state: Arc<State> = Arc::clone(State::of(&request)?);
        let caller = match class {
            Class::Api => {
                let (caller, signed_in) = identify::caller(&request, &state).await?;
                if let Some(signed_in) = signed_in {
                    signed_in.check(need)?;
                    request.set_data(signed_in);
                }
                if is_at_once {
                    return self.endpoint.call(request).await;
                }
                caller
            }
            Class::Subscription => Caller::stranger(identify::address(&request, &state)),
        };
        let mut entered = state.admission.enter(class, &caller).await?;
        let mut memory = state.body_memory.reservation(&caller);
        if body > 0 {
            let began = Instant::now();
            let received = match receive::limit(body, before_sign_in, caller.rank) {
                Some(limit) => {
                    let body = request.take_body();
                    receive(body, request.headers(), limit, &mut memory, Pace::default()).await
                }
                None => Err(NotReceived::NotSignedIn),
            };
            match received {
                Ok(bytes) => request.set_body(bytes),
                Err(reason) => request.set_data(reason),
            }
            if class == Class::Api && began.elapsed() >= RIGHTS_LAST {
                // The admin may have been changed while the body arrived.
                if let (_, Some(signed_in)) = identify::caller(&request, &state).await? {
                    signed_in.check(need)?;
                    request.set_data(signed_in);
                }
            }
        }
        if !needs_permit {
            // These requests mostly wait: they count for their caller only while they are received.
            entered.clear();
            return self.endpoint.call(request).await;
        }
        let _permit = state.admission.admit(class).await?;
        self.endpoint.call(request).await
    }
}

impl Routes {
    /// Adds a path, such as `/api/users/:username`. With a trailing slash it redirects to the path without.
    #[must_use]
    pub fn at(self, path: &str, methods: Methods) -> Self {
        let methods = methods.at(path);
        self.registering(path, &methods).add(path, methods)
    }

    /// Adds the path that has the literal `value` in place of the last parameter of `path`: `/api/users/expired` next to
    /// `/api/users/:username`. It serves the methods of `literal`, and then those of `param` with `value` as the parameter.
    #[must_use]
    pub fn at_literal_or_param(
        self,
        path: &'static str,
        value: &'static str,
        literal: Methods,
        param: Methods,
    ) -> Self {
        let Some((parent, name)) = path.rsplit_once("/:") else { return self.at(path, literal) };
        let param = param.at(path);
        let path = format!("{parent}/{value}");
        let literal = literal.at(&path);
        self.registering(&path, &literal).add(&path, literal.or(param).data(LiteralParam { name, value }))
    }

    /// Adds a path that ends with a slash, such as `/dashboard/`. Without the slash it redirects to the path with it. The
    /// path is a setting and no part of the API, so it is not [`Self::registered`].
    #[must_use]
    pub fn folder(mut self, path: &str, methods: Methods) -> Self {
        self.route = self.route.at(path, methods).at(path.trim_end_matches('/'), poem::endpoint::make(with_slash));
        self
    }

    /// Adds a path that OpenAPI can't describe.
    #[must_use]
    pub fn hidden(self, path: &str, methods: Methods) -> Self {
        let methods = methods.at(path);
        self.recording_limits(path, &methods).add(path, methods)
    }

    /// Adds the routes of a resource.
    #[must_use]
    pub fn and(self, more: fn(Self) -> Self) -> Self {
        more(self)
    }

    /// Method and path of every route that the OpenAPI document must describe.
    pub fn registered(&self) -> &[(Method, String)] {
        &self.registered
    }

    /// Method, path and limits of every route.
    pub fn limits(&self) -> &[(Method, String, Limits)] {
        &self.limits
    }

    pub(in crate::api) fn into_endpoint(self) -> impl Endpoint<Output = Response> {
        self.route
    }

    fn registering(mut self, path: &str, methods: &Methods) -> Self {
        self.registered.extend(methods.0.iter().map(|handler| (handler.method.clone(), path.to_owned())));
        self.recording_limits(path, methods)
    }

    fn recording_limits(mut self, path: &str, methods: &Methods) -> Self {
        let limits = methods.0.iter().map(|handler| (handler.method.clone(), path.to_owned(), handler.limits));
        self.limits.extend(limits);
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
