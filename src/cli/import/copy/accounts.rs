//! Copies settings, admins, services and users.

use futures_util::{StreamExt, TryStreamExt};

use super::copier::{CHUNK, Copier};
use super::known_ids::reference_pair;
use crate::cli::import::outcome::{Outcome, TableCounts};
use crate::cli::import::rows::reader::RowReader;
use crate::cli::import::rows::{accounts, settings};
use crate::store::import::legacy;
use crate::store::import::tables::{AdminServiceRow, UserServiceRow};

impl Copier<'_> {
    pub(super) async fn accounts(&mut self) -> anyhow::Result<()> {
        self.single_row(legacy::SETTINGS, settings::settings).await?;
        self.single_row(legacy::JWT, settings::jwt).await?;
        self.single_row(legacy::TLS, settings::tls).await?;
        self.table(legacy::ADMINS, &["id"], |row, known, _| {
            let admin = accounts::admin(row)?;
            known.admins.insert(admin.id);
            Some(admin)
        })
        .await?;
        self.table(legacy::SERVICES, &["id"], |row, known, _| {
            let service = accounts::service(row)?;
            known.services.insert(service.id);
            Some(service)
        })
        .await?;
        self.table(legacy::ADMINS_SERVICES, &["admin_id", "service_id"], |row, known, _| {
            let (admin_id, service_id) =
                reference_pair(row, ("admin_id", &known.admins), ("service_id", &known.services))?;
            Some(AdminServiceRow { admin_id, service_id })
        })
        .await?;
        self.users().await?;
        self.table(legacy::USERS_SERVICES, &["user_id", "service_id"], |row, known, sample| {
            let (user_id, service_id) =
                reference_pair(row, ("user_id", &known.users), ("service_id", &known.services))?;
            sample.user_service(user_id, service_id);
            Some(UserServiceRow { user_id, service_id })
        })
        .await
    }

    /// Copies the users, whose columns are in three tables of this panel.
    async fn users(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        let known = &mut self.known;
        let Outcome { tables, issues, sample, sums, .. } = &mut self.outcome;
        let mut counts = TableCounts::new(legacy::USERS.name);
        let mut chunks = self.source.rows(legacy::USERS).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            let (mut users, mut traffic, mut fetches) = (Vec::new(), Vec::new(), Vec::new());
            for row in &chunk {
                let mut row = RowReader::new(row, legacy::USERS.name, &["id"], issues);
                let Some(user) = accounts::user(&mut row, |admin| known.admins.contains(&admin), now) else { continue };
                known.users.insert(user.account.id);
                sums.used += i128::from(user.traffic.used_traffic);
                sums.lifetime += i128::from(user.traffic.lifetime_used_traffic);
                sample.user(&user);
                users.push(user.account);
                traffic.push(user.traffic);
                fetches.extend(user.fetch);
            }
            self.target.insert(&users).await?;
            self.target.insert(&traffic).await?;
            self.target.insert(&fetches).await?;
            counts.add(chunk.len(), users.len());
            self.progress.advance(counts.table, chunk.len());
        }
        tables.push(counts);
        Ok(())
    }
}
