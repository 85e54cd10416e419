//! Commands of tests to a node, in the same process or over TCP: one JSON command per line, one JSON answer per line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sarban::nodes::proto::Backend;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::engine::{Engine, Event, NodeUser, Totals};
use super::program::{Program, RealEngine};
use super::raw::RawReply;

/// The controls of a node. Clones control the same node.
#[derive(Clone, Debug)]
pub struct Controls(pub Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    engine: Mutex<Engine>,
    /// The number of times that all connections were cut.
    pub(super) cuts: watch::Sender<u64>,
    /// The number of times that all SyncUsers streams were ended.
    pub(super) ends: watch::Sender<u64>,
    /// Lines that engines write.
    pub(super) log: broadcast::Sender<String>,
    log_buffer: Mutex<VecDeque<String>>,
    /// Requests for a log that are not answered yet.
    log_requests: AtomicU32,
    pub(super) refusing: AtomicBool,
    pub(super) connections: AtomicU32,
    changes: AtomicU64,
    hold_ms: AtomicU64,
    /// Notified when all held calls continue.
    release: watch::Sender<()>,
    jitter_ms: AtomicU64,
    per_user_us: AtomicU64,
    keeping_list: AtomicBool,
    failures: AtomicU32,
    losing_reply: AtomicBool,
    pub(super) restart_failures: AtomicU32,
    /// Replies of calls, by the call's name.
    raw_replies: Mutex<BTreeMap<String, RawReply>>,
}

impl Controls {
    /// A node with a real program as its engine.
    pub(super) fn with_program(program: Program) -> Self {
        let (name, version) = (program.name().to_owned(), Some("0".to_owned()));
        let backend = Backend { r#type: Some(name.clone()), name, version, inbounds: Vec::new() };
        let controls = Self::new(vec![backend]);
        controls.0.engine().processes.real = Some(RealEngine::new(program));
        controls
    }

    pub(super) fn new(backends: Vec<Backend>) -> Self {
        Self(Arc::new(Inner {
            engine: Mutex::new(Engine::new(backends)),
            cuts: watch::Sender::new(0),
            ends: watch::Sender::new(0),
            log: broadcast::Sender::new(64),
            log_buffer: Mutex::default(),
            log_requests: AtomicU32::new(0),
            refusing: AtomicBool::new(false),
            connections: AtomicU32::new(0),
            changes: AtomicU64::new(0),
            hold_ms: AtomicU64::new(0),
            release: watch::Sender::new(()),
            jitter_ms: AtomicU64::new(0),
            per_user_us: AtomicU64::new(0),
            keeping_list: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            losing_reply: AtomicBool::new(false),
            restart_failures: AtomicU32::new(0),
            raw_replies: Mutex::default(),
        }))
    }
}

impl Inner {
    pub fn users(&self) -> BTreeMap<u32, NodeUser> {
        self.engine().users.clone()
    }

    pub fn events(&self) -> Vec<Event> {
        self.engine().events.clone()
    }

    pub fn totals(&self) -> Totals {
        self.engine().totals
    }

    /// Returns the time and the bytes of each reply with usage.
    pub fn replies(&self) -> Vec<(Instant, u64)> {
        self.engine().replies.clone()
    }

    pub fn add_usage(&self, user: u32, bytes: u64) {
        self.engine().add_usage(user, bytes);
    }

    /// Replaces the inbounds, as an edit of the engine's configuration does.
    pub fn set_backends(&self, backends: Vec<Backend>) {
        self.engine().backends = backends;
    }

    /// Writes a line to the log of the engines, and returns the number of its readers.
    pub fn log(&self, line: &str) -> usize {
        let mut buffer = self.log_buffer();
        buffer.push_back(line.to_owned());
        if buffer.len() > 100 {
            buffer.pop_front();
        }
        self.log.send(line.to_owned()).unwrap_or(0)
    }

