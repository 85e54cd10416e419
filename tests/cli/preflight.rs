//! `sarban plan` and `sarban import --dry-run` say beforehand what `sarban serve` will say, in its words.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};
use tokio::time::Instant;

use super::import::{ROWS, SCHEMA, old_panel};
use super::{Output, WorkDir};
use crate::support::database::{Content, with_database};
use crate::support::ports::free_port;

/// How `plan` begins what it says of the machine's size.
const SIZING: [&str; 3] = ["several hosts", "the limit of open files", "the panel may need"];

/// A set-up with one fault.
struct Case {
    variables: Vec<(&'static str, String)>,
    /// A part of what `serve` says.
    says: &'static str,
    /// Exit code of `plan` and of a dry run: 2 if `serve` would refuse something.
    code: i32,
    /// Exit code of `serve`, if it ends: 1 if the fault may pass by itself, so that a service manager starts it again.
    ends: i32,
}

impl Case {
    fn may_pass(self) -> Self {
        Self { ends: 1, ..self }
    }
}

fn case(variables: &[(&'static str, &str)], says: &'static str, code: i32) -> Case {
    let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Case { variables, says, code, ends: 2 }
}

/// Set-ups in a folder with the files that `set_up` creates.
fn cases(taken: u16) -> Vec<Case> {
    let taken = taken.to_string();
    vec![
        case(&[], "", 0),
        case(&[("UVICORN_PORT", "70000"), ("LOG_LEVEL", "loud")], "UVICORN_PORT must be", 2),
        case(&[("CLASH_SUBSCRIPTION_TEMPLATE", "/missing/clash.yml")], "no such file", 2),
        case(&[("CUSTOM_TEMPLATES_DIRECTORY", "/missing")], "CUSTOM_TEMPLATES_DIRECTORY", 2),
        case(&[("SUBSCRIPTION_PAGE_TEMPLATE", "page.html")], "SUBSCRIPTION_PAGE_TEMPLATE: could not use page.html", 2),
        case(&[("SINGBOX_SUBSCRIPTION_TEMPLATE", "old.json")], "does not serve everybody", 0),
        case(
            &[("UVICORN_SSL_CERTFILE", "a.pem"), ("UVICORN_SSL_KEYFILE", "none.pem")],
            "UVICORN_SSL_KEYFILE: no PEM",
            2,
        ),
        case(&[("UVICORN_SSL_CERTFILE", "a.pem"), ("UVICORN_SSL_KEYFILE", "b.pem")], "does not belong", 2),
        case(&[("UVICORN_SSL_CERTFILE", "lone.pem")], "no PEM key beside the certificate; set UVICORN_SSL_KEYFILE", 2),
        case(&[("UVICORN_SSL_CERTFILE", "a.pem")], "", 0),
        case(&[("TELEGRAM_PROXY_URL", "socks://h:1")], "no message is sent to Telegram", 2),
        // Usually the old panel has it, until the switch.
        case(&[("UVICORN_PORT", &taken)], "another program may have it", 0).may_pass(),
        case(&[("UVICORN_HOST", "192.0.2.1")], "could not listen on 192.0.2.1", 2).may_pass(),
        case(&[("UVICORN_UDS", "missing/panel.sock")], "could not listen on missing/panel.sock", 2).may_pass(),
        case(&[("UVICORN_UDS", "folder")], "could not replace folder", 2),
        case(&[("DATABASE_URL", "sqlite:///missing/db.sqlite3")], "its folder exists and is writable", 2),
        case(&[("DATABASE_URL", "sqlite:///page.html")], "could not open the database", 2).may_pass(),
        case(&[("DATABASE_URL", "sqlite:///copy.sqlite3")], "is Marzneshin's own", 2),
        case(&[("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/d")], "that PostgreSQL is running", 2).may_pass(),
        case(&[("SARBAN_READ_ONLY", "true")], "could not open the database", 2).may_pass(),
        case(&[("DATA_DIR", "page.html")], "could not open the spool in page.html; check DATA_DIR", 2),
        case(&[("DATA_DIR", "new/folder")], "", 0),
        case(&[("REDIS_URL", "redis://127.0.0.1:1")], "redis does not answer", 0),
        case(&[("METRICS_TOKEN_FILE", "open/token")], "run chmod 600", 0),
    ]
}

async fn set_up() -> WorkDir {
    let dir = WorkDir::new();
    let old = old_panel(&dir, &[SCHEMA, ROWS]).await;
    fs::copy(old, dir.0.path().join("copy.sqlite3")).expect("copied");
    dir.file(
        "page.html",
        "{{ user.username, and more than the header of a SQLite file would have, which are 100 bytes of it",
    );
    dir.file("old.json", r#"{"outbounds": [{"type": "dns", "tag": "d"}]}"#);
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        dir.file(&format!("{name}.pem"), &(made.cert.pem() + &made.signing_key.serialize_pem()));
        dir.file("lone.pem", &made.cert.pem());
    }
    for name in ["folder", "open"] {
        fs::create_dir(dir.0.path().join(name)).expect("a folder");
    }
    dir.file("open/token", "secret");
    for (name, mode) in [
        ("old.sqlite3", 0o600),
        ("copy.sqlite3", 0o600),
        ("a.pem", 0o600),
        ("b.pem", 0o600),
        ("lone.pem", 0o600),
        ("", 0o711),
        ("open", 0o711),
        ("open/token", 0o644),
    ] {
        fs::set_permissions(dir.0.path().join(name), Permissions::from_mode(mode)).expect("the mode is set");
    }
    dir
}

/// Runs `serve` until it ends or serves, and returns its log.
pub fn serve(dir: &WorkDir, variables: &[(&str, &str)], says: &str) -> String {
    run_until(dir, "serve", variables, |text| text.contains("the panel is at") && text.contains(says)).0
}

/// Runs a server until it ends, or until its log is `enough`. Returns the log, and the exit code if it ended by itself.
fn run_until(
    dir: &WorkDir,
    server: &str,
    variables: &[(&str, &str)],
    enough: impl Fn(&str) -> bool,
) -> (String, Option<i32>) {
    let log = dir.0.path().join("log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sarban"))
        .arg(server)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(dir.0.path())
        .stdout(Stdio::null())
        .stderr(File::create(&log).expect("a log"))
        .spawn()
        .expect("it starts");
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let ended = child.try_wait().expect("a child");
        let text = fs::read_to_string(&log).expect("a log");
        if ended.is_some() || enough(&text) || Instant::now() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return (fs::read_to_string(&log).expect("a log"), ended.and_then(|status| status.code()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A sentence without what depends on the moment: on a busy machine, the last attempt to connect may have no result yet.
fn lasting(sentence: &str) -> String {
    const CONNECTING: &str = "connecting to PostgreSQL failed";
    sentence.split_inclusive(CONNECTING).next().unwrap_or_default().to_owned()
}

/// Warnings, errors and the last words of a log.
fn sentences(log: &str) -> BTreeSet<String> {
    let sentence = |line: &str| {
        if let Some(last) = line.strip_prefix("sarban: ") {
            return Some(lasting(last));
        }
        let (_, rest) = line.split_once(" WARN ").or_else(|| line.split_once(" ERROR "))?;
        rest.split_once(": ").map(|(_, message)| message.to_owned())
    };
    log.lines().filter_map(sentence).collect()
}

/// Warnings and refusals of `plan` and of a dry run.
fn found(output: &Output) -> BTreeSet<String> {
    let warnings = output.stdout.lines().filter_map(|line| line.strip_prefix("warning: "));
    let refusals = output.stderr.lines().filter_map(|line| line.strip_prefix("sarban: "));
    warnings.chain(refusals).map(lasting).collect()
}

#[tokio::test]
async fn plan_and_dry_run_say_what_serve_will_say() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    for Case { variables, says, code, ends } in cases(taken.local_addr().expect("an address").port()) {
        let dir = set_up().await;
        let port = free_port().to_string();
        let mut all = vec![("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", &port)];
        all.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let before = names(&dir);
        let plan = dir.run(&["plan"], &all);
        let dry = dir.run(&["import", "--from", "sqlite:///old.sqlite3", "--dry-run"], &all);
        assert_eq!(names(&dir), before, "nothing is left behind: {variables:?}");
        let is_enough = |text: &str| text.contains("the panel is at") && text.contains(says);
        let (log, ended) = run_until(&dir, "serve", &all, is_enough);
        assert!(ended.is_none_or(|code| code == ends), "{variables:?}: {ended:?} {log}");
        assert!(log.contains(says), "{variables:?}: {log}");
        let mut said = sentences(&log);
        let mut planned = found(&plan);
        // `plan` also judges the size of the machine, which `serve` does not.
        planned.retain(|it| !SIZING.iter().any(|begin| it.starts_with(begin)));
        let mut rehearsed = found(&dry);
        if says.starts_with("redis") {
            // The log has the error as a field, and goes on about what follows from it.
            let part = |it: &String| it.contains(says);
            assert!(
                said.iter().any(part) && planned.iter().any(part) && rehearsed.iter().any(part),
                "{plan:?} {dry:?}"
            );
            said.clear();
            planned.retain(|it| !it.contains(says));
            rehearsed.retain(|it| !it.contains(says));
        }
        assert_eq!(planned, said, "{variables:?}: {plan:?}");
        assert_eq!(rehearsed, said, "{variables:?}: {dry:?}");
        assert_eq!((plan.code, dry.code), (Some(code), Some(code)), "{variables:?}: {plan:?} {dry:?}");
    }
}

/// A service manager starts an edge again after exit code 1, and not after 2.
#[tokio::test]
async fn edge_ends_for_good_only_with_what_lasts() {
    let dir = set_up().await;
    dir.file("empty.pem", "");
    // Of a folder that an edge has used, and in which it can't create a file any more.
    fs::create_dir(dir.0.path().join("used")).expect("a folder");
    dir.file("used/edge.id", "00000000-0000-4000-8000-000000000001");
    symlink("missing/file", dir.0.path().join("used/edge.none")).expect("a link that leads nowhere");
    dir.file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let (taken, free) = (TcpListener::bind("127.0.0.1:0").expect("a port"), free_port().to_string());
    let taken = taken.local_addr().expect("an address").port().to_string();
    let token = format!("sarban_{}_{}", "0".repeat(32), "0".repeat(64));
    let panels = [("EDGE_PANELS", "https://127.0.0.1:1"), ("EDGE_TOKEN", &token)];
    let authority = "EDGE_CA_FILE must name a PEM file with the certificates of the panels' authority; ";
    for (variable, says, code) in [
        (("EDGE_CA_FILE", "none.pem"), &format!("{authority}could not read none.pem: No such file")[..], 2),
        (("EDGE_CA_FILE", "folder"), &format!("{authority}could not read folder: Is a directory"), 2),
        (("EDGE_CA_FILE", "empty.pem"), &format!("{authority}empty.pem has none"), 2),
        (("EDGE_CA_FILE", "page.html"), &format!("{authority}page.html has none"), 2),
        (("EDGE_CA_FILE", "broken.pem"), &format!("{authority}one in broken.pem can't be used: "), 2),
        (("DATA_DIR", "page.html"), "could not write in page.html; check DATA_DIR: Not a directory", 2),
        (("DATA_DIR", "used"), "could not open used/edge.none; check DATA_DIR: creating the SQLite database failed", 2),
        (("UVICORN_SSL_CERTFILE", "none.pem"), "UVICORN_SSL_CERTFILE: no PEM certificates in none.pem", 2),
        (("UVICORN_UDS", "folder"), "could not replace folder; check UVICORN_UDS", 2),
        (("UVICORN_UDS", "missing/edge.sock"), "could not listen on missing/edge.sock; check UVICORN_UDS", 1),
        (("UVICORN_PORT", &taken), "could not listen on 127.0.0.1 port", 1),
    ] {
        let address = [("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", &free)];
        let variables: Vec<_> = panels.into_iter().chain(address).chain([variable]).collect();
        let (log, ended) = run_until(&dir, "edge", &variables, |text| text.contains("can't be reached"));
        let last = log.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("sarban: {says}")), "{variable:?}: {log}");
        assert_eq!(ended, Some(code), "{variable:?}: {log}");
    }
}

/// All files below the folder, without what commands may change in place.
fn names(dir: &WorkDir) -> BTreeSet<String> {
    let names = |folder: &str| {
        let entries = fs::read_dir(dir.0.path().join(folder)).expect("the folder");
        entries.map(|it| it.expect("an entry").path().display().to_string()).collect::<Vec<_>>()
    };
    ["", "folder", "open"].into_iter().flat_map(names).collect()
}

/// The role that a database's owner forgot to give rights: the usual mistake since PostgreSQL 15.
#[test]
fn role_that_may_not_create_tables_is_named_beforehand() {
    with_database(sarban::store::Engine::Postgres, Content::Empty, async |database| {
        let address = super::import::url(&database.options);
        let mut owner = PgConnection::connect(&address).await.expect("the database");
        let role = format!("weak_{}", std::process::id());
        let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut owner).await.expect("a name");
        let make = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE CREATE ON DATABASE \"{name}\" FROM PUBLIC"
        );
        raw_sql(AssertSqlSafe(make)).execute(&mut owner).await.expect("a role");
        let (_, host) = address.rsplit_once('@').unwrap_or(("", address.trim_start_matches("postgresql://")));
        let weak = format!("postgresql://{role}:p@{host}");
        let dir = WorkDir::new();
        let port = free_port().to_string();
        let variables = [("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", &port), ("DATABASE_URL", &weak)];
        let plan = dir.run(&["plan"], &variables);
        let log = serve(&dir, &variables, "sarban: ");
        let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        raw_sql(AssertSqlSafe(drop)).execute(&mut owner).await.expect("dropped");
        assert_eq!(plan.code, Some(2), "{plan:?}");
        let said: Vec<&str> = log.lines().filter(|line| line.starts_with("sarban: ")).collect();
        assert!(said.len() == 1 && said[0].contains("permission denied"), "{log}");
        assert_eq!(plan.stderr.trim(), said[0]);
    });
}
