//! Keys of age: recipients that a back-up is encrypted to, and identities that open it.

use std::path::Path;

use super::error::BackupError;

/// The secret keys of a file, as `age-keygen` writes it.
#[derive(Default)]
pub struct Identities(Vec<age::x25519::Identity>);

impl Identities {
    /// Reads the keys in a file. Empty lines and those that begin with # are ignored.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let text = std::fs::read_to_string(path)
            .map_err(BackupError::io(format!("could not read the age keys in {}", path.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = lines.map(str::parse).collect();
        let keys = keys.map_err(|problem: &'static str| {
            BackupError::Key(format!(
                "{} has a line that is no key of age ({problem}); a key begins with AGE-SECRET-KEY-1",
                path.display()
            ))
        })?;
        if keys.is_empty() {
            return Err(BackupError::Key(format!("{} has no key of age", path.display())));
        }
        Ok(Self(keys))
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|key| key as &dyn age::Identity)
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys of age", self.0.len())
    }
}
