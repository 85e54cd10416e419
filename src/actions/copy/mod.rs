//! The local copy of what subscriptions need: it goes on when the database is away.

mod credentials;
mod fetches;
mod file_failures;
pub mod follower;
mod following;
mod pass;
mod prepared;
mod reading;
pub mod serving;
pub mod source;
mod unwritten;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::fetch_log::{self, FetchLog};
use crate::clock::Clock;
use crate::cluster::self_report::SelfReport;
use crate::domain::copy::{Agreement, CopyReport, Update};
use crate::domain::moment::SECOND;
use crate::foundation::lock;
use crate::store::copy::file::{CopyFile, CopyState};
use crate::store::{Db, StoreError};
use prepared::{PreparedSources, is_shared_part_readable};
use unwritten::Unwritten;

/// Pause between two requests that ask a source which failed.
const ATTEMPT_EVERY: Duration = Duration::from_secs(1);
/// Age up to which a copy may stand in for a source that is only slow.
const CURRENT: Duration = Duration::from_secs(5);
/// The file in its folder, and that of its lock.
const FILE: &str = "subscriptions.copy";
const LOCK: &str = "subscriptions.copy.lock";

/// The copy of this host, as all parts of a process see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalCopy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    clock: Clock,
    /// Age up to which subscriptions are served from it (microseconds).
    max_age: i64,
    /// At an edge, its `AUTH_GENERATION_ALGORITHM`: a copy of panels that have another one is not served.
    credentials: OnceLock<&'static str>,
    view: Mutex<View>,
    /// Sources of renderings that were prepared from it.
    prepared: tokio::sync::Mutex<Option<PreparedSources>>,
}

/// The part of a copy that all subscriptions share, as a process knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedPartState {
    /// It is that of the source, as far as this process knows.
    Current,
    /// That of the source was written by a version that this one can't read; the one before it stays.
    Outdated,
    /// There is none that this version can read: nothing can be rendered.
    Missing,
}

/// This process's knowledge of the copy and its source.
#[derive(Clone, Debug, Default)]
struct View {
    file: Option<CopyFile>,
    /// When this process opened its first file.
    opened: Option<Instant>,
    state: CopyState,
    /// When the copy last agreed with its source, as its age is counted from.
    agreed: Option<Agreement>,
    /// True if the file has a part that all subscriptions share, and this version can read it.
    is_shared_part_readable: bool,
    /// True if that of the source was written by a version that this one can't read.
    is_source_newer: bool,
    /// Users whose last change could not be written to the file.
    unwritten: Unwritten,
    /// Counts the changes of the shared part that this process has seen.
    shared_changes: u64,
    /// When the next request may ask the source, which failed; `None`: it answers.
    next_attempt: Option<Instant>,
    /// True if there may be fetches in the file.
    has_fetches: bool,
}

impl LocalCopy {
    /// The copy in this folder. Nothing is opened until somebody follows.
    pub fn new(folder: &Path, clock: Clock, max_age: i64) -> Self {
        let view = Mutex::new(View { has_fetches: true, ..View::default() });
        let (prepared, credentials) = (tokio::sync::Mutex::default(), OnceLock::new());
        Self(Arc::new(Shared { folder: folder.to_owned(), clock, max_age, credentials, view, prepared }))
    }

    /// Returns its state; `None` while it can't be opened.
    pub fn report(&self) -> Option<CopyReport> {
        let view = self.view();
        let age = view.agreed.as_ref().map(|agreed| self.age_of(agreed) / SECOND);
        view.file.is_some().then_some(CopyReport { age, users: view.state.users })
    }

    /// True if it agreed with the source a moment ago, and after this process last changed something.
    pub fn is_current(&self, last_change: Option<Instant>) -> bool {
        let now = Instant::now();
        let as_of = self.as_of().filter(|as_of| now.saturating_duration_since(*as_of) <= CURRENT);
        as_of.is_some_and(|as_of| last_change.is_none_or(|at| at < as_of))
    }

    /// Returns when it last agreed with the source: it has all changes from before.
    pub fn as_of(&self) -> Option<Instant> {
        let now = Instant::now();
        let age = self.view().agreed.as_ref().map(|agreed| self.age_of(agreed))?;
        now.checked_sub(Duration::from_micros(age.unsigned_abs()))
    }

    /// True if a request should ask the source before the copy: it did not fail lately, or this request is the one that tries it again.
    pub fn may_ask_source(&self) -> bool {
        let mut view = self.view();
        match view.next_attempt {
            None => true,
            Some(at) if at <= Instant::now() => {
                view.next_attempt = Some(Instant::now() + ATTEMPT_EVERY);
                true
            }
            Some(_) => false,
        }
    }

    /// Records that the source did not answer a request.
    pub fn source_failed(&self) {
        self.source_is_away(Instant::now() + ATTEMPT_EVERY);
    }

    /// Records that the source is known to be away, and when a request may ask it again.
    pub fn source_is_away(&self, next_attempt: Instant) {
        let was_away = self.view().next_attempt.replace(next_attempt).is_some();
        if !was_away {
            let age = self.report().and_then(|report| report.age);
            tracing::warn!(age, "the database is away; subscriptions are served from the local copy");
        }
    }

    /// Records that the source answered a request.
    pub fn source_answered(&self) {
        if self.view().next_attempt.take().is_some() {
            tracing::info!("the database is back; subscriptions are served from it again");
        }
    }

