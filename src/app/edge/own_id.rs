//! The id of an edge: a file in `DATA_DIR`. Who copies that folder to another host copies the id; one of the two then takes a new one.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::foundation::{private_file, with_sources};

/// The file in `DATA_DIR`.
const FILE: &str = "edge.id";
/// Reports in a row after which the id is another edge's: the first one may be that of a process that is just being replaced.
const REPORTS: u32 = 3;

/// The id, and how often panels said that another edge has it, too.
pub(super) struct OwnId {
    path: PathBuf,
    id: Uuid,
    shared: u32,
}

impl OwnId {
    /// Reads it, or makes one.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let read = fs::read_to_string(&path).ok().and_then(|text| Uuid::try_parse(text.trim()).ok());
        let id = match read {
            Some(id) => id,
            None => write_new(&path)?,
        };
        Ok(Self { path, id, shared: 0 })
    }

    pub(super) const fn get(&self) -> Uuid {
        self.id
    }

    /// A panel has said whether a later edge has this id, too. If it says so again and again, this one takes a new id.
    pub(super) fn reported(&mut self, is_shared: bool) {
        self.shared = if is_shared { self.shared + 1 } else { 0 };
        if self.shared < REPORTS {
            return;
        }
        self.shared = 0;
        match write_new(&self.path) {
            Ok(id) => {
                tracing::warn!(
                    before = %self.id,
                    %id,
                    "another edge reports with the id of this one, because DATA_DIR was copied; this edge has a new id from now on"
                );
                self.id = id;
            }
            Err(error) => tracing::warn!(
                error = with_sources(&error),
                "another edge reports with the id of this one, because DATA_DIR was copied, and a new id could not be written to {}",
                self.path.display()
            ),
        }
    }
}

fn write_new(path: &Path) -> io::Result<Uuid> {
    let id = Uuid::new_v4();
    let mut file = private_file().write(true).create(true).truncate(true).open(path)?;
    writeln!(file, "{id}")?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_has_the_same_id_after_a_restart_and_a_new_one_for_a_damaged_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let id = || OwnId::of(folder.path()).expect("an id").get();
        let first = id();
        assert_eq!(id(), first);
        fs::write(folder.path().join(FILE), "x").expect("written");
        assert_ne!(id(), first);
    }

    #[test]
    fn edge_whose_id_another_one_has_takes_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut own = OwnId::of(folder.path()).expect("an id");
        let first = own.get();
        for is_shared in [true, true, false, true, true] {
            own.reported(is_shared);
        }
        assert_eq!(own.get(), first, "not three times in a row");
        own.reported(true);
        assert_ne!(own.get(), first);
        assert_eq!(OwnId::of(folder.path()).expect("the id").get(), own.get(), "after a restart");
    }
}
