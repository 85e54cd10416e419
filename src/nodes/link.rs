//! One connection to one node, and the calls of its protocol.
//!
//! A link never reconnects behind our back: a node keeps its users in memory only, so a broken connection means
//! "assume nothing", and whoever holds the link has to begin again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::bytes::BufMut;
use tonic_prost::ProstDecoder;

use futures_util::{Stream, StreamExt, TryFutureExt, TryStreamExt, stream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};

use super::link_error::{ConnectionGone, LinkError};
use super::proto::marz_service_client::MarzServiceClient;
use super::proto::{
    Backend, BackendConfig, BackendLogsRequest, BackendStats, BackendsResponse, Empty, LogLine, RestartBackendRequest,
};
use super::tls::{self, Fingerprint, PanelIdentity};
use super::transport::{News, Transport, Wire};
use crate::domain::node::ConnectionBackend;
use crate::store::nodes::sync_state::{FirstSeen, NodeRow};

/// For the TCP connection, and again for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For calls that the node answers from memory.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a quiet connection is asked whether it is still there, and how soon it has to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// tonic's own 4 MiB would refuse a large usage reply after the node has reset its counters.
const MESSAGE_LIMIT: usize = 256 * 1024 * 1024;

/// Sends a message that is written already.
struct Written;

impl Codec for Written {
    type Encode = Vec<u8>;
    type Decode = Empty;
    type Encoder = Self;
    type Decoder = ProstDecoder<Empty>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> ProstDecoder<Empty> {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for Written {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

/// Where a node is, and how it is to be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: i64,
    /// Plain text or TLS.
    pub kind: ConnectionBackend,
    /// The certificate that must be presented; `None`: any, once.
    pub pin: Option<Fingerprint>,
}

impl From<&NodeRow> for Target {
    fn from(row: &NodeRow) -> Self {
        Self {
            address: row.address.clone(),
            port: row.port,
            kind: ConnectionBackend::from_word(&row.connection_backend).unwrap_or(ConnectionBackend::Grpclib),
            pin: row.certificate_pin.as_deref().and_then(Fingerprint::parse),
        }
    }
}

/// A connection to a node. Clones share it.
#[derive(Clone, Debug)]
pub struct Link {
    client: MarzServiceClient<Channel>,
    channel: Channel,
    fingerprint: Option<Fingerprint>,
    news: Arc<News>,
}

impl Link {
    /// Connects. Nothing has been said yet to whatever answers there.
    pub async fn connect(target: &Target, identity: &PanelIdentity) -> Result<Self, LinkError> {
        let bad_address = || LinkError::Address(format!("{}:{}", target.address, target.port));
        let port = u16::try_from(target.port).ok().filter(|port| *port > 0).ok_or_else(bad_address)?;
        let endpoint = endpoint(&target.address, port).ok_or_else(bad_address)?;
        let tcp = within_connect_timeout(TcpStream::connect((target.address.as_str(), port))).await?;
        let tcp = tcp.map_err(LinkError::Connect)?;
        tcp.set_nodelay(true).map_err(LinkError::Connect)?;
        let (transport, fingerprint): (Box<dyn Transport>, _) = match target.kind {
            ConnectionBackend::Grpcio => (Box::new(tcp), None),
            ConnectionBackend::Grpclib => {
                let handshake = tls::handshake(tcp, identity, target.pin);
                let (stream, fingerprint) = within_connect_timeout(handshake).await??;
                (Box::new(stream), Some(fingerprint))
            }
        };
        let news = Arc::<News>::default();
        let once = Mutex::new(Some(TokioIo::new(Wire::new(transport, news.clone()))));
        let connector = tower::service_fn(move |_: Uri| {
            let wire = once.lock().map_or(None, |mut wire| wire.take());
            std::future::ready(wire.ok_or(ConnectionGone))
        });
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| {
            let stranger = LinkError::NotANode { detail: error.to_string() };
            turned_away(&news, fingerprint).unwrap_or(stranger)
        })?;
        let client = MarzServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Self { client, channel, fingerprint, news })
    }

    /// The certificate that the node presented, if it is to be pinned: one that was checked against a pin is not
    /// pinned again, because somebody may just have unpinned it.
    pub(super) fn first_seen(&self, target: &Target) -> Option<FirstSeen> {
        self.fingerprint.filter(|_| target.pin.is_none()).map(|fingerprint| FirstSeen {
            fingerprint: fingerprint.to_string(),
            address: target.address.clone(),
            port: target.port,
        })
    }

