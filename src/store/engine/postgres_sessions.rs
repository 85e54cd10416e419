//! PostgreSQL's open connections: how they are made, proven, kept idle and discarded.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

use super::condition::Condition;
use super::error_codes;
use crate::foundation::lock;

/// A connection used this recently is used again without a ping.
const TRUSTED_FOR: Duration = Duration::from_millis(250);
/// Time limit of a ping.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Time limit of an attempt to connect: at 200 ms per round trip TCP, TLS and the password take 1.6 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// First pause between two attempts to connect to a server that is starting; doubled up to 20 times.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Age at which a connection is closed instead of returned.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// Time after which an unused connection is closed.
const MAX_IDLE: Duration = Duration::from_secs(10 * 60);
/// Settings of each session. They are no start-up parameters, because pgbouncer rejects unknown ones, and they are not set
/// through a pgbouncer in transaction mode, where they would reach a random server connection.
///
/// - With a million users PostgreSQL's cost estimates trigger JIT compilation, which takes longer than it saves.
/// - A panel that vanishes must not keep rows locked: the server notices within 11 s that its host is gone, ends a
///   statement whose client has closed the connection after a second, and a transaction of a stopped process after 10 s.
/// - A connection that was cut off may stay open on the server's side, at a pooler for example. Changes that wait there
///   for a lock end after 6 s, later than the panel gives up. Otherwise each would take the lock from the one before it
///   and hold it for 10 s.
const SETTINGS: &str = "SET jit = off; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;
    SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000; SET client_connection_check_interval = 1000;
    SET idle_in_transaction_session_timeout = 10000; SET lock_timeout = 6000";
/// For a server whose operating system lacks some of them.
const FEWER_SETTINGS: &str = "SET jit = off; SET idle_in_transaction_session_timeout = 10000; SET lock_timeout = 6000";

/// The sessions of a pool.
pub(super) struct Sessions {
    connect: PgConnectOptions,
    /// Connections lead to the server, not to a pgbouncer in transaction mode.
    direct: bool,
    /// Connections that are not lent, the last used one at the end.
    idle: Mutex<Vec<Session>>,
    /// Changes when the open connections are found unusable. Connections of earlier generations are not used again.
    generation: AtomicU64,
    closed: AtomicBool,
    opened: Instant,
    /// Time of the last answer on any connection, in microseconds since `opened`.
    last_answer: AtomicU64,
    /// Connections last used before this time must answer a ping first; in microseconds since `opened`.
    suspect_until: AtomicU64,
    /// The last refusal of a connection that was tried again, and its time.
    refusal: Mutex<Option<(Instant, Condition)>>,
    /// Notified when the database answers nothing at all.
    pub(super) lost: Notify,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: PgConnection,
    opened: Instant,
    last_used: Instant,
    generation: u64,
}

impl Sessions {
    /// No connection yet. `direct`: they will lead to the server, not to a pgbouncer in transaction mode.
    pub(super) fn new(connect: PgConnectOptions, direct: bool) -> Self {
        Self {
            connect,
            direct,
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            opened: Instant::now(),
            last_answer: AtomicU64::new(0),
            suspect_until: AtomicU64::new(0),
            refusal: Mutex::default(),
            lost: Notify::new(),
        }
    }

    /// Returns a connection that was used just now, without asking the server.
    pub(super) fn trusted(&self) -> Option<Session> {
        let mut idle = self.idle();
        idle.pop_if(|last| {
            let suspect = self.micros(last.last_used) <= self.suspect_until.load(Ordering::Relaxed);
            last.last_used.elapsed() < TRUSTED_FOR && !suspect
        })
    }

    /// Returns an idle connection that answers a ping, or a new one.
    pub(super) async fn proven(&self, until: Instant) -> sqlx::Result<Session> {
        loop {
            let Some(mut session) = self.idle().pop() else { return self.connect(until).await };
            let unanswered = Unanswered { sessions: self, generation: session.generation, began: Instant::now() };
            match timeout(PING_TIMEOUT, session.connection.ping()).await {
                Ok(Ok(())) => {
                    std::mem::forget(unanswered);
                    self.answered(Instant::now());
                    return Ok(session);
                }
                // The session is closed by dropping it. The others lead to the same server.
                Ok(Err(_)) => self.distrust(session.generation),
                Err(_) => {}
            }
        }
    }

