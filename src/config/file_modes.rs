//! Files and folders with secrets that others than the panel's user can reach.

use std::fmt;
use std::fs::{self, File, Metadata, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::geteuid;

use super::Settings;
use super::database_url::DatabaseUrl;

/// Entries of a folder that are looked at for exports and back-ups.
const ENTRIES: usize = 1_000;
/// First bytes of SQLite's files, which exports are too, of `pg_dump`'s, and of back-ups that are not encrypted.
const BACKUPS: [&[u8]; 3] = [b"SQLite format 3\0", b"PGDMP", b"sarban back-up "];

/// A file or folder that others can read or change. Its text ends with the command that ends this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    path: PathBuf,
    mode: u32,
    is_folder: bool,
    /// Id of the panel's user, if the file belongs to somebody else.
    foreign_to: Option<u32>,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mode) = (self.path.display(), self.mode);
        let quoted = format!("'{}'", self.path.display().to_string().replace('\'', r"'\''"));
        if self.is_folder {
            write!(f, "the folder {path} is open to other users (mode {mode:04o}): ")?;
            return match self.foreign_to {
                None => write!(f, "run chmod 700 {quoted}"),
                // It may be one that other programs need, such as /tmp.
                Some(_) => write!(f, "set DATA_DIR to a folder that belongs to the panel's user alone"),
            };
        }
        write!(f, "{path} has secrets and is open to other users (mode {mode:04o}): run ")?;
        if let Some(user) = self.foreign_to {
            write!(f, "chown {user} {quoted} && ")?;
        }
        write!(f, "chmod 600 {quoted}")
    }
}

impl Exposed {
    /// True for a file of the panel's own that is open to everybody. Access for a group alone is an operator's choice,
    /// such as a back-up's user: only a warning.
    const fn is_closed_at_start(&self) -> bool {
        self.foreign_to.is_none() && self.mode & 0o007 != 0
    }
}

/// Makes those of the panel's own files private that the usual umask has opened, and returns what is still open.
pub fn secure(settings: &Settings) -> Vec<Exposed> {
    let spool = settings.instance.data_dir.join("spool");
    let own = database_files(settings).into_iter().chain(files_in(&spool)).chain([spool]);
    for exposed in own.filter_map(|path| exposed(&path)).filter(Exposed::is_closed_at_start) {
        make_private(&exposed.path, if exposed.is_folder { 0o700 } else { 0o600 });
    }
    find(settings)
}

/// Returns what would still be open after [`secure`]. Changes nothing.
pub fn left_open(settings: &Settings) -> Vec<Exposed> {
    let spool = settings.instance.data_dir.join("spool");
    let own: Vec<PathBuf> = database_files(settings).into_iter().chain(files_in(&spool)).chain([spool]).collect();
    let closed: Vec<Exposed> =
        own.iter().filter_map(|path| exposed(path)).filter(Exposed::is_closed_at_start).collect();
    find(settings).into_iter().filter(|it| !closed.contains(it)).collect()
}

/// Returns the files and folders of a panel that are open to other users.
pub fn find(settings: &Settings) -> Vec<Exposed> {
    let data = &settings.instance.data_dir;
    let spool = data.join("spool");
    let mut paths = database_files(settings);
    let beside = paths.first().and_then(|path| fs::canonicalize(path).ok()?.parent().map(Path::to_owned));
    paths.extend([data.clone(), spool.clone()]);
    paths.extend(files_in(&spool));
    paths.extend(settings.secret_files.iter().cloned());
    paths.extend(settings.tls.iter().map(|tls| tls.key.clone()));
    // An address of S3 is no folder.
    let back_ups = settings.backup.to.as_deref().map(PathBuf::from);
    for folder in beside.iter().chain([data]).chain(&back_ups) {
        paths.extend(files_in(folder).into_iter().filter(|path| exposed(path).is_some() && is_backup(path)));
    }
    let mut found: Vec<Exposed> = Vec::new();
    for exposed in paths.iter().filter_map(|path| exposed(path)) {
        if !found.contains(&exposed) {
            found.push(exposed);
        }
    }
    found
}

/// SQLite's files: the database, its log of changes and the index of the log.
fn database_files(settings: &Settings) -> Vec<PathBuf> {
    let DatabaseUrl::Sqlite { path } = &settings.database.url else { return vec![] };
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let beside = |end: &str| {
        let mut name = path.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    };
    vec![path.clone(), beside("-wal"), beside("-shm")]
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(ENTRIES).flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_file())).map(|entry| entry.path()).collect()
}

fn is_backup(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    read.is_ok() && BACKUPS.iter().any(|begin| start.starts_with(begin))
}

