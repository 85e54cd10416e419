//! `sarban backup` and `sarban restore` as a person uses them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use sarban::store::{Db, OpenOptions};
use serde_json::Value;
use tokio::time::Instant;

use super::WorkDir;
use super::import::url;
use crate::support::database::{number, on_both_engines};

on_both_engines!(empty panel_moves_to_another_database);

#[test]
fn back_up_follows_the_settings_that_no_option_replaces() {
    let dir = WorkDir::new();
    let (key, other) = (Identity::generate(), Identity::generate());
    let recipient = key.to_public().to_string();
    let database = ("SQLALCHEMY_DATABASE_URL", "sqlite:///panel.sqlite3");
    let password = ("SARBAN_ADMIN_PASSWORD", "p");
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[database, password]).expect_success();
    fs::create_dir_all(dir.0.path().join("data/spool")).expect("a folder");
    dir.file("data/spool/reply.log", "a reply that waits");
    let settings =
        [database, ("DATA_DIR", "data"), ("BACKUP_AGE_RECIPIENT", recipient.as_str()), ("BACKUP_WITH_SECRETS", "true")];
    let identity = |name: &str, key: &Identity| dir.file(name, key.to_string().expose_secret()).display().to_string();
    let (keys, others) = (identity("keys", &key), identity("others", &other));
    let back_up = |arguments: &[&str]| -> Value {
        let made = dir.run(&[&["backup", "--json", "--to"], arguments].concat(), &settings).expect_success();
        serde_json::from_str(&made).expect("JSON")
    };
    let opens =
        |file: &str, keys: &str| dir.run(&["restore", "--from", file, "--verify", "--age-identity", keys], &[database]);
    let made = back_up(&["own.backup.age"]);
    assert_eq!((&made["encrypted"], &made["head"]["with_secrets"]), (&true.into(), &true.into()));
    assert_eq!(made["spool_files"], 1, "replies that are in no table yet");
    let bytes = fs::read(dir.0.path().join("own.backup.age")).expect("the file");
    assert!(bytes.starts_with(b"age-encryption.org/"), "it says that it is encrypted, and is not");
    opens("own.backup.age", &keys).expect_success();
    let refused = opens("own.backup.age", &others).expect_failure(2);
    assert!(refused.contains("it was encrypted to others"), "{refused}");
    // A recipient that is named replaces that of the settings.
    back_up(&["named.backup.age", "--age-recipient", &other.to_public().to_string()]);
    opens("named.backup.age", &others).expect_success();
    opens("named.backup.age", &keys).expect_failure(2);
}

async fn panel_moves_to_another_database(into: OpenOptions) {
    let dir = WorkDir::new();
    let old = [("SQLALCHEMY_DATABASE_URL", "sqlite:///old.sqlite3")];
    let missing = dir.run(&["backup", "--to", "x.backup"], &old).expect_failure(2);
    assert!(missing.contains("there is no database at old.sqlite3"), "{missing}");
    let password = ("SARBAN_ADMIN_PASSWORD", "p");
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[old[0], password]).expect_success();
    let nowhere = dir.run(&["backup"], &old).expect_failure(2);
    assert!(nowhere.contains("give it with --to or in BACKUP_TO"), "{nowhere}");

    fs::create_dir(dir.0.path().join("backups")).expect("a folder");
    let made = dir.run(&["backup", "--json", "--with-secrets"], &[old[0], ("BACKUP_TO", "backups")]);
    let made: Value = serde_json::from_str(&made.expect_success()).expect("JSON");
    let file = made["file"].as_str().expect("a file");
    let mode = fs::metadata(dir.0.path().join(file)).expect("the file").permissions().mode();
    assert_eq!((mode & 0o777, &made["head"]["engine"]), (0o600, &Value::from("sqlite")));
    let again = dir.run(&["backup", "--to", file], &old).expect_failure(1);
    assert!(again.contains("exists already"), "{again}");

    let (url, before) = (url(&into), dir.run(&["admin", "list"], &old).expect_success());
    let new = [("SQLALCHEMY_DATABASE_URL", url.as_str())];
    let verified = dir.run(&["restore", "--from", file, "--verify"], &new).expect_success();
    assert!(verified.starts_with("verified ") && verified.contains("counts, sums and digests match"), "{verified}");
    let restored = dir.run(&["restore", "--from", "backups/"], &new).expect_success();
    assert!(restored.starts_with(&format!("restored {file}: made at ")), "{restored}");
    assert_eq!(dir.run(&["admin", "list"], &new).expect_success(), before);
    let db = Db::open(&into).await.expect("the restored database");
    let entered = "SELECT COUNT(*) FROM audit_entry WHERE actor = 'command' AND action = 'database.restore'
        AND id = (SELECT MAX(id) FROM audit_entry)";
    assert_eq!(number(&db, entered).await, 1);
    db.close().await;
    let twice = dir.run(&["restore", "--from", file], &new).expect_failure(1);
    assert!(twice.contains("is not empty: it has 1 admin"), "{twice}");
    let other = dir.file("other", "PGDMP: a dump of PostgreSQL");
    let other = dir.run(&["restore", "--from", other.to_str().expect("a path"), "--verify"], &new).expect_failure(2);
    assert!(other.contains("not a back-up of Sarban"), "{other}");
}

impl WorkDir {
    /// Starts a command, and ends it by SIGTERM once it has begun to write a file of this kind. Calls `then` once that file is gone.
    fn interrupt(&self, arguments: &[&str], is_begun: fn(&str) -> bool, then: impl FnOnce()) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sarban"));
        command.args(arguments).env_clear().env("SQLALCHEMY_DATABASE_URL", "sqlite:///old.sqlite3");
        command.env("TMPDIR", self.0.path()).current_dir(self.0.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Running(Some(command.spawn().expect("it starts")));
        let exists = || names(self.0.path().to_owned()).iter().any(|name| is_begun(name));
        until("the file is begun", exists);
        child.terminate();
        until("the file is gone", || !exists());
        then();
        let ended = child.0.take().expect("a child").wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        String::from_utf8(ended.stderr).expect("text")
    }
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

/// A process that does not outlive a test that fails.
struct Running(Option<Child>);

impl Running {
    fn terminate(&self) {
        let child = self.0.as_ref().expect("a child");
        kill_process(Pid::from_child(child), Signal::TERM).expect("a process");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn interrupted_commands_leave_nothing() {
    let dir = WorkDir::new();
    let old = [("SQLALCHEMY_DATABASE_URL", "sqlite:///old.sqlite3")];
    dir.run(&["migrate"], &old).expect_success();
    // A back-up waits for this lock once it has begun its file.
    fs::create_dir(dir.0.path().join("spool")).expect("a folder");
    let spool = File::open(dir.0.path().join("spool")).expect("the folder");
    flock(&spool, FlockOperation::LockExclusive).expect("a lock");
    let said = dir.interrupt(&["backup", "--to", "mine.backup"], |name| name.ends_with(".partial"), || drop(spool));
    assert_eq!(said, "sarban: interrupted\n");
    assert!(!dir.0.path().join("mine.backup").exists());

    // Nobody writes into this pipe.
    let pipe = dir.0.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let writer = File::options().read(true).write(true).open(&pipe).expect("it opens");
    let said = dir.interrupt(
        &["restore", "--verify", "--from", "pipe"],
        |name| name.starts_with("sarban-verify-"),
        || drop(writer),
    );
    assert_eq!(said, "sarban: interrupted\n");
}
