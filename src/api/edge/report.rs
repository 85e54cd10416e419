//! `POST /api/edge/report`: an edge reports itself, and the fetches that it served.

use deserr::Deserr;
use poem::handler;
use poem::http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actions::edges::{self, ReportError};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::{LooseBool, LooseInt, LooseIntIn};
use crate::domain::edge::{Batch, Edge, EdgeFetch, EdgeReport, MAX_FETCHES, MAX_NAME};
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::foundation::is_steering;

/// Largest number of users or of fetches in a report.
const MANY: i64 = 1 << 40;

/// The report of an edge.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct EdgeReportBody {
    /// The edge's own id, a UUID, the same after a restart.
    id: String,
    /// Name of its host.
    #[schema(min_length = 1, max_length = 64)]
    host: String,
    /// Version of the program.
    #[schema(max_length = 64)]
    version: String,
    /// When the process started, in unix microseconds.
    #[schema(value_type = i64)]
    started_at: LooseInt,
    /// Users in its copy.
    #[deserr(default = LooseIntIn(0))]
    #[schema(value_type = i64, default = 0, minimum = 0)]
    users: LooseIntIn<0, MANY>,
    /// True once the copy is complete.
    #[deserr(default = LooseBool(false))]
    #[schema(value_type = bool, default = false)]
    is_complete: LooseBool,
    /// Fetches that have not been sent yet.
    #[deserr(default = LooseIntIn(0))]
    #[schema(value_type = i64, default = 0, minimum = 0)]
    waiting_fetches: LooseIntIn<0, MANY>,
    /// True for the last report of an edge that stops: it leaves the list.
    #[deserr(default = LooseBool(false))]
    #[schema(value_type = bool, default = false)]
    is_leaving: LooseBool,
    /// Fetches that the edge served. Null: none.
    #[deserr(default)]
    batch: Option<BatchBody>,
    /// Id of a batch before, whose answer has arrived: it is not sent again, and can be forgotten.
    #[deserr(default)]
    #[schema(required = false)]
    settled_batch: Option<String>,
}

/// The report was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeReportTaken {
    /// True if an edge that started later has reported with the same id within half a minute: the `DATA_DIR` of one was copied to the
    /// other.
    is_id_shared: bool,
}

/// Fetches that count once, however often they are sent.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct BatchBody {
    /// A UUID that the edge made up for these fetches.
    id: String,
    #[schema(max_items = 1000)]
    fetches: Vec<FetchBody>,
}

/// A fetch of a subscription.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct FetchBody {
    /// Id of the user.
    #[schema(value_type = i64)]
    user_id: LooseInt,
    /// Unix microseconds.
    #[schema(value_type = i64)]
    at: LooseInt,
    /// User-Agent of the client.
    #[deserr(default)]
    #[schema(required = false, max_length = 512)]
    user_agent: String,
}

/// Takes the report of an edge.
///
/// Edges report every five seconds. A batch that was taken before changes nothing.
#[utoipa::path(post, path = "/api/edge/report", tag = "Edge", request_body = EdgeReportBody,
    responses((status = 200, body = EdgeReportTaken),
              (status = 429, description = "As many edges have reported lately as a cluster can have; Retry-After has the number of seconds to wait")))]
#[handler]
pub(super) async fn report(
    By(panel): By,
    _: CurrentAdmin,
    Json(body): Json<EdgeReportBody>,
) -> Result<Json<EdgeReportTaken>, ApiError> {
    let is_leaving = body.is_leaving.0;
    let settled = body.settled_batch.as_deref().map(|id| uuid("settled_batch", id)).transpose()?;
    let (edge, batch) = body.read()?;
    let is_id_shared = edges::report(&panel, &edge, batch.as_ref(), settled).await.map_err(refused)?;
    if is_leaving {
        edges::leave(&panel, edge.id).await?;
    }
    Ok(Json(EdgeReportTaken { is_id_shared }))
}

fn refused(error: ReportError) -> ApiError {
    match error {
        ReportError::Most => ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("30")),
        ReportError::Store(error) => error.into(),
    }
}

impl EdgeReportBody {
    fn read(self) -> Result<(Edge, Option<Batch>), FieldErrors> {
        let edge = Edge {
            id: uuid("id", &self.id)?,
            host: name("host", self.host)?,
            version: name("version", self.version)?,
            started_at: Moment::from_micros(self.started_at.0),
            report: EdgeReport {
                users: self.users.0,
                is_complete: self.is_complete.0,
                waiting_fetches: self.waiting_fetches.0,
            },
        };
        Ok((edge, self.batch.map(BatchBody::read).transpose()?))
    }
}

impl BatchBody {
    fn read(self) -> Result<Batch, FieldErrors> {
        if self.fetches.len() > MAX_FETCHES {
            return Err(FieldErrors::one("batch.fetches", format!("must have at most {MAX_FETCHES} fetches")));
        }
        let fetch = |it: FetchBody| EdgeFetch {
            user: UserId(it.user_id.0),
            at: Moment::from_micros(it.at.0),
            user_agent: it.user_agent,
        };
        Ok(Batch { id: uuid("batch.id", &self.id)?, fetches: self.fetches.into_iter().map(fetch).collect() })
    }
}

fn uuid(field: &str, text: &str) -> Result<Uuid, FieldErrors> {
    Uuid::try_parse(text).map_err(|_| FieldErrors::one(field, "must be a UUID"))
}

fn name(field: &str, text: String) -> Result<String, FieldErrors> {
    if text.trim().is_empty() || text.chars().count() > MAX_NAME || text.contains(is_steering) {
        let wrong = format!("must have 1 to {MAX_NAME} characters, no control characters or marks of text direction");
        return Err(FieldErrors::one(field, wrong));
    }
    Ok(text)
}
