//! Settings from variables, `.env` and files: all that are wrong are named at once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Box;

#[test]
fn all_that_is_wrong_is_named_and_no_secret_shown() {
    let ran = Box::new().run(
        &["plan"],
        &[
            ("UVICORN_PORT", "http"),
            ("LEASE_TTL_SECONDS", "1"),
            ("TRUSTED_PROXIES", "10.0.0.0/40"),
            ("NOTIFY_REACHED_USAGE_PERCENT", "0"),
            ("DATABASE_URL", "mysql://root:hunter2@db/panel"),
            ("REDIS_URL", "memcached://:hunter2@cache"),
            ("UVICORN_SSL_CERTFILE", "cert.pem"),
        ],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 7, "{ran:?}");
    for part in [
        "UVICORN_PORT must be a whole number from 1 to 65535; got \"http\"",
        "LEASE_TTL_SECONDS must be from 2 to 3600; it has 1",
        "TRUSTED_PROXIES must be",
        "NOTIFY_REACHED_USAGE_PERCENT must be a whole number from 1 to 100",
        "sarban import",
        "REDIS_URL must be redis://",
        "UVICORN_SSL_CERTFILE is set without UVICORN_SSL_KEYFILE",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

#[test]
fn a_variable_that_is_not_text_is_named_and_others_do_no_harm() {
    let place = Box::new();
    let broken = OsStr::from_bytes(b"\xff");
    let ran = place.run_with(&["plan"], [(OsStr::new("UVICORN_HOST"), broken)]);
    assert!(ran.failed(2).contains("UVICORN_HOST must be UTF-8 text"));
    place.run_with(&["plan"], [(OsStr::new("LS_COLORS"), broken)]).well();
}

#[test]
fn the_working_folders_env_file_counts_after_real_variables() {
    let place = Box::new();
    place.file(".env", "UVICORN_WORKERS = \"3\"\nDEBUG=no\n");
    let workers = |variables: &[(&str, &str)]| {
        let text = place.run(&["plan", "--json"], variables).well();
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["workers"].clone()
    };
    assert_eq!(workers(&[]), 3);
    assert_eq!(workers(&[("UVICORN_WORKERS", "")]), 3, "an empty value is not set");
    assert_eq!(workers(&[("UVICORN_WORKERS", "4")]), 4);
    assert_eq!(workers(&[("DEBUG", "1")]), 1);

    place.file(".env", "UVICORN_WORKERS=3\nMETRICS_TOKEN=two words\n");
    let error = place.run(&["plan"], &[]).failed(2);
    assert!(error.contains(".env: line 2 (METRICS_TOKEN)") && !error.contains("words"), "{error}");
}

#[test]
fn secrets_may_come_from_files() {
    let place = Box::new();
    let url = place.file("url", "postgresql://u:p@db/panel\n");
    let url = url.to_str().expect("a name");
    let text = place.run(&["plan", "--json"], &[("SQLALCHEMY_DATABASE_URL_FILE", url)]).well();
    assert!(text.contains("\"database\": \"postgresql\""), "{text}");

    let both = [("SQLALCHEMY_DATABASE_URL_FILE", url), ("SQLALCHEMY_DATABASE_URL", "sqlite:///db")];
    let error = place.run(&["plan"], &both).failed(2);
    assert!(error.contains("SQLALCHEMY_DATABASE_URL and SQLALCHEMY_DATABASE_URL_FILE are both set"), "{error}");

    let error = place.run(&["plan"], &[("REDIS_URL_FILE", "/nowhere")]).failed(2);
    assert!(error.contains("REDIS_URL_FILE must name a readable file"), "{error}");
}

#[test]
fn wrong_usage_is_code_two() {
    let place = Box::new();
    for arguments in [&["plan", "--hosts", "0"][..], &["fly"], &["admin"], &["--no-migrate", "plan"]] {
        assert_eq!(place.run(arguments, &[]).code, Some(2), "{arguments:?}");
    }
    assert_eq!(place.run(&["--help"], &[]).code, Some(0));
}
