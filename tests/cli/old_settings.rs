//! No value of a setting that the old panel starts with keeps this panel from starting.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use sarban::config::old_values::OLD_SETTINGS;

use super::WorkDir;
use super::preflight::serve;
use crate::support::ports::free_port;

/// A certificate of version 1 with its key, as many guides make it.
const CERTIFICATE: &str = include_str!("old_panel/version_1.pem");

/// Values that are odd, and legal in the old panel's `.env`, as they are written there. The first of each name are one `.env`,
/// then the second, and so on.
const ODD: [(&str, &[&str]); 37] = [
    ("UVICORN_HOST", &["127.0.0.1", "localhost", "'127.0.0.1' # only this machine"]),
    ("UVICORN_PORT", &["0"]),
    ("UVICORN_UDS", &["panel.sock"]),
    ("UVICORN_SSL_CERTFILE", &["", "both.pem", "'both.pem'"]),
    ("UVICORN_SSL_KEYFILE", &["", "", "both.pem"]),
    ("DASHBOARD_PATH", &["/", "/a b/", "/docs", "/api/", "//x", "/{name}", "/%D9%BE", "/پنل/"]),
    ("DOCS", &["T", "on", "YES", "0"]),
    ("DEBUG", &["f", "No", "n", "1"]),
    (
        "SQLALCHEMY_DATABASE_URL",
        &["sqlite:///db.sqlite3?timeout=5", "SQLite:///./db.sqlite3", "sqlite+aiosqlite:///db.sqlite3"],
    ),
    ("SQLALCHEMY_CONNECTION_POOL_SIZE", &["0", "-1", "1_000", "99999999999999999999"]),
    ("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", &["-20", "0", "+5", "1000000"]),
    ("TASKS_RECORD_USER_USAGES_INTERVAL", &["0", "-1", "86401", "99999999999"]),
    ("TASKS_REVIEW_USERS_INTERVAL", &["0", "-1", "86401", "99999999999"]),
    ("TASKS_EXPIRE_DAYS_REACHED_INTERVAL", &["0", "-1", "86401", "99999999999"]),
    ("TASKS_RESET_USER_DATA_USAGE", &["0", "-1", "86401", "99999999999"]),
    ("DISABLE_RECORDING_NODE_USAGE", &["True", "off"]),
    ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", &["0", "-1", "9999999999"]),
    ("AUTH_GENERATION_ALGORITHM", &["plain", "xxh128"]),
    ("SUBSCRIPTION_URL_PREFIX", &["panel.example", "https://*.example//", "سلام", "\"a\\nb\"", "/"]),
    ("CUSTOM_TEMPLATES_DIRECTORY", &["missing", "page.html", "/", "\"a\\tb\""]),
    ("HOME_PAGE_TEMPLATE", &["missing.html", "/", "..", "page.html"]),
    ("SUBSCRIPTION_PAGE_TEMPLATE", &["missing.html", "/", "..", "page.html"]),
    ("CLASH_SUBSCRIPTION_TEMPLATE", &["missing.yml", "/", "..", "page.html"]),
    ("SINGBOX_SUBSCRIPTION_TEMPLATE", &["missing.json", "/", "..", "page.html"]),
    ("XRAY_SUBSCRIPTION_TEMPLATE", &["missing.json", "/", "..", "page.html"]),
    ("TELEGRAM_API_TOKEN", &["no token", "1:a", "\"a\\nb\"", "سلام", "1:?#/../", "1:%zz"]),
    ("TELEGRAM_ADMIN_ID", &["me", "1, me, -3", ",", "1;2", "٣"]),
    ("TELEGRAM_LOGGER_CHANNEL_ID", &["0", "-1001234567890", "+7"]),
    (
        "TELEGRAM_PROXY_URL",
        &["proxy:1080", "socks://h:1", "http://h:99999", "http://", "x", "\"h\\n\"", "http://[::g]", "://"],
    ),
    (
        "WEBHOOK_ADDRESS",
        &["panel.example/hook", "ftp://h", "http://", "http://h:99999/", "a b", "\"http://h\\n/\"", "http://%zz/"],
    ),
    ("WEBHOOK_SECRET", &["سلام", "\"a\\nb\"", "#", "' '"]),
    ("RECURRENT_NOTIFICATIONS_TIMEOUT", &["0", "-1", "9999999999"]),
    ("NUMBER_OF_RECURRENT_NOTIFICATIONS", &["0", "-1", "9999999999"]),
    ("NOTIFY_REACHED_USAGE_PERCENT", &["0", "101", "-1"]),
    ("NOTIFY_DAYS_LEFT", &["-1", "0", "9999999999"]),
    ("SUDO_USERNAME", &["root", "\"a\\nb\""]),
    ("SUDO_PASSWORD", &["", "x"]),
];

/// Lines that python-dotenv skips.
const SKIPPED: &str = "WEBHOOK_SECRET = 'a' b\nDEBUG\nUVICORN_WORKERS-4\nTELEGRAM_API_TOKEN: 1:a\nDOCS 'unclosed\n";

#[test]
fn every_value_of_the_old_panel_lets_this_one_start() {
    let names: BTreeSet<&str> = ODD.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, OLD_SETTINGS.into_iter().collect(), "each setting has odd values");
    let most = ODD.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    for index in 0..most {
        let dir = WorkDir::new();
        let pem = dir.file("both.pem", CERTIFICATE);
        fs::set_permissions(pem, fs::Permissions::from_mode(0o600)).expect("the key is private");
        dir.file("page.html", "{{ user.username and {% nothing");
        let lines = ODD.iter().filter_map(|(name, values)| Some(format!("{name}={}\n", values.get(index)?)));
        let mut text: String = lines.collect();
        let port = free_port().to_string();
        let mut variables = vec![("UVICORN_HOST", "127.0.0.1"), ("UVICORN_PORT", &port)];
        // The first set has them in its file.
        if index < 3 {
            variables.remove(0);
        }
        if index == 0 {
            variables.clear();
        } else {
            text.push_str(SKIPPED);
        }
        dir.file(".env", &text);
        let log = serve(&dir, &variables, "the panel is at");
        assert!(log.contains("the panel is at"), "{text}{log}");
        let planned = dir.run(&["plan"], &variables);
        assert!(matches!(planned.code, Some(0 | 2)), "{planned:?}");
    }
}
