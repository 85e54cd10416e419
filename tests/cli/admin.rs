//! `sarban admin` and `sarban migrate`, without a terminal.

use serde_json::Value;

use super::WorkDir;
use super::preflight::serve;
use crate::support::ports::free_port;

const PASSWORD: (&str, &str) = ("SARBAN_ADMIN_PASSWORD", "correct horse");

fn admins(dir: &WorkDir, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["admin", "list", "--json"], arguments].concat();
    serde_json::from_str(&dir.run(&arguments, &[]).expect_success()).expect("JSON")
}

#[test]
fn admins_are_created_listed_updated_and_deleted() {
    let dir = WorkDir::new();
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[PASSWORD]).expect_success();
    dir.run(&["admin", "create", "--username", "Sara"], &[("MARZBAN_ADMIN_PASSWORD", "x")]).expect_success();
    let names = |arguments: &[&str]| {
        let found = admins(&dir, arguments).into_iter();
        found.map(|it| (it["username"].as_str().map(str::to_owned), it["is_sudo"].clone())).collect::<Vec<_>>()
    };
    let (root, sara) = ((Some("root".to_owned()), true.into()), (Some("Sara".to_owned()), false.into()));
    assert_eq!(names(&[]), [root.clone(), sara.clone()]);
    assert_eq!(names(&["-u", "sar"]), names(&["--offset", "1", "--limit", "5"]));
    assert_eq!(names(&["-u", "sar"]), [sara]);
    let table = dir.run(&["admin", "list"], &[]).expect_success();
    assert!(table.contains("USERNAME") && table.contains("root"), "{table}");

    dir.run(&["admin", "update", "-u", "Sara", "--sudo"], &[]).expect_success();
    assert_eq!(names(&["-u", "sara"])[0].1, true);
    dir.run(&["admin", "update", "-u", "Sara", "--sudo", "--no-sudo"], &[]).expect_success();
    assert_eq!(names(&["-u", "sara"])[0].1, false, "the last flag wins");

    dir.run(&["admin", "delete", "-u", "Sara", "-y"], &[]).expect_success();
    assert_eq!(names(&[]), [root]);
}

#[test]
fn setup_link_is_for_a_panel_without_an_admin() {
    let dir = WorkDir::new();
    let link = dir.run(&["admin", "setup-link"], &[("DASHBOARD_PATH", "/panel/")]).expect_success();
    let code = link.trim().strip_prefix("http://127.0.0.1:8000/panel/#/setup/").expect("a link");
    assert!(code.len() == 32 && code.bytes().all(|byte| byte.is_ascii_hexdigit()), "{code}");
    let json: Value =
        serde_json::from_str(&dir.run(&["admin", "setup-link", "--json"], &[]).expect_success()).expect("JSON");
    assert_ne!(json["code"], code, "each time another one");
    dir.run(&["admin", "create", "-u", "root", "--sudo"], &[PASSWORD]).expect_success();
    assert!(dir.run(&["admin", "setup-link"], &[]).expect_failure(1).contains("sarban admin create"));
}

/// In a container, the address that the panel listens on is only the container's.
#[test]
fn setup_link_is_also_given_at_the_address_of_links() {
    let dir = WorkDir::new();
    let port = free_port().to_string();
    let listening = [("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", &port)];
    for (prefix, other) in [
        ("", None),
        ("https://*.example.com", None),
        ("https://panel.example.com/", Some("https://panel.example.com/dashboard/#/setup/")),
    ] {
        let variables = [listening[0], listening[1], ("SUBSCRIPTION_URL_PREFIX", prefix)];
        let printed = dir.run(&["admin", "setup-link"], &variables);
        let own = format!("http://127.0.0.1:{port}/dashboard/#/setup/");
        assert!(printed.stdout.starts_with(&own) && printed.stdout.lines().count() == 1, "{printed:?}");
        assert_eq!(printed.stderr.is_empty(), other.is_none(), "{printed:?}");
        assert!(other.is_none_or(|it| printed.stderr.contains(it)), "{printed:?}");
        let log = serve(&dir, &variables, "within an hour at");
        let line = log.lines().find(|line| line.contains("within an hour at")).unwrap_or_default();
        assert!(line.contains(&format!(" at {own}")), "{log}");
        assert_eq!(line.matches("/#/setup/").count(), 1 + usize::from(other.is_some()), "{log}");
        assert!(other.is_none_or(|it| line.contains(&format!("or at {it}"))), "{log}");
    }
}

#[test]
fn errors_are_one_line_that_names_the_next_step() {
    let dir = WorkDir::new();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| dir.run(&[&["admin"], arguments].concat(), variables);
    assert!(run(&["create", "-u", "root"], &[]).expect_failure(2).contains("SARBAN_ADMIN_PASSWORD"));
    assert!(run(&["create"], &[PASSWORD]).expect_failure(2).contains("--username"));
    run(&["create", "-u", "root"], &[PASSWORD]).expect_success();
    assert!(run(&["create", "-u", "root"], &[PASSWORD]).expect_failure(1).contains("sarban admin update"));
    assert!(run(&["delete", "-u", "root"], &[]).expect_failure(2).contains("-y"));
    assert!(run(&["delete", "-u", "nobody", "-y"], &[]).expect_failure(1).contains("sarban admin list"));
    assert!(run(&["update", "-u", "root"], &[]).expect_failure(2).contains("SARBAN_ADMIN_PASSWORD"));
    assert!(run(&["import-from-env"], &[]).expect_failure(2).contains("SUDO_USERNAME"));
    let nowhere = [("DATABASE_URL", "sqlite:////nowhere/db.sqlite3")];
    assert!(run(&["list"], &nowhere).expect_failure(1).contains("check DATABASE_URL "));
}

#[test]
fn import_from_env_creates_and_updates_the_sudo_admin() {
    let dir = WorkDir::new();
    let half = [("SUDO_USERNAME", "root")];
    assert!(dir.run(&["admin", "import-from-env"], &half).expect_failure(2).contains("not both set"));
    let sudo = [("SUDO_USERNAME", "root"), ("SUDO_PASSWORD", "a")];
    assert!(dir.run(&["admin", "import-from-env"], &sudo).expect_success().contains("created sudo admin \"root\""));
    dir.run(&["admin", "update", "-u", "root", "--no-sudo"], &[]).expect_success();
    assert!(dir.run(&["admin", "import-from-env"], &sudo).expect_failure(2).contains("-y"));
    dir.run(&["admin", "import-from-env", "--yes"], &sudo).expect_success();
    assert_eq!(admins(&dir, &[])[0]["is_sudo"], true);
}

#[test]
fn migrations_are_applied_once() {
    let dir = WorkDir::new();
    assert!(dir.run(&["migrate"], &[]).expect_success().starts_with("applied "));
    assert_eq!(dir.run(&["migrate"], &[]).expect_success(), "the schema is up to date\n");
}
