//! Reads a back-up as a sequence of parts, and names the part in errors.

use std::io::Read;

use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::age_keys::Identities;
use super::blocks::{BlockFault, BlockKind, BlockReader};
use super::envelope;
use super::error::BackupError;
use super::manifest::{FORMAT, Head, Manifest};
use crate::store::backup::Table;

/// A part of a back-up.
#[derive(Debug)]
pub(super) enum Part {
    Head(Head),
    /// Its rows follow.
    Table(Table),
    Rows(Vec<u8>),
    /// Its bytes follow.
    SpoolFile,
    SpoolBytes(Vec<u8>),
    End(Manifest),
}

/// The parts of a back-up that a thread reads.
pub(super) struct Parts(mpsc::Receiver<Result<Part, BackupError>>);

impl Parts {
    /// Starts the thread.
    pub(super) fn read(from: impl Read + Send + 'static, keys: Identities) -> Self {
        // A part has a megabyte at most, usually.
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            let mut reader = match Reader::open(from, &keys) {
                Ok(reader) => reader,
                Err(error) => return drop(sender.blocking_send(Err(error))),
            };
            loop {
                let next = reader.next();
                let is_last = matches!(next, Err(_) | Ok(Part::End(_)));
                // The receiver is dropped once it has an error of its own.
                if sender.blocking_send(next).is_err() || is_last {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// Waits for the next part.
    pub(super) async fn next(&mut self) -> Result<Part, BackupError> {
        let ended = || Err(BackupError::damaged("the end", "nothing may follow it"));
        self.0.recv().await.unwrap_or_else(ended)
    }
}

struct Reader {
    blocks: BlockReader<Box<dyn Read + Send>>,
    /// Where it is, for errors.
    part: String,
    spool_files: u64,
}

impl Reader {
    fn open(from: impl Read + Send + 'static, keys: &Identities) -> Result<Self, BackupError> {
        let blocks = BlockReader::new(envelope::open(from, keys)?);
        let blocks = blocks.map_err(BackupError::io("could not prepare to decompress"))?;
        Ok(Self { blocks, part: "its head".to_owned(), spool_files: 0 })
    }

    fn next(&mut self) -> Result<Part, BackupError> {
        let (kind, content) = self.blocks.read().map_err(|fault| self.fault(fault))?;
        Ok(match kind {
            BlockKind::Head => {
                let head: Head = self.json(&content)?;
                if head.format > FORMAT {
                    return Err(BackupError::Newer(format!(
                        "the back-up has the format {}, which is newer",
                        head.format
                    )));
                }
                Part::Head(head)
            }
            BlockKind::Table => {
                let table: Table = self.json(&content)?;
                self.part = format!("the table {}", table.name);
                Part::Table(table)
            }
            BlockKind::Rows => Part::Rows(content),
            BlockKind::SpoolFile => {
                self.spool_files += 1;
                self.part = format!("spool file {}", self.spool_files);
                Part::SpoolFile
            }
            BlockKind::SpoolBytes => Part::SpoolBytes(content),
            BlockKind::End => {
                "the end".clone_into(&mut self.part);
                let manifest = self.json(&content)?;
                self.blocks.expect_end().map_err(|fault| self.fault(fault))?;
                Part::End(manifest)
            }
        })
    }

    fn json<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, BackupError> {
        serde_json::from_slice(content).map_err(|error| BackupError::damaged(&self.part, error))
    }

    /// A block that can't be read may be the last of its part or the first of the next one.
    fn fault(&self, fault: BlockFault) -> BackupError {
        let part = format!("{} or behind it", self.part);
        match fault {
            BlockFault::CutShort => BackupError::CutShort { part },
            BlockFault::Damaged(reason) => BackupError::damaged(&part, reason),
            BlockFault::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                BackupError::damaged(&part, source)
            }
            BlockFault::Io(source) => {
                BackupError::Io { during: format!("could not read the back-up in {part}"), source }
            }
        }
    }
}
