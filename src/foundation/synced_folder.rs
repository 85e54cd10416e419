//! Names of files that outlive a crash of the machine.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Waits until the names in a folder are on the disk. A file system that can't sync folders, as those of some network shares, does
/// so in its own time.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_cannot_be_synced_is_no_error() {
        let share = Path::new("/proc");
        assert!(File::open(share).and_then(|folder| folder.sync_all()).is_err(), "it can be synced");
        sync_folder(share).expect("as if it were");
        sync_folder(&std::env::temp_dir()).expect("synced");
        assert!(sync_folder(Path::new("/missing")).is_err());
    }
}
