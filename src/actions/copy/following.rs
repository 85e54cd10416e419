//! One step of following a source: its changes are applied as they come, and all users are walked through again and again.
//!
//! Such a pass fills a new copy, and later checks and repairs it and refreshes what the log of changes leaves out: traffic, and the
//! times of the last traffic and fetch. A step reads and writes in turn, so that nothing older ever replaces anything newer.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::pass::{Begins, Pass};
use super::prepared::is_shared_part_readable;
use super::source::{Source, SourceError};
use super::{LocalCopy, SharedPartState};
use crate::domain::copy::{Agreement, Position, Update};
use crate::foundation::with_sources;
use crate::store::copy::file::{CopyFile, CopyState};
use crate::store::{Condition, StoreError};
use crate::subscription::shared_part::SharedPart;

/// Longest pause between two looks at the log of changes.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Users in a page of the first pass, and of later ones. A later page is read once a second: a million users in half an hour.
const FIRST_PAGE: i64 = 1_000;
const PAGE: i64 = 500;
/// The state of a copy without changes is written this often.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);

/// When the next step is due.
pub(super) enum Next {
    AtOnce,
    AfterAWakeUp,
}

/// The part that failed in a step.
pub(super) enum Failure {
    Source(SourceError),
    File(StoreError),
}

/// An open copy that is followed with.
pub(super) struct Following<'a> {
    copy: &'a LocalCopy,
    source: &'a Source,
    file: CopyFile,
    /// `None`: the copy is empty, or of another database.
    position: Option<Position>,
    /// Up to where changes were read while nothing could be written.
    ahead: Option<Position>,
    begins: Begins,
    /// True from a loss of the source until its history was compared with the position's.
    pub(super) is_unsure: bool,
    pass: Option<Pass>,
    next_pass: Instant,
    written_at: Option<Instant>,
    /// True if a write succeeded after the last one that failed.
    pub(super) has_written: bool,
    /// The source's shared part is from a version that this one can't read.
    is_shared_part_unreadable: bool,
}

impl<'a> Following<'a> {
    pub(super) async fn open(copy: &'a LocalCopy, source: &'a Source) -> Result<Self, StoreError> {
        let mut file = CopyFile::open_or_create(&copy.file_path()).await?;
        let fault = match file.first_fault().await {
            Err(error) if error.condition() == Some(Condition::Damaged) => Some(error.reason().to_owned()),
            fault => fault?,
        };
        if let Some(fault) = fault {
            tracing::warn!(fault, "the local copy of subscriptions is damaged; a new one is made");
            file.close().await;
            file = CopyFile::create(&copy.file_path()).await?;
        }
        let state = file.state().await?;
        let position = state.position.clone();
        // A first pass that did not reach its end begins again.
        let pass = (!state.is_whole).then(|| Pass::new(true));
        copy.opened(&file, state).await?;
        Ok(Self {
            copy,
            source,
            file,
            position,
            ahead: None,
            begins: Begins::default(),
            is_unsure: true,
            pass,
            next_pass: Instant::now(),
            written_at: None,
            has_written: false,
            is_shared_part_unreadable: false,
        })
    }

    /// Reads what changed, then a part of the pass.
    pub(super) async fn step(&mut self) -> Result<Next, Failure> {
        let now = self.copy.now();
        self.is_unsure |= self.lacks_shared_part();
        let Some(position) = self.followable().await? else { return self.begin_again().await };
        let Some(update) = self.source.update(&position).await.map_err(Failure::Source)? else {
            return self.begin_again().await;
        };
        let has_more = update.has_more;
        self.apply(update, now).await?;
        if has_more {
            return Ok(Next::AtOnce);
        }
        if self.pass.is_none() && self.next_pass <= Instant::now() {
            self.pass = Some(Pass::new(false));
        }
        match &self.pass {
            Some(pass) if pass.is_first || pass.next_page <= Instant::now() => self.continue_pass().await,
            _ => Ok(Next::AfterAWakeUp),
        }
    }

