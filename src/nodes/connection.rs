//! One connection to a node, and the calls of its protocol.
//!
//! A connection never reconnects by itself. A node holds its users in memory only, so after a broken connection nothing
//! is known about them, and the session has to start with a full sync.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use hyper_util::rt::TokioIo;
use prost::Message;
use prost::bytes::BufMut;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};
use tonic_prost::ProstDecoder;

use super::fingerprint::Fingerprint;
use super::node_error::{ConnectionGone, NodeError};
use super::proto::marz_service_client::MarzServiceClient;
use super::proto::{Backend, BackendConfig, BackendLogsRequest, BackendStats, Empty, RestartBackendRequest};
use super::raw_reply::RawReply;
use super::report;
use super::tls::{self, PanelIdentity};
use super::transport::{HandshakeOutcome, ObservedTransport, Transport};
use super::wire;
use crate::domain::node::ConnectionBackend;
use crate::store::nodes::sync_state::{FirstSeen, NodeRow};

/// Time limit of the TCP connection, and again of the TLS handshake and of the beginning of HTTP/2.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of calls that the node answers from memory.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of HTTP/2 pings on an idle connection, and the time limit of their answers. A node that is busy with a long
/// list may answer late, and closing its connection would break the list off.
const PINGS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15));
/// How soon and how often the kernel asks an idle node's kernel for a sign of life, which answers however busy the node is.
const KERNEL_PROBES: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));
/// Milliseconds without an acknowledgement of the node's kernel after which the connection is lost. With the first probe
/// it is noticed within eleven seconds that nothing arrives any more; a network that fails for seven breaks nothing off.
const UNACKNOWLEDGED: u32 = 8_000;
/// Bytes of a message to the node, and of a usage reply, which is read as it arrives: the node has reset its counters, so
/// tonic's default of 4 MiB would lose a large one.
pub(super) const MESSAGE_LIMIT: usize = 256 * 1024 * 1024;
/// Bytes of a reply that says no more than yes or no.
const SMALL_REPLY: usize = 64 * 1024;
/// Bytes of a reply with an engine's configuration.
const CONFIG_REPLY: usize = 8 * 1024 * 1024;
/// Bytes of a line of a log; the rest is cut off.
const LINE: usize = 16 * 1024;

/// A codec whose requests are encoded messages.
struct Encoded;

impl Codec for Encoded {
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

impl Encoder for Encoded {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

/// A node's address and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: i64,
    /// Plain gRPC, or gRPC over TLS.
    pub kind: ConnectionBackend,
    /// The certificate that the node must present. `None`: any certificate; the caller pins it.
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

/// A connection to a node. Clones share the connection.
#[derive(Clone, Debug)]
pub struct NodeConnection {
    client: MarzServiceClient<Channel>,
    channel: Channel,
    fingerprint: Option<Fingerprint>,
    outcome: Arc<HandshakeOutcome>,
}

impl NodeConnection {
    /// Connects, without a call: whether the peer is a node shows in the first one.
    pub async fn connect(target: &Target, identity: &PanelIdentity) -> Result<Self, NodeError> {
        let bad_address = || NodeError::Address(format!("{}:{}", target.address, target.port));
        let port = u16::try_from(target.port).ok().filter(|port| *port > 0).ok_or_else(bad_address)?;
        let endpoint = endpoint(&target.address, port).ok_or_else(bad_address)?;
        let tcp = within_connect_timeout(TcpStream::connect((target.address.as_str(), port))).await?;
        let tcp = tcp.map_err(NodeError::Connect)?;
        watch_peer(&tcp).map_err(NodeError::Connect)?;
        let (transport, fingerprint): (Box<dyn Transport>, _) = match target.kind {
            ConnectionBackend::Grpcio => (Box::new(tcp), None),
            ConnectionBackend::Grpclib => {
                let handshake = tls::handshake(tcp, identity, target.pin);
                let (stream, fingerprint) = within_connect_timeout(handshake).await??;
                (Box::new(stream), Some(fingerprint))
            }
        };
        let outcome = Arc::<HandshakeOutcome>::default();
        let once = Mutex::new(Some(TokioIo::new(ObservedTransport::new(transport, outcome.clone()))));
        let connector = tower::service_fn(move |_: Uri| {
            let transport = once.lock().map_or(None, |mut transport| transport.take());
            std::future::ready(transport.ok_or(ConnectionGone))
        });
        let channel = within_connect_timeout(endpoint.connect_with_connector(connector)).await?;
        let channel = channel.map_err(|error| {
            let not_a_node = NodeError::NotANode { detail: error.to_string() };
            refusal(&outcome, fingerprint).unwrap_or(not_a_node)
        })?;
        let client = MarzServiceClient::new(channel.clone())
            .max_decoding_message_size(SMALL_REPLY)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Self { client, channel, fingerprint, outcome })
    }