    /// The file was opened, or is another one than before.
    async fn opened(&self, file: &CopyFile, state: CopyState) -> Result<(), StoreError> {
        let is_readable = is_shared_part_readable(file).await?;
        let before = {
            let mut view = self.view();
            self.state_was_read(&mut view, state);
            view.is_shared_part_readable = is_readable;
            view.has_fetches = true;
            view.shared_changes += 1;
            view.opened.get_or_insert_with(Instant::now);
            view.file.replace(file.clone())
        };
        if let Some(before) = before.filter(|before| !before.is_same(file)) {
            before.close().await;
        }
        // Not earlier: a request that reads the file from before would get it without what was remembered.
        self.forget_what_another_wrote();
        Ok(())
    }

    /// Returns what is known of the part that all subscriptions share.
    pub fn shared_part_state(&self) -> SharedPartState {
        let view = self.view();
        match (view.is_shared_part_readable, view.is_source_newer) {
            (false, _) => SharedPartState::Missing,
            (true, true) => SharedPartState::Outdated,
            (true, false) => SharedPartState::Current,
        }
    }

    fn source_is_newer(&self, is_newer: bool) {
        self.view().is_source_newer = is_newer;
    }

    /// The file has another shared part than before.
    fn shared_part_changed(&self, is_readable: bool) {
        let mut view = self.view();
        view.is_shared_part_readable = is_readable;
        view.shared_changes += 1;
    }

    /// Changes of these users could not be written.
    fn not_written(&self, update: &Update) {
        let now = self.now();
        self.view().unwritten.add(update, now);
    }

    /// These users were written.
    fn written(&self, update: &Update) {
        self.view().unwritten.written(update);
    }

    /// The users behind this one were read and written, up to and including `last`; `None`: all of them.
    fn page_written(&self, after: i64, last: Option<i64>) {
        self.view().unwritten.page_written(after, last);
    }

    fn all_is_written(&self) {
        let _dropped_without_the_lock = self.view().unwritten.forget_all();
    }

    fn agreed(&self, agreed: Agreement) {
        let mut view = self.view();
        view.state.agreed = Some(agreed.clone());
        view.agreed = Some(agreed);
    }

    /// Takes over what the file says of itself.
    fn state_was_read(&self, view: &mut View, state: CopyState) {
        if view.state.agreed != state.agreed {
            view.agreed = state.agreed.clone().map(|agreed| self.countable(agreed));
        }
        self.compare_credentials(&view.state, &state);
        view.state = state;
    }

    /// The agreement, or this moment if the clock is behind it: since the host started, or the file came from another one.
    fn countable(&self, agreed: Agreement) -> Agreement {
        let now = self.now();
        let age = agreed.age(&now);
        if age >= 0 {
            return agreed;
        }
        if age < -SECOND {
            tracing::warn!(
                seconds = -age / SECOND,
                "the clock of this host is behind the local copy of subscriptions, whose age counts from now on; check the clock"
            );
        }
        now
    }

    fn counted(&self, users: i64) {
        self.view().state.users = users;
    }

    /// Writes fetches: into the file while the database is away, and from the file once it is back.
    pub async fn write_fetches(&self, fetches: &FetchLog, db: &Db) -> Result<(), StoreError> {
        let Some(file) = self.file() else { return fetches.flush(db, &self.0.clock).await.map(drop) };
        let error = match fetches.flush(db, &self.0.clock).await {
            Ok(_) => match self.write_waiting(&file, db).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if error.condition().is_none() {
            return Err(error);
        }
        self.view().has_fetches = true;
        fetches.flush_into(&file, &self.0.clock).await.map(drop)
    }

    /// Moves the fetches that wait in the file to the database.
    async fn write_waiting(&self, file: &CopyFile, db: &Db) -> Result<(), StoreError> {
        // Cleared before the file is read.
        if !std::mem::take(&mut self.view().has_fetches) {
            return Ok(());
        }
        match fetch_log::write_waiting(file, db).await {
            Ok(0) => Ok(()),
            Ok(users) => {
                tracing::info!(users, "saved the subscription fetches from the time without the database");
                Ok(())
            }
            Err(error) => {
                self.view().has_fetches = true;
                Err(error)
            }
        }
    }

    /// Closes the file: it can't be used, or is opened otherwise.
    async fn close(&self) {
        let file = self.view().file.take();
        if let Some(file) = file {
            file.close().await;
        }
    }

    /// Publishes its state: as metrics, and to the other members.
    fn publish(&self, own: &SelfReport) {
        let report = self.report();
        own.copy_seen(report);
        let Some(CopyReport { age, users }) = report else { return };
        metrics::gauge!("subscription_copy_users").set(users as f64);
        if let Some(age) = age {
            metrics::gauge!("subscription_copy_age_seconds").set(age as f64);
        }
    }

    /// Microseconds since an agreement. Within one boot of the host, nobody can set the clock that says so.
    fn age_of(&self, agreed: &Agreement) -> i64 {
        agreed.age(&self.now()).max(0)
    }

    /// A reading of this host's clocks.
    fn now(&self) -> Agreement {
        let clock = &self.0.clock;
        Agreement { at: clock.now(), since_boot: clock.boot(), boot: clock.boot_id().to_owned() }
    }

    fn file_path(&self) -> PathBuf {
        self.0.folder.join(FILE)
    }

    fn lock_path(&self) -> PathBuf {
        self.0.folder.join(LOCK)
    }

    fn file(&self) -> Option<CopyFile> {
        self.view().file.clone()
    }

    fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.0.view)
    }
}
