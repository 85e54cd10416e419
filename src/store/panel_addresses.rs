//! The table `panel_address`: the addresses under which clients reach the panel, the same for all panels of a cluster.

use std::net::IpAddr;

use sqlx::query_as;

use crate::domain::panel_address::{AddressSource, FoundAddress, StoredAddress};
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    ALL = "SELECT family, address, source, host FROM panel_address ORDER BY family";
    LOCK =>
        pg "SELECT family, address, source, host FROM panel_address WHERE family = $1 FOR UPDATE",
        lite "SELECT family, address, source, host FROM panel_address WHERE family = $1";
    INSERT =
        "INSERT INTO panel_address (family, address, source, host) VALUES ($1, $2, $3, $4) ON CONFLICT (family) DO NOTHING";
    UPDATE = "UPDATE panel_address SET address = $2, source = $3, host = $4 WHERE family = $1";
}

row! {
    struct AddressRow {
        family: i64,
        address: String,
        source: String,
        host: String,
    }
}

/// Returns the stored addresses, IPv4 first.
pub async fn all(db: &Db) -> Result<Vec<StoredAddress>, StoreError> {
    let rows = db_read!(db, ALL, |sql, c| query_as::<_, AddressRow>(sql).fetch_all(c).await)?;
    Ok(rows.into_iter().filter_map(AddressRow::read).collect())
}

/// Stores an address if there is none of its family; otherwise locks and returns that one.
pub async fn insert_or_lock(
    tx: &mut Tx,
    found: &FoundAddress,
    host: &str,
) -> Result<Option<StoredAddress>, StoreError> {
    let family = family(found.ip);
    let inserted = db_affected!(tx, INSERT, family, found.ip.to_string(), found.source.word(), host)?;
    if inserted == 1 {
        return Ok(None);
    }
    let row = db_run!(tx, LOCK, |sql, c| query_as::<_, AddressRow>(sql).bind(family).fetch_optional(c).await)?;
    Ok(row.and_then(AddressRow::read))
}

/// Replaces the address of the same family.
pub async fn replace(tx: &mut Tx, found: &FoundAddress, host: &str) -> Result<(), StoreError> {
    db_execute!(tx, UPDATE, family(found.ip), found.ip.to_string(), found.source.word(), host)
}

const fn family(ip: IpAddr) -> i64 {
    match ip {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 6,
    }
}

impl AddressRow {
    /// `None`: not written by this program.
    fn read(self) -> Option<StoredAddress> {
        let ip: IpAddr = self.address.parse().ok().filter(|ip| family(*ip) == self.family)?;
        Some(StoredAddress { ip, source: AddressSource::from_word(&self.source)?, host: self.host })
    }
}
