//! The audit log as use cases see it: what a transaction changed and recorded, and the verification of the log.

use std::collections::BTreeSet;

use crate::domain::audit::chain::{self, SealedEntry};
use crate::domain::change::{Change, Unchanged};
use crate::store::audit::entries::{self, AuditRow};
use crate::store::audit::seals::{self, Link, Seal};
use crate::store::{Db, StoreError};

/// Entries of one seal, at most: the leader seals no more at once.
pub const ENTRIES_PER_SEAL: i64 = 1_000;

/// Action of the entry that says where the stored chain begins since entries were deleted.
pub const PRUNE_ACTION: &str = "audit.prune";

/// The change that a transaction made, with its entry in the audit log. Only [`Panel::record`](super::Panel::record) makes one of a
/// change, so that no change is without an entry.
#[derive(Debug)]
pub struct Recorded(Option<Change>);

impl Recorded {
    pub(super) const fn of(change: Option<Change>) -> Self {
        Self(change)
    }

    pub(super) const fn change(self) -> Option<Change> {
        self.0
    }
}

impl From<Unchanged> for Recorded {
    fn from(_: Unchanged) -> Self {
        Self(None)
    }
}

/// A recorded change, or nothing if there was none.
impl From<Option<Self>> for Recorded {
    fn from(recorded: Option<Self>) -> Self {
        recorded.unwrap_or(Self(None))
    }
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Faults, in the order of the log. Empty if nobody changed the sealed entries.
    pub faults: Vec<String>,
    /// Number of faults, of which `faults` has the first.
    pub fault_count: u64,
    /// Number of seals.
    pub seals: u64,
    /// Number of sealed entries.
    pub entries: u64,
    /// Number of entries that the leader has not sealed yet: nothing protects them before.
    pub unsealed: i64,
    /// Number of the newest seal; 0 if there is none.
    pub last_seal: i64,
    /// Digest of the newest seal. An operator who stores it elsewhere can prove later that the log up to there is the same.
    pub digest: String,
}

/// Faults that a verification describes; all are counted.
const MAX_FAULTS: usize = 100;
const SEALS_AT_ONCE: i64 = 200;
/// Passes of a verification beside deletions of old entries: more than an hour's run of the task has parts.
const MAX_PASSES: u32 = 20;

impl Verification {
    fn fault(&mut self, text: String) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(text);
        }
    }

    /// Checks a seal and its entries, which follow the link before.
    fn check(&mut self, previous: &Link, seal: &Seal, rows: &[AuditRow]) {
        if seal.sequence != previous.sequence + 1 {
            self.fault(format!("seals {} to {} are missing", previous.sequence + 1, seal.sequence - 1));
        }
        for row in rows {
            if row.computed_digest() != row.digest {
                self.fault(format!("entry {} was changed", row.id));
            }
        }
        if rows.len() as i64 != seal.entries {
            self.fault(format!(
                "seal {} covers {} entries, but there are {}: some were removed or inserted",
                seal.sequence,
                seal.entries,
                rows.len()
            ));
        }
        let entries: Vec<SealedEntry> =
            rows.iter().map(|row| SealedEntry { id: row.id, digest: row.computed_digest() }).collect();
        if chain::seal(seal.sequence, &previous.digest, &entries) != seal.digest {
            self.fault(format!(
                "seal {} does not fit its entries and the seal before: something in it was changed, removed or inserted",
                seal.sequence
            ));
        }
        self.seals += 1;
        self.entries += rows.len() as u64;
    }
}

/// Checks the whole log against its seals. `expected` are digests of seals that were stored elsewhere.
///
/// The log is read in many statements. If the leader deletes old entries meanwhile, what is missing is no fault.
pub async fn verify(db: &Db, expected: &[(i64, String)]) -> Result<Verification, StoreError> {
    let mut start = seals::start(db).await?;
    for _ in 1..MAX_PASSES {
        let found = pass(db, expected, &start).await?;
        let start_after = seals::start(db).await?;
        if found.fault_count == 0 || start_after == start {
            return Ok(found);
        }
        start = start_after;
    }
    pass(db, expected, &start).await
}

/// Checks the log once, which begins at `start`.
async fn pass(db: &Db, expected: &[(i64, String)], start: &Link) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    let mut last = start.clone();
    let mut seen = BTreeSet::new();
    loop {
        let page = seals::after(db, last.sequence, SEALS_AT_ONCE).await?;
        if page.is_empty() {
            break;
        }
        for seal in page {
            // One more than a seal may have, so that an inserted one is seen.
            let rows = entries::of_seal(db, seal.sequence, ENTRIES_PER_SEAL + 1).await?;
            found.check(&last, &seal, &rows);
            if let Some((_, digest)) = expected.iter().find(|(sequence, _)| *sequence == seal.sequence) {
                seen.insert(seal.sequence);
                if *digest != seal.digest {
                    found.fault(format!("seal {} has another digest than the expected one", seal.sequence));
                }
            }
            last = Link { sequence: seal.sequence, digest: seal.digest };
        }
    }
    for (sequence, _) in expected.iter().filter(|(sequence, _)| !seen.contains(sequence)) {
        found.fault(format!("seal {sequence}, of which a digest is expected, is not in the log"));
    }
    if let Some(entry) = seals::lone_entry(db).await? {
        found.fault(format!("entry {entry} has a seal that is not in the log"));
    }
    if start.sequence > 0 && !start_is_recorded(db, start).await? {
        found.fault(format!(
            "entries up to seal {} were removed, and no entry says that their time was over",
            start.sequence
        ));
    }
    found.unsealed = seals::unsealed(db).await?;
    found.last_seal = last.sequence;
    found.digest = last.digest;
    Ok(found)
}

/// True if the newest entry of a deletion names this beginning of the chain.
async fn start_is_recorded(db: &Db, start: &Link) -> Result<bool, StoreError> {
    let filter = entries::AuditFilter { action: PRUNE_ACTION.to_owned(), ..entries::AuditFilter::default() };
    let newest = entries::page(db, &filter, 1).await?.pop();
    let recorded = newest.and_then(|row| row.after_change);
    Ok(recorded == Some(start_text(start).to_string()))
}

/// How the entry of a deletion names the new beginning of the chain.
pub fn start_text(start: &Link) -> serde_json::Value {
    serde_json::json!({"digest": start.digest, "sequence": start.sequence})
}