    /// Connects, and repeats it while the server is starting or has no connection left.
    async fn connect(&self, until: Instant) -> sqlx::Result<Session> {
        let mut pause = FIRST_PAUSE;
        loop {
            let generation = self.generation.load(Ordering::Relaxed);
            let attempt = timeout(CONNECT_TIMEOUT, self.new_connection()).await;
            let error = match attempt.unwrap_or_else(|_| Err(no_answer(CONNECT_TIMEOUT))) {
                Ok(connection) => {
                    let now = Instant::now();
                    self.answered(now);
                    return Ok(Session { connection, opened: now, last_used: now, generation });
                }
                Err(error) => error,
            };
            if let sqlx::Error::Database(_) = &error {
                self.answered(Instant::now());
            }
            let starting = match &error {
                sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
                sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
                _ => false,
            };
            if !starting || Instant::now() + pause >= until {
                return Err(error);
            }
            *lock(&self.refusal) = error_codes::condition(&error).map(|condition| (Instant::now(), condition));
            sleep(pause).await;
            pause = (pause * 2).min(FIRST_PAUSE * 20);
        }
    }

    /// Makes a connection beside the others, once, and closes it: only to see whether the server answers.
    pub(super) async fn try_connecting(&self) {
        if let Ok(session) = self.connect(Instant::now()).await {
            close(session);
        }
    }

    async fn new_connection(&self) -> sqlx::Result<PgConnection> {
        let mut connection = self.connect.connect().await?;
        if self.direct {
            match connection.execute(SETTINGS).await {
                // Invalid value, unknown parameter.
                Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("22023" | "42704")) => {
                    connection.execute(FEWER_SETTINGS).await?;
                }
                done => {
                    done?;
                }
            }
        }
        Ok(connection)
    }

    /// Returns a connection after use.
    pub(super) fn put_back(&self, mut session: Session) {
        let now = Instant::now();
        self.answered(now);
        session.last_used = now;
        let is_over = self.closed.load(Ordering::Relaxed) || now - session.opened > MAX_AGE;
        let mut idle = self.idle();
        let unused = idle.first().is_some_and(|first| now - first.last_used > MAX_IDLE).then(|| idle.remove(0));
        let over = if is_over || session.generation != self.generation.load(Ordering::Relaxed) {
            Some(session)
        } else {
            idle.push(session);
            None
        };
        drop(idle);
        [unused, over].into_iter().flatten().for_each(close);
    }

    /// Uses none of the connections of this generation again.
    pub(super) fn distrust(&self, generation: u64) {
        let next = generation.wrapping_add(1);
        if self.generation.compare_exchange(generation, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let idle = std::mem::take(&mut *self.idle());
            drop(idle);
        }
    }

    /// Uses none of the open connections again.
    pub(super) fn distrust_all(&self) {
        self.distrust(self.generation.load(Ordering::Relaxed));
    }

    /// Returns why the server refused a connection since then, if it did.
    pub(super) fn refusal_since(&self, asked: Instant) -> Option<Condition> {
        lock(&self.refusal).filter(|(at, _)| *at >= asked).map(|(_, condition)| condition)
    }

    /// True if any connection received an answer since then.
    pub(super) fn has_answered_since(&self, asked: Instant) -> bool {
        self.last_answer.load(Ordering::Relaxed) >= self.micros(asked)
    }

    /// Closes the idle connections, and each further one when it is returned.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let idle = std::mem::take(&mut *self.idle());
        for session in idle {
            // A connection that fails to close is closed as well.
            let _ = session.connection.close().await;
        }
    }

    /// Asks the idle connections before they are used: one of them missed a time limit.
    pub(super) fn suspect(&self) {
        self.suspect_until.store(self.micros(Instant::now()), Ordering::Relaxed);
    }

    pub(super) fn answered(&self, now: Instant) {
        self.last_answer.store(self.micros(now), Ordering::Relaxed);
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.opened).as_micros()).unwrap_or(u64::MAX)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        lock(&self.idle)
    }
}

/// A ping without an answer yet. Dropped after some time, by its own limit or a shorter one of the caller, no other
/// connection is tried in the same way.
struct Unanswered<'s> {
    sessions: &'s Sessions,
    generation: u64,
    began: Instant,
}

/// Time after which an unanswered ping speaks against all connections.
const SLOW_PING: Duration = Duration::from_millis(400);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.began.elapsed() >= SLOW_PING {
            self.sessions.distrust(self.generation);
        }
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.connect.get_host(), self.connect.get_port())
    }
}

impl Session {
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }
}

/// Says good-bye to the server, without a caller that waits for it.
fn close(session: Session) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(timeout(PING_TIMEOUT, session.connection.close()));
    }
}

/// The error of a server that did not answer in time.
pub(super) fn no_answer(limit: Duration) -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")).into()
}

/// A permit to have a connection open.
pub(super) type Permit = OwnedSemaphorePermit;