    /// Reads what changes for a time in which nothing is written. Who changes meanwhile is served from memory.
    pub(super) async fn look_on(&mut self, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            sleep(EVERY.min(end - Instant::now())).await;
            if end <= Instant::now() {
                return;
            }
            // The next step begins at the file's position, whatever is read here: each change once.
            let mut position = self.ahead.clone().or_else(|| self.position.clone());
            while let Some(from) = position.take()
                && let Ok(Some(update)) = self.source.update(&from).await
            {
                self.copy.not_written(&update);
                self.ahead = Position::from_text(&update.position);
                position = if update.has_more { self.ahead.clone() } else { None };
            }
        }
    }

    /// The position, unless the database is another one or has another history.
    async fn followable(&mut self) -> Result<Option<Position>, Failure> {
        let Some(position) = self.position.clone() else { return Ok(None) };
        if self.is_unsure {
            let current = self.source.position(Some(&position)).await.map_err(Failure::Source)?;
            if (&current.database, &current.incarnation) != (&position.database, &position.incarnation) {
                return Ok(None);
            }
            // It may have been written by another version, or be damaged.
            let shared = self.source.shared_part().await.map_err(Failure::Source)?;
            let update = Update { shared: self.readable(shared), position: position.text(), ..Update::default() };
            self.write(&update, None).await?;
            self.confirm_credentials().await?;
            if self.lacks_shared_part() {
                let is_readable = is_shared_part_readable(&self.file).await.map_err(Failure::File)?;
                self.copy.shared_part_changed(is_readable);
            }
            self.is_unsure = false;
            return Ok(Some(position));
        }
        // The connections may lead to another server although none of the follower's statements failed: a restored back-up has the same
        // id, and numbers of changes that mean others.
        let incarnation = self.source.incarnation().await.map_err(Failure::Source)?;
        Ok(incarnation.is_none_or(|current| current == position.incarnation).then_some(position))
    }

    /// True if the copy has no shared part although this version can read the source's.
    fn lacks_shared_part(&self) -> bool {
        !self.is_shared_part_unreadable && self.copy.shared_part_state() == SharedPartState::Missing
    }

    /// The source has just been compared with the settings of this edge.
    async fn confirm_credentials(&self) -> Result<(), Failure> {
        let Some(own) = self.copy.0.credentials.get() else { return Ok(()) };
        let is_known = self.copy.view().state.credentials.as_deref() == Some(*own);
        if !is_known {
            self.file.set_credentials(own).await.map_err(Failure::File)?;
            self.copy.credentials_are_right(own);
        }
        Ok(())
    }

    /// Begins a pass from the position of now. What is in the copy stays, and is as old as it was, until the end of the pass. If that was
    /// done a moment ago it waits, and the source is asked again: it may be two, of which one is the copy's.
    async fn begin_again(&mut self) -> Result<Next, Failure> {
        if !self.begins.may_begin(Instant::now()) {
            self.is_unsure = true;
            return Ok(Next::AfterAWakeUp);
        }
        let position = self.source.position(self.position.as_ref()).await.map_err(Failure::Source)?;
        let shared = self.source.shared_part().await.map_err(Failure::Source)?;
        let is_of_this_database = match &self.position {
            Some(before) => before.database == position.database,
            // A new file, or one that does not say whose users it has.
            None => self.copy.report().is_none_or(|report| report.users == 0),
        };
        if !is_of_this_database {
            tracing::warn!("the local copy of subscriptions is that of another database; a new one is made");
            self.file.clear().await.map_err(Failure::File)?;
            self.copy.opened(&self.file, CopyState::default()).await.map_err(Failure::File)?;
        }
        let update = Update { shared: self.readable(shared), position: position.text(), ..Update::default() };
        self.file.begin_again().await.map_err(Failure::File)?;
        self.write(&update, None).await?;
        self.confirm_credentials().await?;
        (self.position, self.pass, self.is_unsure) = (Some(position), Some(Pass::new(true)), false);
        self.ahead = None;
        if let Some(times) = self.begins.begun(Instant::now()) {
            tracing::error!(times, "the local copy of subscriptions begins again and again; {}", self.source.is_two());
        }
        Ok(Next::AtOnce)
    }

    async fn apply(&mut self, mut update: Update, now: Agreement) -> Result<(), Failure> {
        update.shared = update.shared.and_then(|shared| self.readable(shared));
        let is_complete = self.pass.as_ref().is_none_or(|pass| !pass.is_first);
        let agreed = (is_complete && !update.has_more).then_some(now);
        if let Some(pass) = &mut self.pass {
            pass.settle(&update);
        }
        let is_due = self.written_at.is_none_or(|at| at.elapsed() >= WRITTEN_EVERY);
        if !update.is_empty() || is_due {
            let written = self.write(&update, agreed.as_ref()).await;
            if written.is_err() {
                self.copy.not_written(&update);
            }
            written?;
            self.copy.written(&update);
            self.written_at = Some(Instant::now());
        }
        self.ahead = None;
        // A pass that fills or repairs the copy has not reached all users yet.
        if agreed.is_some() {
            self.copy.all_is_written();
        }
        if !update.users.is_empty() || !update.gone.is_empty() {
            self.count().await?;
        }
        self.position = Position::from_text(&update.position);
        if let Some(agreed) = agreed {
            self.copy.agreed(agreed);
        }
        Ok(())
    }

    /// Writes an update to the file.
    async fn write(&mut self, update: &Update, agreed: Option<&Agreement>) -> Result<(), Failure> {
        if self.file.apply(update, agreed).await.map_err(Failure::File)? {
            self.copy.shared_part_changed(true);
        }
        self.has_written = true;
        Ok(())
    }

    /// The shared part, unless this version can't read it: then the one before it stays in the copy.
    fn readable(&mut self, shared: Vec<u8>) -> Option<Vec<u8>> {
        let is_readable = SharedPart::from_json(&shared).is_some();
        if !is_readable && !self.is_shared_part_unreadable {
            tracing::error!(
                "hosts and settings of subscriptions were written by a newer version, which this one can't read; those from before \
                 stay in the local copy: update this program"
            );
        }
        self.is_shared_part_unreadable = !is_readable;
        self.copy.source_is_newer(!is_readable);
        is_readable.then_some(shared)
    }

    async fn continue_pass(&mut self) -> Result<Next, Failure> {
        let Some(pass) = &mut self.pass else { return Ok(Next::AfterAWakeUp) };
        let is_first = pass.is_first;
        let limit = if is_first { FIRST_PAGE } else { PAGE };
        let page = self.source.page(pass.after, limit).await.map_err(Failure::Source)?;
        let difference = self.file.put_page(pass.after, &page).await.map_err(Failure::File)?;
        self.copy.page_written(pass.after, difference.last);
        if !is_first {
            pass.suspects = difference.logged;
            pass.next_page = Instant::now() + EVERY;
        }
        if let Some(last) = difference.last {
            pass.after = last;
        } else {
            self.end_pass().await?;
        }
        if difference.changed > 0 {
            self.count().await?;
        }
        // Also after its end: the next update makes the copy one that serves.
        Ok(if is_first { Next::AtOnce } else { Next::AfterAWakeUp })
    }

    async fn end_pass(&mut self) -> Result<(), Failure> {
        // Ended only once it is written.
        if self.pass.as_ref().is_some_and(|pass| pass.is_first) {
            // The next update says since when it agrees, and is written at once.
            self.file.complete().await.map_err(Failure::File)?;
            self.written_at = None;
        }
        let Some(pass) = self.pass.take() else { return Ok(()) };
        self.next_pass = pass.began + self.source.pass_every();
        let users = self.count().await?;
        if pass.is_first {
            let seconds = pass.began.elapsed().as_secs();
            tracing::info!(users, seconds, "the local copy of subscriptions is complete");
        }
        Ok(())
    }

    /// Reads and reports the number of users.
    async fn count(&self) -> Result<i64, Failure> {
        let users = self.file.state().await.map_err(Failure::File)?.users;
        self.copy.counted(users);
        Ok(users)
    }

    /// The file is of no use any more: the next opening makes a new one.
    pub(super) fn discard(self) {
        if let Err(error) = CopyFile::remove(self.file.path()) {
            tracing::warn!(error = with_sources(&error), "could not remove the local copy of subscriptions");
        }
    }
}
