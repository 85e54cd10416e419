//! Back-ups that a task makes: into one place, of which the oldest are removed.

use std::path::PathBuf;

use super::create::{CreateOptions, create};
use super::error::BackupError;
use super::place::{Pending, Place};
use crate::config::backup::{BackupSettings, S3Settings};
use crate::domain::moment::Moment;
use crate::store::Db;

/// The content and the place of scheduled back-ups.
#[derive(Debug)]
pub struct Scheduled {
    place: Place,
    settings: BackupSettings,
    data_dir: PathBuf,
}

impl Scheduled {
    /// Returns none without `BACKUP_TO`.
    pub fn new(settings: &BackupSettings, s3: &S3Settings, data_dir: PathBuf) -> Result<Option<Self>, BackupError> {
        let Some(to) = settings.to.as_deref() else { return Ok(None) };
        Ok(Some(Self { place: Place::folder(to, s3)?, settings: settings.clone(), data_dir }))
    }

    /// Returns `BACKUP_TO`.
    pub fn place(&self) -> &str {
        self.settings.to.as_deref().unwrap_or_default()
    }

    /// Writes a back-up, which has no name yet.
    pub async fn write(&self, db: &Db, now: Moment) -> Result<Pending, BackupError> {
        let BackupSettings { recipients, with_secrets, .. } = &self.settings;
        let file = self.place.begin(now, !recipients.is_empty()).await?;
        let (with_secrets, recipients) = (*with_secrets, recipients.clone());
        let options = CreateOptions { with_secrets, recipients, data_dir: Some(self.data_dir.clone()) };
        create(db, options, file, now).await.map(|(_, file)| file)
    }

    /// Removes the oldest back-ups, never the one that was just made, and what is left of those that were never finished. Returns
    /// their number.
    pub async fn remove_old(&self, made: &str) -> Result<usize, BackupError> {
        let left = self.place.remove_left_behind().await?;
        let keep = self.settings.keep;
        Ok(left + if keep == 0 { 0 } else { self.place.remove_all_but(made, keep).await? })
    }

    /// Returns the address of the back-up that a restore from the place would read, if it is another one than this, which was
    /// just made.
    pub async fn taken_for_newer(&self, made: &str) -> Result<Option<String>, BackupError> {
        Ok(Some(self.place.newest().await?).filter(|newest| newest != made))
    }
}
