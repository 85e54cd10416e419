//! `/api/cluster`: members, leader, tasks and their runs; running a task now, and stepping down.

use deserr::Deserr;
use poem::http::StatusCode;
use poem::{IntoResponse, Response, handler};
use serde::Serialize;
use utoipa::openapi::schema::Array;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::back_up;
use super::back_up::BackUpResponse;
use super::cluster_edges::EdgeResponse;
use super::cluster_members::{AddressResponse, MemberResponse, iso, milliseconds};
use super::http::auth::CurrentAdmin;
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::enum_text::EnumText;
use super::http::enum_text::text_list_param;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::paging::{Page, Paging};
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, get, post};
use super::state::State;
use crate::actions::cluster;
use crate::cluster::redis_status::RedisStatus;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::schedule::Task;
use crate::store::cluster::lease;
use crate::store::cluster::lease::Lease;
use crate::store::cluster::members::Member;
use crate::store::cluster::run_history;
use crate::store::cluster::run_history::{LastRun, RunFilter, RunRow, RunState};
use crate::store::{clock, edges, panel_addresses};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(read, list_runs, run_now, step_down))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/cluster", get(read))
        .at("/api/cluster/runs", get(list_runs))
        .at("/api/cluster/step-down", post(step_down))
        .at("/api/cluster/tasks/:name/run", post(run_now))
}

/// The cluster as this process sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterResponse {
    /// `CLUSTER_NAME`.
    cluster: String,
    /// Instance id of the process that answers.
    instance: String,
    /// How the scheduler lease is coordinated: `redis`, or `database` without Redis.
    coordination: &'static str,
    /// Status of Redis: `ok`, `off` or `down`.
    redis: &'static str,
    /// Longest round trip to the database, in milliseconds, with which leadership is kept; null on SQLite.
    supported_round_trip_ms: Option<f64>,
    /// The leader, or null if there is none.
    leader: Option<LeaderResponse>,
    /// The addresses that `{SERVER_IP}` and `{SERVER_IPV6}` mean in hosts without a node of their own that clients can
    /// reach, at most one of each family. Empty: none is known, and such hosts are left out.
    addresses: Vec<AddressResponse>,
    members: Vec<MemberResponse>,
    /// Edges that have reported within a day.
    edges: Vec<EdgeResponse>,
    tasks: Vec<TaskResponse>,
    /// Null without `BACKUP_TO`.
    back_up: Option<BackUpResponse>,
}

/// The process that holds the scheduler lease.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaderResponse {
    instance: String,
    host: String,
    /// Number of the leader's term.
    epoch: i64,
    acquired_at: String,
    /// When the lease expires unless renewed.
    lease_until: String,
}

/// A scheduled task with its latest run.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskResponse {
    name: String,
    period_seconds: f64,
    /// True if the process that answers would run the task as leader.
    enabled: bool,
    last_slot: Option<String>,
    last_state: Option<String>,
    last_started_at: Option<String>,
    last_finished_at: Option<String>,
    last_lag_ms: Option<i64>,
    last_items: Option<i64>,
    last_instance: Option<String>,
    last_error: Option<String>,
    next_slot: Option<String>,
}

/// A run of a task.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunResponse {
    task: String,
    slot: String,
    epoch: i64,
    instance: String,
    attempts: i64,
    /// Origin of the run: `schedule` or `request`.
    trigger: String,
    state: String,
    started_at: String,
    finished_at: Option<String>,
    lag_ms: i64,
    items: i64,
    error: Option<String>,
}

/// A requested run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunRequested {
    task: &'static str,
    /// Slot of the run.
    slot: String,
}

/// The path of a task.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct TaskPath {
    /// Name of the task.
    name: String,
}

/// Filters of a list of runs.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Filter by the name of the task.
    #[deserr(default)]
    #[param(required = false)]
    task: String,
    #[deserr(default)]
    #[param(schema_with = states)]
    state: Vec<EnumText<RunState>>,
}

impl Params for RunQuery {
    const REPEATABLE: &'static [&'static str] = &["state"];
}

/// Returns the state of the cluster.
///
/// Returns the live processes, the leader, and each task with its latest run and next slot.
#[utoipa::path(get, path = "/api/cluster", tag = "Cluster", responses((status = 200, body = ClusterResponse)))]
#[handler]
async fn read(state: &State, _: CurrentAdmin) -> Result<Json<ClusterResponse>, ApiError> {
    let (db, view) = (&state.panel.db, &state.cluster);
    let now = clock::now(db).await?;
    let lease = lease::current(db, &state.panel.clock, view.boot_id(db.engine())).await?;
    let leads = |member: &Member| lease.remaining > 0 && lease.holder == Some(member.instance);
    let members = view.members.borrow().clone();
    let redis = *view.redis.borrow();
    let addresses = panel_addresses::all(db).await?;
    let (edges, panel_now) = (edges::all(db).await?, state.panel.clock.now());
    let mut tasks: Vec<TaskResponse> = Vec::new();
    let last_runs = run_history::last(db).await?;
    for task in Task::ALL {
        let last = last_runs.iter().find(|last| last.task == task.name());
        let own = view.schedules.iter().find(|schedule| schedule.task == task);
        // The leader's period applies, and that is the one in the database.
        let period = last.map(|last| last.period).or(own.map(|own| own.period)).unwrap_or(0);
        tasks.push(task_response(task, period, own.is_some(), last, now));
    }
    Ok(Json(ClusterResponse {
        cluster: view.name.clone(),
        instance: view.identity.instance.to_string(),
        coordination: if redis == RedisStatus::Off { "database" } else { "redis" },
        redis: match redis {
            RedisStatus::Off => "off",
            RedisStatus::Ok => "ok",
            RedisStatus::Down => "down",
        },
        supported_round_trip_ms: view.supported_round_trip.map(milliseconds),
        leader: leader_response(&lease, now),
        addresses: addresses.into_iter().map(AddressResponse::from).collect(),
        members: members.iter().map(|member| MemberResponse::new(member, leads(member))).collect(),
        edges: edges.iter().map(|(edge, seen)| EdgeResponse::new(edge, *seen, panel_now)).collect(),
        tasks,
        back_up: back_up::response(state, now).await?,
    }))
}

