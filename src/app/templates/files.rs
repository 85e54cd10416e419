//! The files of the operator's templates: where each setting leads, and the texts of the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Larger files are refused, or skipped where no setting names them.
const MAX_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 1_000;
const MAX_DEPTH: usize = 8;

/// The operator's folder, and all texts below it by their path within it.
#[derive(Debug, Default)]
pub(super) struct Files {
    root: Option<PathBuf>,
    pub(super) texts: BTreeMap<String, String>,
}

impl Files {
    /// Reads the texts of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let root = folder.canonicalize()?;
        let mut files = Self::default();
        files.collect(&root, &root, 0)?;
        files.root = Some(root);
        Ok(files)
    }

    /// Collects all texts below a folder. Symbolic links out of the root are skipped.
    fn collect(&mut self, root: &Path, folder: &Path, depth: usize) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let Ok(path) = entry?.path().canonicalize() else { continue };
            let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
            let about = fs::metadata(&path)?;
            if about.is_dir() && depth < MAX_DEPTH {
                self.collect(root, &path, depth + 1)?;
            } else if about.is_file() && about.len() <= MAX_BYTES {
                if self.texts.len() == MAX_FILES {
                    bail!("more than {MAX_FILES} files: the folder is for templates only");
                }
                if let Ok(text) = String::from_utf8(fs::read(&path)?) {
                    self.texts.insert(name.to_owned(), without_mark(&text));
                }
            }
        }
        Ok(())
    }

    /// The file that a setting leads to: a path within the folder, a path from the working directory, or an absolute one.
    pub(super) fn find(&self, value: &str) -> Option<PathBuf> {
        let within = self.root.as_ref().map(|root| root.join(value));
        within.into_iter().chain([PathBuf::from(value)]).find(|path| path.is_file())
    }

    /// The file that a setting's default leads to, which is within the folder.
    pub(super) fn find_within(&self, value: &str) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join(value)).filter(|path| path.is_file())
    }

    /// The name of a file's text, which is read now if it is not within the folder.
    pub(super) fn name(&mut self, path: &Path) -> Result<String> {
        let path = path.canonicalize()?;
        let within = self.root.as_ref().and_then(|root| path.strip_prefix(root).ok());
        let name = within.unwrap_or(&path).to_str().context("its name must be UTF-8")?.to_owned();
        if !self.texts.contains_key(&name) {
            if fs::metadata(&path)?.len() > MAX_BYTES {
                bail!("it must have at most 1 MiB");
            }
            let text = String::from_utf8(fs::read(&path)?).context("it must be UTF-8")?;
            self.texts.insert(name.clone(), without_mark(&text));
        }
        Ok(name)
    }
}

/// Editors on Windows put a mark before a text.
fn without_mark(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()
}
