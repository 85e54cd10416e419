//! The calls of the node protocol, as nodes in the field answer them.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use sarban::nodes::proto::marz_service_server::MarzService;
use sarban::nodes::proto::users_stats::UserStats;
use sarban::nodes::proto::{
    Backend, BackendConfig, BackendLogsRequest, BackendStats, BackendsResponse, ConfigFormat, Empty, LogLine,
    RestartBackendRequest, UserData, UsersData, UsersStats,
};
use tonic::{Request, Response, Status, Streaming};

use super::control::Controls;
use super::engine::Event;

#[derive(Debug)]
pub struct Service {
    pub controls: Controls,
    pub acknowledge: bool,
}

/// The status that a client sees when a handler raises.
fn raised() -> Status {
    Status::unknown("Internal Server Error")
}

impl Service {
    /// Holds or fails a call as the controls demand.
    async fn enter(&self) -> Result<(), Status> {
        self.controls.0.held().await;
        if self.controls.0.takes_failure() { Err(raised()) } else { Ok(()) }
    }

    /// Applies a message about a user. A call that the client breaks off meanwhile leaves the engines and the memory of
    /// the node apart: from then on the engines refuse every change of this user, until they are restarted.
    async fn apply(&self, data: &UserData) -> Result<(), Status> {
        let change = self.controls.0.engine().change_engines(data).map_err(|_| raised())?;
        if let Some(change) = change {
            self.controls.0.engines_work().await;
            self.controls.0.engine().remember(change);
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl MarzService for Service {
    type StreamBackendLogsStream = Pin<Box<dyn Stream<Item = Result<LogLine, Status>> + Send>>;

    async fn sync_users(&self, request: Request<Streaming<UserData>>) -> Result<Response<Empty>, Status> {
        self.enter().await?;
        let mut messages = request.into_inner();
        let mut ends = self.controls.0.ends.subscribe();
        loop {
            let message = tokio::select! {
                message = messages.message() => message?,
                _ = ends.changed() => return Err(raised()),
            };
            let Some(message) = message else { break };
            self.controls.0.count_change();
            self.controls.0.held().await;
            self.apply(&message).await?;
        }
        if self.acknowledge { Ok(Response::new(Empty {})) } else { Err(raised()) }
    }

    async fn repopulate_users(&self, request: Request<UsersData>) -> Result<Response<Empty>, Status> {
        self.enter().await?;
        let list = request.into_inner().users_data;
        if self.controls.0.keeps_list() {
            self.controls.0.engine().kept.push(list);
            std::future::pending::<()>().await;
            return Ok(Response::new(Empty {}));
        }
        self.controls.0.engine().events.push(Event::Repopulated { users: list.len() });
        for data in &list {
            self.apply(data).await?;
        }
        let removals = self.controls.0.engine().removals(&list);
        for data in &removals {
            self.apply(data).await?;
        }
        Ok(Response::new(Empty {}))
    }

    async fn fetch_backends(&self, _request: Request<Empty>) -> Result<Response<BackendsResponse>, Status> {
        self.enter().await?;
        let mut engine = self.controls.0.engine();
        engine.events.push(Event::FetchedBackends);
        Ok(Response::new(BackendsResponse { backends: engine.backends.clone() }))
    }

    async fn fetch_users_stats(&self, _request: Request<Empty>) -> Result<Response<UsersStats>, Status> {
        self.enter().await?;
        let lost = self.controls.0.takes_loss();
        let usage = self.controls.0.engine().take_usage(lost);
        if lost {
            self.controls.0.drop_connections();
            std::future::pending::<()>().await;
        }
        let users_stats = usage.into_iter().map(|(uid, usage)| UserStats { uid, usage }).collect();
        Ok(Response::new(UsersStats { users_stats }))
    }

    async fn fetch_backend_config(&self, request: Request<Backend>) -> Result<Response<BackendConfig>, Status> {
        self.enter().await?;
        let stored = self.controls.0.engine().configs.get(&request.into_inner().name).cloned();
        let default = || (r#"{"log": {"loglevel": "warning"}}"#.to_owned(), ConfigFormat::Json.into());
        let (configuration, config_format) = stored.unwrap_or_else(default);
        Ok(Response::new(BackendConfig { configuration, config_format }))
    }

    async fn restart_backend(&self, request: Request<RestartBackendRequest>) -> Result<Response<Empty>, Status> {
        let RestartBackendRequest { backend_name, config } = request.into_inner();
        let BackendConfig { configuration, config_format } = config.unwrap_or_default();
        self.controls.0.engine().events.push(Event::RestartBegan { config: configuration.clone() });
        let entered = self.enter().await;
        self.controls.0.engine().events.push(Event::RestartEnded { config: configuration.clone() });
        entered?;
        self.controls.0.logs_begin().await;
        if self.controls.0.takes_restart_failure() {
            return Err(raised());
        }
        self.controls.0.restart_engine(&backend_name, configuration, config_format).map_err(|()| raised())?;
        Ok(Response::new(Empty {}))
    }

    async fn stream_backend_logs(
        &self,
        request: Request<BackendLogsRequest>,
    ) -> Result<Response<Self::StreamBackendLogsStream>, Status> {
        self.enter().await?;
        let BackendLogsRequest { backend_name, include_buffer } = request.into_inner();
        let buffer = if include_buffer { "True" } else { "False" };
        let (past, live) = self.controls.0.log_with_buffer();
        let past = if include_buffer { past } else { Vec::new() };
        let mut live = Box::pin(stream::unfold(live, |mut live| async move {
            live.recv().await.ok().map(|line| (Ok(LogLine { line }), live))
        }));
        // As in the field, the response begins with the first line, regardless of its delay.
        if backend_name == "quiet" {
            let first = live.next().await;
            return Ok(Response::new(Box::pin(stream::iter(first).chain(live))));
        }
        let name = backend_name.clone();
        let line = move |n| Ok(LogLine { line: format!("{name} log line {n} buffer={buffer}") });
        let is_real = self.controls.0.engine().processes.real.is_some();
        let remembered = stream::iter((0..if is_real { 0 } else { 3 }).map(line));
        if backend_name == "brief" {
            return Ok(Response::new(Box::pin(remembered)));
        }
        let past = stream::iter(past.into_iter().map(|line| Ok(LogLine { line })));
        Ok(Response::new(Box::pin(remembered.chain(past).chain(live))))
    }

    async fn get_backend_stats(&self, request: Request<Backend>) -> Result<Response<BackendStats>, Status> {
        self.enter().await?;
        let name = request.into_inner().name;
        let mut engine = self.controls.0.engine();
        engine.processes.stats_calls += 1;
        let behaviour = engine.processes.behaviour.clone();
        if behaviour.has_no_stats {
            return Err(Status::unimplemented("Method not found"));
        }
        if behaviour.stats_raise {
            return Err(raised());
        }
        let running = behaviour.lies || (name != "stopped" && engine.processes.run(&name));
        Ok(Response::new(BackendStats { running }))
    }
}
