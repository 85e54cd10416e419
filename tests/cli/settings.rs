//! Settings from variables, `.env` and files; all wrong ones are reported together.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use sarban::config::{Settings, SettingsErrors};

use super::WorkDir;

fn load(variables: &[(&str, &str)], dotenv: &str) -> Result<Settings, SettingsErrors> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::load(variables, Some(dotenv), "box")
}

#[test]
fn all_wrong_settings_are_reported_without_secrets() {
    let output = WorkDir::new().run(
        &["plan"],
        &[
            ("UVICORN_PORT", "http"),
            ("LEASE_TTL_SECONDS", "1"),
            ("TRUSTED_PROXIES", "10.0.0.0/40"),
            ("NOTIFY_REACHED_USAGE_PERCENT", "80%"),
            ("DATABASE_URL", "mysql://root:hunter2@db/panel"),
            ("REDIS_URL", "memcached://:hunter2@cache"),
            ("UVICORN_SSL_KEYFILE", "key.pem"),
        ],
    );
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 7, "{output:?}");
    for part in [
        "UVICORN_PORT must be a whole number from 1 to 65535; got \"http\"",
        "LEASE_TTL_SECONDS must be from 2 to 3600; it has 1",
        "TRUSTED_PROXIES must be",
        "NOTIFY_REACHED_USAGE_PERCENT must be a whole number from 1 to 100",
        "sarban import",
        "REDIS_URL must be redis://",
        "UVICORN_SSL_KEYFILE is set without UVICORN_SSL_CERTFILE",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
    assert!(!output.stderr.contains("hunter2"), "{output:?}");
}

#[test]
fn only_settings_must_be_utf8() {
    let dir = WorkDir::new();
    let broken = OsStr::from_bytes(b"\xff");
    let output = dir.run_with(&["plan"], [(OsStr::new("UVICORN_HOST"), broken)]);
    assert!(output.expect_failure(2).contains("UVICORN_HOST must be UTF-8 text"));
    dir.run_with(&["plan"], [(OsStr::new("LS_COLORS"), broken)]).expect_success();
}

#[test]
fn variables_win_over_the_env_file_of_the_working_folder() {
    let dir = WorkDir::new();
    dir.file(".env", "UVICORN_WORKERS = \"3\"\nDEBUG=no\n");
    let workers = |variables: &[(&str, &str)]| {
        let text = dir.run(&["plan", "--json"], variables).expect_success();
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["workers"].clone()
    };
    assert_eq!(workers(&[]), 3);
    assert_eq!(workers(&[("UVICORN_WORKERS", "")]), 3, "an empty value is not set");
    assert_eq!(workers(&[("UVICORN_WORKERS", "4")]), 4);
    assert_eq!(workers(&[("DEBUG", "1")]), 1);

    dir.file(".env", "UVICORN_WORKERS=3\nMETRICS_TOKEN='two words\n");
    let error = dir.run(&["plan"], &[]).expect_failure(2);
    assert!(error.contains(".env: line 2 (METRICS_TOKEN)") && !error.contains("words"), "{error}");
}

#[test]
fn settings_that_are_not_used_as_written_are_sentences_of_plan() {
    let dir = WorkDir::new();
    dir.file(".env", "FOO='never\nBAR baz\nDEBUG\nTASKS_REVIEW_USERS_INTERVAL=99999999\n");
    let output = dir.run(&["plan", "--json"], &[("NUMBER_OF_RECURRENT_NOTIFICATIONS", "0")]);
    assert_eq!((output.code, output.stderr.lines().count()), (Some(2), 2), "{output:?}");
    let error = output.stderr;
    assert!(error.contains(".env: line 3 (DEBUG) has no value"), "{error}");
    assert!(error.contains("NUMBER_OF_RECURRENT_NOTIFICATIONS must be from 1 to 1000; 1 is used"), "{error}");
}

#[test]
fn secrets_are_read_from_files() {
    let dir = WorkDir::new();
    let url = dir.file("url", "postgresql://u:p@127.0.0.1:1/panel\n");
    let url = url.to_str().expect("a name");
    let text = dir.run(&["plan", "--json"], &[("SQLALCHEMY_DATABASE_URL_FILE", url)]).stdout;
    assert!(text.contains("\"database\": \"postgresql\""), "{text}");

    let both = [("SQLALCHEMY_DATABASE_URL_FILE", url), ("SQLALCHEMY_DATABASE_URL", "sqlite:///db")];
    let error = dir.run(&["plan"], &both).expect_failure(2);
    assert!(error.contains("SQLALCHEMY_DATABASE_URL and SQLALCHEMY_DATABASE_URL_FILE are both set"), "{error}");

    let error = dir.run(&["plan"], &[("REDIS_URL_FILE", "/nowhere")]).expect_failure(2);
    assert!(error.contains("REDIS_URL_FILE must name a readable file"), "{error}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = WorkDir::new();
    for arguments in [&["plan", "--hosts", "0"][..], &["fly"], &["admin"], &["--no-migrate", "plan"]] {
        assert_eq!(dir.run(arguments, &[]).code, Some(2), "{arguments:?}");
    }
    assert_eq!(dir.run(&["--help"], &[]).code, Some(0));
}

#[test]
fn numbers_that_only_the_old_panel_takes_keep_no_panel_from_starting() {
    let settings = load(
        &[
            ("TASKS_REVIEW_USERS_INTERVAL", "99999999"),
            ("TASKS_RESET_USER_DATA_USAGE", "0"),
            ("SQLALCHEMY_CONNECTION_POOL_SIZE", "0"),
            ("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "-20"),
            ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "9999999999"),
            ("NOTIFY_REACHED_USAGE_PERCENT", "101"),
            ("NOTIFY_DAYS_LEFT", "1_000"),
            ("SUDO_USERNAME", "root"),
            ("LOG_LEVEL", "CRITICAL"),
            ("TELEGRAM_PROXY_URL", "socks4://127.0.0.1:1080"),
        ],
        "",
    )
    .expect("legal there");
    assert_eq!(settings.tasks.review_users, Duration::from_secs(99_999_999));
    assert_eq!(settings.tasks.reset_user_data_usage, Duration::from_secs(1));
    assert_eq!(settings.database.max_connections(), 10);
    assert_eq!(settings.auth.token_minutes, 5_256_000);
    assert_eq!((settings.notify.usage_percent, settings.notify.days_left), (100, 1_000));
    let names = settings.warnings.iter().map(|warning| warning.split(' ').next().unwrap_or_default());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "SQLALCHEMY_CONNECTION_POOL_SIZE",
            "TASKS_RESET_USER_DATA_USAGE",
            "JWT_ACCESS_TOKEN_EXPIRE_MINUTES",
            "NOTIFY_REACHED_USAGE_PERCENT",
        ]
    );
}

#[test]
fn error_names_where_the_value_was_read() {
    let file = "\nUVICORN_PORT=http\nSARBAN_IMPORT_FROM=nothing\n";
    let errors = load(&[("DATABASE_URL", "oracle://h")], file).expect_err("wrong").to_string();
    for start in ["DATABASE_URL has", "UVICORN_PORT (line 2 of .env) must", "SARBAN_IMPORT_FROM (line 3 of .env) is"] {
        assert!(errors.lines().any(|error| error.starts_with(start)), "{start}: {errors}");
    }
}