/// Returns a file or folder if other users can reach it. A missing one is not exposed.
fn exposed(path: &Path) -> Option<Exposed> {
    let path = fs::canonicalize(path).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    let is_folder = metadata.is_dir();
    // Passing through a folder shows nothing of it, and a socket in it may need that.
    let open = if is_folder { 0o066 } else { 0o077 };
    let is_open = |metadata: &Metadata, bits: u32| metadata.mode() & bits != 0;
    if !is_open(&metadata, open) {
        return None;
    }
    let is_passable = |folder: &Path| fs::metadata(folder).map_or(true, |metadata| is_open(&metadata, 0o011));
    if !path.ancestors().skip(1).all(is_passable) {
        return None;
    }
    // Secrets that a container's runtime mounts are seen by nobody but the container's own user.
    if statvfs(&path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return None;
    }
    let user = geteuid().as_raw();
    let foreign_to = (metadata.uid() != user).then_some(user);
    Some(Exposed { path, mode: metadata.mode() & 0o7777, is_folder, foreign_to })
}

fn make_private(path: &Path, mode: u32) {
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => tracing::info!(path = %path.display(), "closed to other users: mode {mode:04o}"),
        // `find` warns about it.
        Err(error) => tracing::debug!(path = %path.display(), %error, "could not change the mode"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs::{create_dir, set_permissions, write};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).expect("the mode is set");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it exists").mode() & 0o7777
    }

    /// A panel's folder with every file that has secrets, each with the mode that the usual umask gives.
    fn folder() -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().expect("a folder");
        chmod(folder.path(), 0o700);
        let at = |name: &str| folder.path().join(name);
        create_dir(at("spool")).expect("a folder");
        chmod(&at("spool"), 0o755);
        create_dir(at("backups")).expect("a folder");
        let database = "SQLite format 3\0 and pages";
        let files = [
            ("panel.db", database),
            ("panel.db-wal", ""),
            ("panel.db-shm", ""),
            ("spool/x.log", ""),
            ("token", "secret"),
            ("key.pem", "secret"),
            ("export.sqlite3", database),
            ("backup.dump", "PGDMP"),
            ("backups/copied.backup", "sarban back-up 1\n"),
            ("page.html", "<html>"),
        ];
        for (name, text) in files {
            write(at(name), text).expect("a file");
            chmod(&at(name), 0o644);
        }
        let variables = [
            ("DATA_DIR", at("")),
            ("SQLALCHEMY_DATABASE_URL", PathBuf::from(format!("sqlite:///{}", at("panel.db").display()))),
            ("BACKUP_TO", at("backups")),
            ("METRICS_TOKEN_FILE", at("token")),
            ("UVICORN_SSL_CERTFILE", at("page.html")),
            ("UVICORN_SSL_KEYFILE", at("key.pem")),
        ];
        let variables = variables.map(|(name, path)| (OsString::from(name), path.into_os_string()));
        let settings = Settings::load(variables.into_iter(), None, "host").expect("they are right");
        (folder, settings)
    }

    fn names(folder: &Path, found: &[Exposed]) -> Vec<String> {
        let folder = fs::canonicalize(folder).expect("it exists");
        let name = |it: &Exposed| it.path.strip_prefix(&folder).expect("inside").display().to_string();
        let mut names: Vec<_> = found.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn files_of_the_panel_become_private_and_others_are_named() {
        let (folder, settings) = folder();
        // Nobody else reaches files in a private folder.
        assert_eq!(find(&settings), []);
        chmod(folder.path(), 0o755);
        let all = names(folder.path(), &find(&settings));
        let copied = "backups/copied.backup";
        let expected = [
            "",
            "backup.dump",
            copied,
            "export.sqlite3",
            "key.pem",
            "panel.db",
            "panel.db-shm",
            "panel.db-wal",
            "spool",
        ];
        assert_eq!(all, [&expected[..], &["spool/x.log", "token"]].concat());
        let expected = left_open(&settings);
        let left = secure(&settings);
        assert_eq!(left, expected);
        assert_eq!(names(folder.path(), &left), ["", "backup.dump", copied, "export.sqlite3", "key.pem", "token"]);
        for name in ["panel.db", "panel.db-wal", "panel.db-shm", "spool/x.log"] {
            assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
        }
        assert_eq!((mode(&folder.path().join("spool")), mode(folder.path())), (0o700, 0o755));
    }

    #[test]
    fn access_for_a_group_alone_is_left_and_named() {
        let (folder, settings) = folder();
        chmod(folder.path(), 0o711);
        let database = folder.path().join("panel.db");
        chmod(&database, 0o640);
        let left = names(folder.path(), &secure(&settings));
        assert_eq!((mode(&database), left.contains(&"panel.db".to_owned())), (0o640, true), "{left:?}");
        assert!(!left.contains(&String::new()), "nobody else can list the folder: {left:?}");
    }

    #[test]
    fn text_names_file_mode_and_command() {
        let exposed = |path: &str, is_folder, foreign_to| {
            Exposed { path: PathBuf::from(path), mode: 0o644, is_folder, foreign_to }.to_string()
        };
        let end = "(mode 0644): run chmod 600 '/a b'";
        assert_eq!(exposed("/a b", false, None), format!("/a b has secrets and is open to other users {end}"));
        let text = exposed("/.env", false, Some(65532));
        assert!(text.ends_with("run chown 65532 '/.env' && chmod 600 '/.env'"), "{text}");
        assert!(exposed("/data", true, None).ends_with("run chmod 700 '/data'"));
        assert!(exposed("/tmp", true, Some(1)).contains("set DATA_DIR"));
    }
}
