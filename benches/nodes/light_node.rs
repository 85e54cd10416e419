//! A node without state that reports each call: a thousand of them fit beside the panel.

use std::net::SocketAddr;

use sarban::nodes::proto::marz_service_server::{MarzService, MarzServiceServer};
use sarban::nodes::proto::{
    Backend, BackendConfig, BackendLogsRequest, BackendStats, BackendsResponse, Empty, Inbound, LogLine,
    RestartBackendRequest, UserData, UsersData, UsersStats,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// An event on one of the nodes.
#[derive(Clone, Copy, Debug)]
pub enum NodeEvent {
    /// A client connected.
    Connected(Instant),
    /// The node received the list of its users.
    Populated,
    /// The node received a change of this user.
    Changed(u32, Instant),
}

struct LightNode(UnboundedSender<NodeEvent>);

/// Starts a node, which runs until the program ends.
pub async fn start(events: UnboundedSender<NodeEvent>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let service = MarzServiceServer::new(LightNode(events.clone())).max_decoding_message_size(256 * 1024 * 1024);
    let incoming = futures_util::stream::unfold((listener, events), |(listener, events)| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        events.send(NodeEvent::Connected(Instant::now())).ok();
        Some((accepted, (listener, events)))
    });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    address
}

#[tonic::async_trait]
impl MarzService for LightNode {
    type StreamBackendLogsStream = futures_util::stream::Empty<Result<LogLine, Status>>;

    async fn sync_users(&self, request: Request<Streaming<UserData>>) -> Result<Response<Empty>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = messages.message().await? {
            let user = message.user.unwrap_or_default().id;
            self.0.send(NodeEvent::Changed(user, Instant::now())).ok();
        }
        // Nodes in the field end each of these streams with an error.
        Err(Status::unknown("Internal Server Error"))
    }

    async fn repopulate_users(&self, _: Request<UsersData>) -> Result<Response<Empty>, Status> {
        self.0.send(NodeEvent::Populated).ok();
        Ok(Response::new(Empty {}))
    }

    async fn fetch_backends(&self, _: Request<Empty>) -> Result<Response<BackendsResponse>, Status> {
        let inbounds = ["vless", "vmess"].map(|tag| Inbound {
            tag: tag.into(),
            config: Some(format!(r#"{{"tag": "{tag}", "protocol": "{tag}"}}"#)),
        });
        let backend = Backend { name: "xray".into(), inbounds: inbounds.into(), ..Backend::default() };
        Ok(Response::new(BackendsResponse { backends: vec![backend] }))
    }

    async fn fetch_users_stats(&self, _: Request<Empty>) -> Result<Response<UsersStats>, Status> {
        Ok(Response::new(UsersStats::default()))
    }

    async fn fetch_backend_config(&self, _: Request<Backend>) -> Result<Response<BackendConfig>, Status> {
        Err(Status::unimplemented("a light node"))
    }

    async fn restart_backend(&self, _: Request<RestartBackendRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("a light node"))
    }

    async fn stream_backend_logs(
        &self,
        _: Request<BackendLogsRequest>,
    ) -> Result<Response<Self::StreamBackendLogsStream>, Status> {
        Err(Status::unimplemented("a light node"))
    }

    async fn get_backend_stats(&self, _: Request<Backend>) -> Result<Response<BackendStats>, Status> {
        Err(Status::unimplemented("a light node"))
    }
}
