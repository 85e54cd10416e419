//! Copies all tables, in the order in which rows refer to each other.

mod accounts;
mod copier;
mod known_ids;
mod nodes;
mod target;
mod traffic;

use self::copier::Copier;
pub(super) use self::target::Target;
use super::outcome::Outcome;
use super::progress::Progress;
use super::sample::Sample;
use crate::domain::moment::Moment;
use crate::store::import::legacy;
use crate::store::import::legacy::{OldTable, Source};

const TABLES: [&OldTable; 17] = [
    legacy::SETTINGS,
    legacy::JWT,
    legacy::TLS,
    legacy::ADMINS,
    legacy::SERVICES,
    legacy::ADMINS_SERVICES,
    legacy::USERS,
    legacy::USERS_SERVICES,
    legacy::NODES,
    legacy::BACKENDS,
    legacy::INBOUNDS,
    legacy::INBOUNDS_SERVICES,
    legacy::HOSTS,
    legacy::HOSTS_SERVICES,
    legacy::HOST_CHAINS,
    legacy::NODE_USAGES,
    legacy::NODE_USER_USAGES,
];

/// Reads all tables of `source`, and writes them to `target`.
pub(super) async fn copy(source: &mut Source, target: Target<'_>, now: Moment) -> anyhow::Result<Outcome> {
    let mut total = 0;
    for table in TABLES {
        total += source.count(table).await?;
    }
    let sample = Sample::new(source.count(legacy::USERS).await?);
    let mut copier = Copier::new(source, target, Progress::new(total), Outcome::new(sample), now);
    copier.accounts().await?;
    copier.nodes_and_hosts().await?;
    copier.traffic().await?;
    Ok(copier.finish())
}
