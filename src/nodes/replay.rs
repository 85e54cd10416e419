//! Stages the replies in the spool file of a process that is gone, one at a time.

use std::io;
use std::path::Path;

use super::spool::{Contents, Orphan};
use crate::domain::moment::Moment;
use crate::foundation::with_sources;
use crate::store::usage::batches;
use crate::store::{Db, Fault, StoreError};

/// Why a reply could not be staged.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It will never be accepted.
    Final(&'static str),
    /// The database can't accept anything now, or this program has a bug.
    ForNow(StoreError),
}

impl Refusal {
    pub(super) fn of(error: StoreError) -> Self {
        match error.fault() {
            Fault::Data | Fault::Unique(_) | Fault::Reference => Self::Final("the database refuses its values"),
            Fault::Retry | Fault::Unavailable(_) | Fault::Other => Self::ForNow(error),
        }
    }
}

/// Stages every reply of the file and removes it. After an error the file stays as it is, for the next attempt: staging
/// a reply twice is harmless.
pub(super) async fn replay(db: &Db, orphan: Orphan, now: Moment) {
    let (mut orphan, mut replies, mut traffic) = (orphan, 0_usize, 0_i64);
    loop {
        let read = blocking(move || {
            let next = orphan.next_reply(now)?;
            Ok((orphan, next))
        });
        let next = match read.await {
            Ok((back, Some(next))) => {
                orphan = back;
                next
            }
            Ok((back, None)) => {
                orphan = back;
                break;
            }
            Err(error) => {
                tracing::warn!(%error, "could not read a spool file of another process; trying again in a minute");
                return;
            }
        };
        match batches::stage(db, next.id, &next.reply).await.map_err(Refusal::of) {
            Ok(_) => {
                replies += 1;
                traffic = traffic.saturating_add(next.reply.bytes());
            }
            Err(Refusal::Final(reason)) => {
                let set_aside = blocking(move || {
                    orphan.set_aside(&next, reason)?;
                    Ok(orphan)
                });
                match set_aside.await {
                    Ok(back) => orphan = back,
                    Err(error) => {
                        tracing::warn!(%error, "could not set a spooled usage reply aside; trying again in a minute");
                        return;
                    }
                }
            }
            Err(Refusal::ForNow(error)) => {
                tracing::warn!(
                    error = with_sources(&error),
                    "could not stage a usage reply of another process; trying again in a minute"
                );
                return;
            }
        }
    }
    match blocking(move || orphan.remove()).await {
        Ok(Some(contents)) => report(&contents, replies, traffic),
        Ok(None) => {
            tracing::debug!("a back-up reads the spool; a replayed file of it is removed after the next replay");
        }
        Err(error) => {
            tracing::warn!(%error, "could not remove a replayed spool file; replaying it again is harmless");
        }
    }
}

fn report(contents: &Contents, replies: usize, traffic: i64) {
    if replies > 0 {
        tracing::info!(replies, "staged usage replies that another process had spooled");
    }
    if contents.torn_bytes > 0 {
        tracing::error!(
            bytes = contents.torn_bytes,
            "a process died while spooling a usage reply; the incomplete record is dropped"
        );
    }
    if contents.damaged_bytes > 0 {
        metrics::counter!("usage_spool_damaged_bytes_total").increment(contents.damaged_bytes);
        tracing::error!(
            known_replies = replies,
            known_traffic = traffic,
            damaged_bytes = contents.damaged_bytes,
            file = contents.aside.as_ref().map(|path| tracing::field::display(path.display())),
            "a spool file is damaged; its whole records are staged, and the damaged bytes, whose traffic is unknown, are set aside: check the disk under DATA_DIR"
        );
    }
    if contents.refused > 0 {
        report_refused(contents.refused_traffic, contents.refused, contents.refused_because, contents.aside.as_deref());
    }
    for node in &contents.unanswered {
        metrics::counter!("usage_rpc_ambiguous_total", "node" => node.to_string()).increment(1);
        tracing::warn!(
            node = node.0,
            "a process died while fetching a node's usage; the bytes counted since its last fetch may be lost"
        );
    }
}

/// Reports replies that are set aside.
pub(super) fn report_refused(traffic: i64, replies: usize, reason: &str, file: Option<&Path>) {
    metrics::counter!("usage_refused_bytes_total").increment(traffic.unsigned_abs());
    tracing::error!(
        replies,
        traffic,
        reason,
        file = file.map(|path| tracing::field::display(path.display())),
        "usage replies that can't be recorded are set aside and not counted"
    );
}

/// Runs blocking work on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