    /// Cuts every connection.
    pub fn drop_connections(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Forgets all users and cuts every connection, as a restart does.
    pub fn restart(&self) {
        self.engine().forget();
        self.drop_connections();
    }

    /// Ends every SyncUsers stream with an error.
    pub fn end_sync(&self) {
        self.ends.send_modify(|ends| *ends += 1);
    }

    /// Returns the number of connections that were accepted.
    pub fn connections(&self) -> u32 {
        self.connections.load(SeqCst)
    }

    /// Closes new connections at once, or accepts them again.
    pub fn refuse(&self, on: bool) {
        self.refusing.store(on, SeqCst);
    }

    /// Delays every reply, and every message of a SyncUsers stream, by `time`.
    pub fn hold(&self, time: Duration) {
        self.hold_ms.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), SeqCst);
    }

    /// Continues all held calls at once.
    pub fn release(&self) {
        self.release.send_replace(());
    }

    /// Returns the number of received messages of SyncUsers streams, held ones included.
    pub fn changes(&self) -> u64 {
        self.changes.load(SeqCst)
    }

    /// Delays every call and every message by a random time up to `most`, in addition.
    pub fn jitter(&self, most: Duration) {
        self.jitter_ms.store(u64::try_from(most.as_millis()).unwrap_or(u64::MAX), SeqCst);
    }

