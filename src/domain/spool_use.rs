//! Use of the spool of a host.

use serde::{Deserialize, Serialize};

/// The spool files of a host's data folder that are not empty: their replies may not be in the database yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolUse {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// When the one that has not been written to for longest was last written to, in unix microseconds by the host's
    /// clock.
    pub since: Option<i64>,
}
