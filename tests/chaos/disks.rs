//! Small disks, which faults fill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// A folder that is a disk of its own, unless the host permits no mount.
pub struct Disk {
    pub folder: PathBuf,
    is_mounted: bool,
}

impl Disk {
    /// Creates the folder and mounts a disk of `size` there, such as `48m`.
    pub fn create(folder: PathBuf, size: &str) -> Result<Self> {
        fs::create_dir(&folder)?;
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "sarban-chaos"]).arg(&folder).output();
        let is_mounted = mounted.is_ok_and(|done| done.status.success());
        Ok(Self { folder, is_mounted })
    }

    /// True if the disk can be filled.
    pub const fn can_be_filled(&self) -> bool {
        self.is_mounted
    }

    /// Fills the disk until the result is dropped; `None` if it is filled already or can't be.
    pub fn fill(&self) -> Option<Filled> {
        let filler = self.folder.join("filler");
        if !self.is_mounted || filler.exists() {
            return None;
        }
        // The write fails when the disk is full, which is the purpose.
        let _ = fs::write(&filler, vec![1; 64 << 20]);
        Some(Filled(filler))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
    }
}

/// A full disk.
pub struct Filled(PathBuf);

impl Filled {
    /// The file that fills the disk.
    pub fn file(&self) -> &Path {
        &self.0
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