    /// Has the engines take `time` for each change of a user. A call that is broken off meanwhile leaves the user apart.
    pub fn slow_engines(&self, time: Duration) {
        self.per_user_us.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), SeqCst);
    }

    /// Returns the inbounds on which the engines serve a user.
    pub fn served(&self, user: u32) -> BTreeSet<String> {
        self.engine().served(user)
    }

    /// Returns the users whom the engines serve on other inbounds than the node has in memory.
    pub fn apart(&self) -> BTreeSet<u32> {
        self.engine().apart()
    }

    /// Reads the next list without applying or answering it.
    pub fn keep_next_list(&self) {
        self.keeping_list.store(true, SeqCst);
    }

    /// Applies the lists that were read and not applied, and returns the number of applied ones.
    pub fn work_on_kept_lists(&self) -> usize {
        let mut engine = self.engine();
        let lists = std::mem::take(&mut engine.kept);
        lists.iter().filter(|list| engine.repopulate(list).is_ok()).count()
    }

    /// Returns the number of lists that were read and not applied.
    pub fn kept_lists(&self) -> usize {
        self.engine().kept.len()
    }

    /// Returns the number of inbounds.
    pub fn tags(&self) -> usize {
        self.engine().backends.iter().map(|backend| backend.inbounds.len()).sum()
    }

    /// Fails the next `calls` calls.
    pub fn fail_next(&self, calls: u32) {
        self.failures.store(calls, SeqCst);
    }

    /// Lets the next FetchUsersStats reset the counters and then cuts the connections, so that its reply is lost.
    pub fn lose_next_reply(&self) {
        self.losing_reply.store(true, SeqCst);
    }

    /// Returns the last lines of the log, and subscribes to the next ones.
    pub(super) fn log_with_buffer(&self) -> (Vec<String>, broadcast::Receiver<String>) {
        let buffer = self.log_buffer();
        self.log_requests.fetch_sub(1, SeqCst);
        (buffer.iter().cloned().collect(), self.log.subscribe())
    }

    pub(super) fn log_requested(&self) {
        self.log_requests.fetch_add(1, SeqCst);
    }

    /// Waits for earlier requests for a log, as nodes do, which begin calls in their order.
    pub(super) async fn logs_begin(&self) {
        // A request that was broken off never begins.
        for _ in 0..100 {
            if self.log_requests.load(SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn log_buffer(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.log_buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers calls of this name with a message of any bytes, or as before.
    pub fn reply_raw(&self, call: &str, reply: Option<RawReply>) {
        let mut replies = self.raw_replies.lock().unwrap_or_else(PoisonError::into_inner);
        match reply {
            Some(reply) => _ = replies.insert(call.to_owned(), reply),
            None => _ = replies.remove(call),
        }
    }

    pub(super) fn raw_reply(&self, call: &str) -> Option<RawReply> {
        self.raw_replies.lock().unwrap_or_else(PoisonError::into_inner).get(call).cloned()
    }

    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn takes_failure(&self) -> bool {
        self.failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    pub(super) fn takes_loss(&self) -> bool {
        self.losing_reply.swap(false, SeqCst)
    }

    pub(super) fn keeps_list(&self) -> bool {
        self.keeping_list.swap(false, SeqCst)
    }

    pub(super) fn count_change(&self) {
        self.changes.fetch_add(1, SeqCst);
    }

    pub(super) async fn held(&self) {
        // Subscribed before the time is read: a release after a change of the time reaches calls with the old time.
        let mut released = self.release.subscribe();
        let jitter = rand::random_range(0..=self.jitter_ms.load(SeqCst));
        let time = Duration::from_millis(self.hold_ms.load(SeqCst).saturating_add(jitter));
        if !time.is_zero() {
            // The sender exists as long as the node.
            let _ = tokio::time::timeout(time, released.changed()).await;
        }
    }

    pub(super) async fn engines_work(&self) {
        let time = Duration::from_micros(self.per_user_us.load(SeqCst));
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    fn execute(&self, command: Command) -> Value {
        match command {
            Command::Users => return json!(self.users()),
            Command::Events => return json!(self.events()),
            Command::Apart => return json!(self.apart()),
            Command::Totals => return json!(self.totals()),
            Command::AddUsage { user, bytes } => self.add_usage(user, bytes),
            Command::DropConnections => self.drop_connections(),
            Command::Restart => self.restart(),
            Command::EndSync => self.end_sync(),
            Command::Refuse { on } => self.refuse(on),
            Command::Hold { ms } => self.hold(Duration::from_millis(ms)),
            Command::SlowEngines { micros } => self.slow_engines(Duration::from_micros(micros)),
            Command::Fail { calls } => self.fail_next(calls),
            Command::LoseReply => self.lose_next_reply(),
            Command::Log { line } => return json!(self.log(&line)),
            Command::KillEngine { name, line } => self.kill_engine(&name, &line),
            Command::ReviveEngine { name } => self.revive_engine(&name),
            Command::ReplyRaw { call, hex, times } => match hex::decode(hex) {
                Ok(piece) => {
                    let reply = RawReply { pieces: vec![piece], times };
                    self.reply_raw(&call, (times > 0).then_some(reply));
                }
                Err(error) => return json!({"error": error.to_string()}),
            },
        }
        json!("done")
    }
}

/// `{"do": "add_usage", "user": 7, "bytes": 1000}`
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Command {
    Users,
    Events,
    Apart,
    Totals,
    AddUsage {
        user: u32,
        bytes: u64,
    },
    DropConnections,
    Restart,
    EndSync,
    Refuse {
        on: bool,
    },
    Hold {
        ms: u64,
    },
    SlowEngines {
        micros: u64,
    },
    Fail {
        calls: u32,
    },
    LoseReply,
    Log {
        line: String,
    },
    KillEngine {
        name: String,
        line: String,
    },
    ReviveEngine {
        name: String,
    },
    /// A message of this piece, repeated; 0 times: as before.
    ReplyRaw {
        call: String,
        hex: String,
        times: usize,
    },
}

/// Executes the commands of all clients.
pub async fn serve(listener: TcpListener, controls: Controls) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_client(stream, controls.clone()));
    }
}

async fn serve_client(mut stream: TcpStream, controls: Controls) {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match serde_json::from_str(&line) {
            Ok(command) => controls.0.execute(command),
            Err(error) => json!({"error": error.to_string()}),
        };
        if write.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