    /// Returns the certificate that the node presented, if it should be pinned. A certificate that was checked against
    /// a pin is not pinned again: an admin may have removed the pin meanwhile.
    pub(super) fn first_seen(&self, target: &Target) -> Option<FirstSeen> {
        self.fingerprint.filter(|_| target.pin.is_none()).map(|fingerprint| FirstSeen {
            fingerprint: fingerprint.to_string(),
            address: target.address.clone(),
            port: target.port,
        })
    }

    /// Returns the generated client, for calls with time limits or streams of their own.
    pub(super) fn client(&self) -> MarzServiceClient<Channel> {
        self.client.clone()
    }

    /// Fetches the node's engines and their inbounds: an encoded `BackendsResponse`.
    pub(super) async fn fetch_backends(&self) -> Result<Vec<u8>, NodeError> {
        let rpc = async {
            let mut reply = RawReply::open(self.channel.clone(), "/marznode.MarzService/FetchBackends", &[]).await?;
            reply.whole(report::MOST_BYTES).await.map(Response::new)
        };
        self.call("FetchBackends", CALL_TIMEOUT, rpc).await
    }

    /// Starts to fetch the users' usage: the beginning of a reply with a `UsersStats`.
    pub(super) async fn fetch_users_stats(&self) -> Result<RawReply, Status> {
        RawReply::open(self.channel.clone(), "/marznode.MarzService/FetchUsersStats", &[]).await
    }

    /// Replaces the node's users with those of an encoded `UsersData` message. Sets `sent` when the whole message may
    /// have been sent: before that, the node has not begun.
    pub(super) async fn repopulate(
        &self,
        users: Vec<u8>,
        limit: Duration,
        sent: Arc<AtomicBool>,
    ) -> Result<(), NodeError> {
        let mut grpc = Grpc::new(self.channel.clone())
            .max_encoding_message_size(MESSAGE_LIMIT)
            .max_decoding_message_size(SMALL_REPLY);
        let mut users = Some(users);
        // The connection asks for what follows the message when it has room for it.
        let message = stream::poll_fn(move |_| {
            if users.is_none() {
                sent.store(true, SeqCst);
            }
            Poll::Ready(users.take())
        });
        let rpc = async {
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            let path = PathAndQuery::from_static("/marznode.MarzService/RepopulateUsers");
            grpc.client_streaming(Request::new(message), path, Encoded).await
        };
        let Empty {} = self.call("RepopulateUsers", limit, rpc).await?;
        Ok(())
    }

    /// Fetches an engine's configuration.
    pub async fn backend_config(&self, name: String) -> Result<BackendConfig, NodeError> {
        let backend = Backend { name, ..Backend::default() };
        let mut client = self.client().max_decoding_message_size(CONFIG_REPLY);
        self.call("FetchBackendConfig", CALL_TIMEOUT, client.fetch_backend_config(backend)).await
    }

    /// Fetches whether an engine is running. The node refuses an unknown name with `NotFound`.
    pub async fn backend_stats(&self, name: String) -> Result<BackendStats, NodeError> {
        let backend = Backend { name, ..Backend::default() };
        self.call("GetBackendStats", CALL_TIMEOUT, self.client().get_backend_stats(backend)).await
    }

    /// Saves an engine's configuration and restarts the engine. A full sync must follow: the inbounds may differ.
    pub async fn restart_backend(&self, name: String, config: BackendConfig, limit: Duration) -> Result<(), NodeError> {
        let request = RestartBackendRequest { backend_name: name, config: Some(config) };
        self.call("RestartBackend", limit, self.client().restart_backend(request)).await.map(drop)
    }