/// Lists runs of tasks, newest first.
#[utoipa::path(get, path = "/api/cluster/runs", tag = "Cluster", params(RunQuery, Paging),
    responses((status = 200, body = Page<RunResponse>)))]
#[handler]
async fn list_runs(
    state: &State,
    _: CurrentAdmin,
    Inputs(Query(query), paging): Inputs<Query<RunQuery>, Paging>,
) -> Result<Json<Page<RunResponse>>, ApiError> {
    let filter = RunFilter { task: query.task, states: query.state.iter().map(|state| state.0).collect() };
    let rows = run_history::page(&state.panel.db, &filter, paging.limit(), paging.offset()).await?;
    let total = run_history::count(&state.panel.db, &filter).await?;
    Ok(Json(paging.page(rows.into_iter().map(RunResponse::from).collect(), total)))
}

/// Requests a run of a task.
///
/// The leader runs the task as soon as possible. Returns the slot of the run.
#[utoipa::path(post, path = "/api/cluster/tasks/{name}/run", tag = "Cluster", params(TaskPath),
    responses((status = 202, body = RunRequested), (status = 404, description = "No such task"),
              (status = 409, description = "Back-ups are not set up")))]
#[handler]
async fn run_now(
    By(panel): By,
    state: &State,
    _: CurrentAdmin,
    Path(path): Path<TaskPath>,
) -> Result<Response, ApiError> {
    let task = Task::from_name(&path.name).ok_or_else(|| ApiError::not_found("The task"))?;
    if task == Task::BackUp && state.cluster.back_up_to.is_none() {
        return Err(ApiError::conflict("Back-ups are not set up; set BACKUP_TO"));
    }
    let slot = cluster::run_now(&panel, task).await?;
    let requested = RunRequested { task: task.name(), slot: slot.utc_iso() };
    Ok(Json(requested).with_status(StatusCode::ACCEPTED).into_response())
}

/// Asks the leader to step down.
///
/// Another process takes over, if there is one.
#[utoipa::path(post, path = "/api/cluster/step-down", tag = "Cluster", responses((status = 202, body = Empty)))]
#[handler]
async fn step_down(By(panel): By, _: CurrentAdmin) -> Result<Response, ApiError> {
    cluster::step_down(&panel).await?;
    Ok(Json(Empty {}).with_status(StatusCode::ACCEPTED).into_response())
}

fn states() -> Array {
    text_list_param::<RunState>("Filter by state.")
}

fn leader_response(lease: &Lease, now: Moment) -> Option<LeaderResponse> {
    let instance = lease.holder.filter(|_| lease.remaining > 0)?;
    Some(LeaderResponse {
        instance: instance.to_string(),
        host: lease.host.clone().unwrap_or_default(),
        epoch: lease.epoch.0,
        acquired_at: lease.acquired_at.utc_iso(),
        lease_until: now.plus(lease.remaining).utc_iso(),
    })
}

fn task_response(task: Task, period: i64, enabled: bool, last: Option<&LastRun>, now: Moment) -> TaskResponse {
    let next = crate::domain::schedule::Schedule { task, period: period.max(1) }.next_slot(now);
    TaskResponse {
        name: task.name().to_owned(),
        period_seconds: period as f64 / SECOND as f64,
        enabled,
        last_slot: last.and_then(|last| last.slot).map(iso),
        last_state: last.and_then(|last| last.state.clone()),
        last_started_at: last.and_then(|last| last.started_at).map(iso),
        last_finished_at: last.and_then(|last| last.finished_at).map(iso),
        last_lag_ms: last.and_then(|last| last.lag_ms),
        last_items: last.and_then(|last| last.items),
        last_instance: last.and_then(|last| last.instance).map(|instance| instance.to_string()),
        last_error: last.and_then(|last| last.error.clone()),
        next_slot: (period > 0).then(|| next.utc_iso()),
    }
}

impl From<RunRow> for RunResponse {
    fn from(row: RunRow) -> Self {
        Self {
            task: row.task,
            slot: iso(row.slot),
            epoch: row.epoch,
            instance: row.instance.to_string(),
            attempts: row.attempts,
            trigger: row.trigger,
            state: row.state,
            started_at: iso(row.started_at),
            finished_at: row.finished_at.map(iso),
            lag_ms: row.lag_ms,
            items: row.items,
            error: row.error,
        }
    }
}
