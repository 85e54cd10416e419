//! What can't be replayed is set aside: `<instance>.aside` beside the spool file. Nobody reads it but a person.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::foundation::{private_file, sync_folder};

/// The file, created with mode 0600 when the first bytes are set aside. Dropped without `commit`, it is as before.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
    /// The open file, and its size before.
    file: Option<(File, u64)>,
}

impl Aside {
    /// The file that belongs to a spool file.
    pub(super) fn of(spool: &Path) -> Self {
        Self { path: spool.with_extension("aside"), file: None }
    }

    /// Copies bytes of a spool file, after a line that says what they are.
    pub(super) fn copy(&mut self, spool: &File, bytes: &Range<u64>, reason: &str) -> io::Result<()> {
        let mut source = spool;
        source.seek(SeekFrom::Start(bytes.start))?;
        let length = bytes.end - bytes.start;
        let copied =
            self.write(&mut source.take(length), &format!("{length} bytes from byte {}: {reason}", bytes.start))?;
        if copied == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Writes a record that is in no file, after a line that says what it is.
    pub(super) fn add(&mut self, mut record: &[u8], reason: &str) -> io::Result<()> {
        let line = format!("{} bytes: {reason}", record.len());
        self.write(&mut record, &line).map(drop)
    }

    /// Makes sure that everything is on disk. Returns the path if anything was set aside.
    pub(super) fn commit(mut self) -> io::Result<Option<PathBuf>> {
        let Some((file, _)) = &self.file else { return Ok(None) };
        file.sync_all()?;
        if let Some(folder) = self.path.parent() {
            sync_folder(folder)?;
        }
        self.file = None;
        Ok(Some(std::mem::take(&mut self.path)))
    }

    fn write(&mut self, bytes: &mut impl Read, line: &str) -> io::Result<u64> {
        let file = match &mut self.file {
            Some((file, _)) => file,
            closed => {
                let file = private_file().create(true).append(true).open(&self.path)?;
                let size = file.metadata()?.len();
                &mut closed.insert((file, size)).0
            }
        };
        writeln!(file, "{line}")?;
        let copied = io::copy(bytes, file)?;
        writeln!(file)?;
        Ok(copied)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // The spool file still has everything: what was written would be there twice after the next attempt.
        if let Some((file, before)) = self.file.take() {
            drop(if before == 0 { fs::remove_file(&self.path) } else { file.set_len(before) });
        }
    }
}
