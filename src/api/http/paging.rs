//! Paged lists: the page parameters, and pages with links to the others.

use deserr::Deserr;
use poem::{FromRequest, Request, RequestBody};
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::field_errors::FieldErrors;
use super::input::{Input, InputError, extract};
use super::loose::LooseIntIn;
use super::query::{Params, Query};

/// The requested page: `page` from 1, `size` from 1 to 100. Combine it with a query by [`super::input::Inputs`].
#[derive(Clone, Debug)]
pub struct Paging {
    page: i64,
    size: i64,
    /// Path and query of the request as sent, for the links.
    path: String,
    query: String,
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// Items of this page.
    pub items: Vec<T>,
    /// Total number of items on all pages.
    pub total: i64,
    /// Page number, from 1.
    pub page: i64,
    /// Maximum number of items per page.
    pub size: i64,
    /// Number of pages; 0 if there are no items.
    pub pages: i64,
    /// Links to other pages. Absent from lists below `/api/admins`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Links>,
}

/// Relative links to other pages. All other query parameters are preserved.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Links {
    /// First page.
    pub first: String,
    /// Last page.
    pub last: String,
    /// This request.
    #[serde(rename = "self")]
    pub this: String,
    /// Next page; null on the last page.
    pub next: Option<String>,
    /// Previous page; null on the first page.
    pub prev: Option<String>,
}

#[derive(Deserr)]
#[deserr(error = FieldErrors)]
struct PageParams {
    #[deserr(default = LooseIntIn(1))]
    page: LooseIntIn<1, { i64::MAX }>,
    #[deserr(default = LooseIntIn(50))]
    size: LooseIntIn<1, 100>,
}

impl Params for PageParams {}

impl Input for Paging {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self, InputError> {
        let Query(params) = Query::<PageParams>::read(request, body).await?;
        let (page, size) = (params.page.0, params.size.0);
        let uri = request.uri();
        Ok(Self { page, size, path: uri.path().to_owned(), query: uri.query().unwrap_or_default().to_owned() })
    }
}

impl utoipa::IntoParams for Paging {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let number = |name: &str, description: &str, default: i64, maximum: Option<i64>| {
            let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(maximum);
            let schema = schema.default(Some(default.into()));
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.description(Some(description)).schema(Some(schema)).build()
        };
        vec![
            number("page", "Page number, from 1.", 1, None),
            number("size", "Maximum number of items per page.", 50, Some(100)),
        ]
    }
}

impl<'a> FromRequest<'a> for Paging {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

impl Paging {
    /// Number of rows to read.
    pub const fn limit(&self) -> i64 {
        self.size
    }

    /// Number of rows to skip.
    pub const fn offset(&self) -> i64 {
        (self.page - 1).saturating_mul(self.size)
    }

    /// A page with links.
    pub fn page<T>(&self, items: Vec<T>, total: i64) -> Page<T> {
        let mut page = self.page_without_links(items, total);
        page.links = Some(self.links(page.pages));
        page
    }

    /// A page without links, for the lists below `/api/admins`.
    pub fn page_without_links<T>(&self, items: Vec<T>, total: i64) -> Page<T> {
        let pages = total.max(0).saturating_add(self.size - 1) / self.size;
        Page { items, total, page: self.page, size: self.size, pages, links: None }
    }

    fn links(&self, pages: i64) -> Links {
        Links {
            first: self.link(1),
            last: self.link(pages.max(1)),
            this: if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) },
            next: (self.page < pages).then(|| self.link(self.page + 1)),
            prev: (self.page > 1).then(|| self.link(self.page - 1)),
        }
    }

    /// The request's path and query with another page: the other parameters as sent, then `page`.
    fn link(&self, page: i64) -> String {
        let others = self.query.split('&').filter(|part| !part.is_empty() && part.split('=').next() != Some("page"));
        let query: Vec<&str> = others.collect();
        let separator = if query.is_empty() { "" } else { "&" };
        format!("{}?{}{separator}page={page}", self.path, query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn paging(uri: &str) -> Result<Paging, Vec<String>> {
        let request = Request::builder().uri_str(uri).finish();
        match Paging::read(&request, &mut RequestBody::default()).await {
            Ok(paging) => Ok(paging),
            Err(InputError::Fields(fields)) => Err(fields.to_map().into_keys().collect()),
            Err(InputError::Final(error)) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn links_preserve_the_other_parameters() {
        let paging = paging("/api/users?page=3&size=2&username=a%20b").await.expect("right");
        assert_eq!((paging.limit(), paging.offset()), (2, 4));
        let page = paging.page(vec![1, 2], 7);
        assert_eq!((page.total, page.page, page.size, page.pages), (7, 3, 2, 4));
        let links = page.links.expect("links");
        assert_eq!(links.first, "/api/users?size=2&username=a%20b&page=1");
        assert_eq!(links.last, "/api/users?size=2&username=a%20b&page=4");
        assert_eq!(links.this, "/api/users?page=3&size=2&username=a%20b");
        assert_eq!(links.next.as_deref(), Some("/api/users?size=2&username=a%20b&page=4"));
        assert_eq!(links.prev.as_deref(), Some("/api/users?size=2&username=a%20b&page=2"));
    }

    #[tokio::test]
    async fn links_of_an_empty_list_and_past_the_end_stay_within_the_pages() {
        let first = paging("/api/services").await.expect("right").page(Vec::<i64>::new(), 0);
        assert_eq!(first.pages, 0);
        let expected = Links {
            first: "/api/services?page=1".to_owned(),
            last: "/api/services?page=1".to_owned(),
            this: "/api/services".to_owned(),
            next: None,
            prev: None,
        };
        assert_eq!(first.links, Some(expected));
        let past = paging("/x?page=100&size=2").await.expect("right").page(Vec::<i64>::new(), 18);
        assert_eq!(past.pages, 9);
        let links = past.links.expect("links");
        assert_eq!((links.next, links.prev.as_deref()), (None, Some("/x?size=2&page=99")));
        let far = paging("/x?page=9223372036854775807&size=100").await.expect("right");
        assert_eq!(far.offset(), i64::MAX);
    }

    #[tokio::test]
    async fn page_and_size_out_of_range_are_refused() {
        assert_eq!(paging("/x?page=1.0").await.expect("right").offset(), 0);
        for (query, expected) in [
            ("page=0&size=0", vec!["page", "size"]),
            ("size=101", vec!["size"]),
            ("page=-1", vec!["page"]),
            ("page=", vec!["page"]),
            ("page=99999999999999999999&size=abc", vec!["page", "size"]),
        ] {
            assert_eq!(paging(&format!("/x?{query}")).await.expect_err(query), expected);
        }
    }
}