    /// Streams an engine's log as it is written. Each line includes its line break; a long one is cut. There is no time
    /// limit: a node does not answer before it has a first line.
    pub fn backend_logs(
        self,
        name: String,
        include_buffer: bool,
    ) -> impl Stream<Item = Result<String, NodeError>> + Send + 'static {
        const CALL: &str = "StreamBackendLogs";
        let failed = |status: Status| NodeError::from_status(CALL, &status, false);
        let request = BackendLogsRequest { backend_name: name, include_buffer }.encode_to_vec();
        let opening = async move {
            RawReply::open(self.channel.clone(), "/marznode.MarzService/StreamBackendLogs", &request).await
        };
        let lines = |reply| {
            stream::try_unfold(reply, async |mut reply| Ok(log_line(&mut reply).await?.map(|line| (line, reply))))
        };
        stream::once(opening).map_ok(lines).try_flatten().map_err(failed).boxed()
    }

    async fn call<T>(
        &self,
        call: &'static str,
        limit: Duration,
        rpc: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, NodeError> {
        match timeout(limit, rpc).await {
            Err(_) => Err(NodeError::NoAnswer { call, limit }),
            Ok(Ok(reply)) => {
                self.outcome.set_answered();
                Ok(reply.into_inner())
            }
            // Until a call is answered, the peer may be anything.
            Ok(Err(status)) if !self.outcome.answered() => {
                let error = NodeError::from_status(call, &status, true);
                Err(refusal(&self.outcome, self.fingerprint).unwrap_or(error))
            }
            Ok(Err(status)) => Err(NodeError::from_status(call, &status, false)),
        }
    }
}

/// Reads the next message of a log, a `LogLine`, as far as it is not too long.
async fn log_line(reply: &mut RawReply) -> Result<Option<String>, Status> {
    let Some(length) = reply.next_message().await? else { return Ok(None) };
    let mut message = Vec::new();
    while let Some(piece) = reply.piece().await? {
        let room = LINE - message.len();
        message.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Ok(Some(shown_line(&message, length)))
}

/// Returns the text of a message with this length, of which the first bytes are given.
fn shown_line(message: &[u8], length: usize) -> String {
    if message.len() == length {
        let line = wire::contents(message).flatten().find(|(number, _)| *number == 1);
        return String::from_utf8_lossy(line.map_or(&[], |(_, text)| text)).into_owned();
    }
    let text = match wire::field(message) {
        Ok(Some(field)) if field.number == 1 && field.is_bytes => message.get(field.start..).unwrap_or_default(),
        _ => &[],
    };
    let text = String::from_utf8_lossy(text);
    format!("{}… (cut: the line has {length} bytes)\n", text.trim_end_matches('\u{fffd}'))
}

/// Returns an error if a connection that failed at once did so because of the panel's certificate.
fn refusal(outcome: &HandshakeOutcome, fingerprint: Option<Fingerprint>) -> Option<NodeError> {
    if outcome.refused() {
        Some(NodeError::PanelRefused)
    } else {
        (fingerprint.is_some() && !outcome.received()).then_some(NodeError::HungUp)
    }
}

fn endpoint(address: &str, port: u16) -> Option<Endpoint> {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}")).ok()?;
    Some(endpoint.http2_keep_alive_interval(PINGS.0).keep_alive_timeout(PINGS.1).keep_alive_while_idle(true))
}

/// Has the kernel notice a peer that is gone without a word, whether bytes are on their way or not.
fn watch_peer(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(tcp, KERNEL_PROBES.0)?;
    sockopt::set_tcp_keepintvl(tcp, KERNEL_PROBES.1)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_user_timeout(tcp, UNACKNOWLEDGED)?;
    Ok(())
}

async fn within_connect_timeout<T>(step: impl Future<Output = T>) -> Result<T, NodeError> {
    timeout(CONNECT_TIMEOUT, step).await.map_err(|_| NodeError::ConnectTimeout(CONNECT_TIMEOUT))
}
