//! Where back-ups are: a file, a folder with files that are named by their time, or a folder in a bucket of S3.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::files::{self, PendingFile};
use super::names::name;
use super::s3::{PendingObject, S3Place};
use crate::config::backup::S3Settings;
use crate::domain::moment::Moment;

/// A file or a folder.
#[derive(Clone, Debug)]
pub enum Place {
    /// One file.
    File(PathBuf),
    /// A folder, for many back-ups.
    Folder(PathBuf),
    /// A folder in a bucket, or an object to read.
    S3(S3Place),
}

/// A back-up that is being written. It gets its name when it is complete; dropped before, it is removed.
pub enum Pending {
    /// A file.
    File(PendingFile),
    /// An object of S3.
    Object(PendingObject),
}

impl Place {
    /// Reads an address of S3 or a path: that of an existing folder, or one that ends with a slash, is a folder.
    pub fn parse(text: &str, s3: &S3Settings) -> Result<Self, BackupError> {
        let path = PathBuf::from(text);
        match text.strip_prefix("s3://") {
            Some(rest) => S3Place::parse(rest, s3).map(Self::S3),
            None if text.ends_with('/') || path.is_dir() => Ok(Self::Folder(path)),
            None => Ok(Self::File(path)),
        }
    }

    /// Reads an address of S3 or the path of a folder.
    pub fn folder(text: &str, s3: &S3Settings) -> Result<Self, BackupError> {
        Ok(match Self::parse(text, s3)? {
            Self::File(path) => Self::Folder(path),
            other => other,
        })
    }

    /// Begins to write a back-up.
    pub async fn begin(&self, now: Moment, encrypted: bool) -> Result<Pending, BackupError> {
        match self {
            Self::File(path) => PendingFile::begin(path.clone()).map(Pending::File),
            Self::Folder(folder) => PendingFile::begin(folder.join(name(now, encrypted))).map(Pending::File),
            Self::S3(place) => place.begin(&name(now, encrypted)).await.map(Pending::Object),
        }
    }

    /// Returns the address of the file, or of the newest back-up of the folder.
    pub async fn newest(&self) -> Result<String, BackupError> {
        match self {
            Self::File(path) => Ok(path.display().to_string()),
            Self::Folder(folder) => newest(folder).await.map(|path| path.display().to_string()),
            Self::S3(place) => place.newest_address().await,
        }
    }

    /// Opens a back-up: the file, or the newest of the folder. Returns its address.
    pub async fn open(&self) -> Result<(String, Box<dyn Read + Send>), BackupError> {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Folder(folder) => newest(folder).await?,
            Self::S3(place) => {
                let (address, object) = place.open().await?;
                return Ok((address, Box::new(object)));
            }
        };
        let address = path.display().to_string();
        let failed = BackupError::io(format!("could not open {address}"));
        let file = blocking(move || File::open(path).map_err(failed)).await?;
        Ok((address, Box::new(file)))
    }

    /// Removes the back-ups of the folder but the one that was just made, which has this address, and the newest others, `keep`
    /// in all. Returns their number.
    pub async fn remove_all_but(&self, made: &str, keep: usize) -> Result<usize, BackupError> {
        let made = made.rsplit('/').next().unwrap_or(made).to_owned();
        match self {
            Self::File(_) => Ok(0),
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || files::remove_all_but(&folder, &made, keep)).await
            }
            Self::S3(place) => place.remove_all_but(&made, keep).await,
        }
    }

    /// Removes what processes that were killed have left of back-ups in a folder. Returns the number of files. A bucket has
    /// rules for that.
    pub async fn remove_left_behind(&self) -> Result<usize, BackupError> {
        match self {
            Self::File(_) | Self::S3(_) => Ok(0),
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || files::remove_left_behind(&folder)).await
            }
        }
    }
}

impl Pending {
    /// Gives the back-up its name. Returns its address and its size.
    pub async fn finish(self) -> Result<(String, u64), BackupError> {
        match self {
            Self::File(file) => {
                let (path, bytes) = blocking(move || file.finish()).await?;
                Ok((path.display().to_string(), bytes))
            }
            Self::Object(object) => object.finish().await,
        }
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Object(object) => object.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Object(object) => object.flush(),
        }
    }
}

/// Syncing a large file takes seconds, in which a thread of the runtime would serve nobody.
/// Returns the newest back-up of a folder.
async fn newest(folder: &Path) -> Result<PathBuf, BackupError> {
    let folder = folder.to_owned();
    blocking(move || files::newest(&folder)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let died = |error| BackupError::Refused(format!("the thread that works on files of back-ups died: {error}"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(died(error)))
}