    /// The bare client, for the calls with a protocol of their own.
    pub(super) fn client(&self) -> MarzServiceClient<Channel> {
        self.client.clone()
    }

    /// The engines and their inbounds.
    pub async fn fetch_backends(&self) -> Result<BackendsResponse, LinkError> {
        self.call("FetchBackends", CALL_TIMEOUT, self.client().fetch_backends(Empty {})).await
    }

    /// Gives the node all its users, as a `UsersData` message; whoever is not among them is removed.
    pub(super) async fn repopulate(&self, users: Vec<u8>, limit: Duration) -> Result<(), LinkError> {
        let mut grpc = Grpc::new(self.channel.clone()).max_encoding_message_size(MESSAGE_LIMIT);
        let rpc = async {
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            let path = PathAndQuery::from_static("/marznode.MarzService/RepopulateUsers");
            grpc.unary(Request::new(users), path, Written).await
        };
        let Empty {} = self.call("RepopulateUsers", limit, rpc).await?;
        Ok(())
    }

    /// The configuration of an engine.
    pub async fn backend_config(&self, name: String) -> Result<BackendConfig, LinkError> {
        let backend = Backend { name, ..Backend::default() };
        self.call("FetchBackendConfig", CALL_TIMEOUT, self.client().fetch_backend_config(backend)).await
    }

    /// Whether an engine runs. A name that the node does not know is refused with `NotFound`.
    pub async fn backend_stats(&self, name: String) -> Result<BackendStats, LinkError> {
        let backend = Backend { name, ..Backend::default() };
        self.call("GetBackendStats", CALL_TIMEOUT, self.client().get_backend_stats(backend)).await
    }

    /// Saves a configuration and restarts the engine with it. Its inbounds may differ now: a full sync has to follow.
    pub async fn restart_backend(&self, name: String, config: BackendConfig, limit: Duration) -> Result<(), LinkError> {
        let request = RestartBackendRequest { backend_name: name, config: Some(config) };
        self.call("RestartBackend", limit, self.client().restart_backend(request)).await.map(drop)
    }

    /// The log of an engine, line by line as it is written; each line carries its own end. There is no time-out: a
    /// node that has nothing to tell does not even begin its answer.
    pub fn backend_logs(
        self,
        name: String,
        include_buffer: bool,
    ) -> impl Stream<Item = Result<String, LinkError>> + Send + 'static {
        const CALL: &str = "StreamBackendLogs";
        let failed = |status: Status| LinkError::from_status(CALL, &status, false);
        let request = BackendLogsRequest { backend_name: name, include_buffer };
        let opening = async move { self.client().stream_backend_logs(request).await };
        let lines = opening.map_ok(move |reply| reply.into_inner().map_ok(|LogLine { line }| line).map_err(failed));
        stream::once(lines.map_err(failed)).try_flatten().boxed()
    }

    async fn call<T>(
        &self,
        call: &'static str,
        limit: Duration,
        rpc: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, LinkError> {
        match timeout(limit, rpc).await {
            Err(_) => Err(LinkError::NoAnswer { call, limit }),
            Ok(Ok(reply)) => {
                self.news.set_answered();
                Ok(reply.into_inner())
            }
            // Until a call was answered, it is open who is there at all.
            Ok(Err(status)) if !self.news.answered() => {
                let stranger = LinkError::from_status(call, &status, true);
                Err(turned_away(&self.news, self.fingerprint).unwrap_or(stranger))
            }
            Ok(Err(status)) => Err(LinkError::from_status(call, &status, false)),
        }
    }
}

/// Whether a connection that failed at once did so over the panel's certificate.
fn turned_away(news: &News, fingerprint: Option<Fingerprint>) -> Option<LinkError> {
    if news.refused() {
        Some(LinkError::PanelRefused)
    } else {
        (fingerprint.is_some() && !news.heard()).then_some(LinkError::HungUp)
    }
}

fn endpoint(address: &str, port: u16) -> Option<Endpoint> {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}")).ok()?;
    Some(endpoint.http2_keep_alive_interval(KEEP_ALIVE.0).keep_alive_timeout(KEEP_ALIVE.1).keep_alive_while_idle(true))
}

async fn within_connect_timeout<T>(step: impl Future<Output = T>) -> Result<T, LinkError> {
    timeout(CONNECT_TIMEOUT, step).await.map_err(|_| LinkError::ConnectTimeout(CONNECT_TIMEOUT))
}
