//! `sarban plan`: sizing and warnings.

use serde_json::Value;

use super::WorkDir;

fn plan(arguments: &[&str], variables: &[(&str, &str)]) -> Value {
    let arguments = [&["plan", "--json"], arguments].concat();
    // The status is about what `serve` will refuse: a database that these tests do not have.
    serde_json::from_str(&WorkDir::new().run(&arguments, variables).stdout).expect("JSON")
}

#[test]
fn workers_follow_the_cores_unless_configured() {
    let found = plan(&[], &[]);
    let cores = found["cores"].as_u64().expect("a number");
    assert_eq!(found["workers"], if cores == 1 { 1 } else { (2 * cores + 1).min(8) });
    assert!(found["memory_mb"].as_u64() > Some(0));
    assert!(found["host_memory_mb"].as_u64() > found["memory_mb"].as_u64(), "{found}");
    assert!(found["warnings"].is_array(), "the warnings depend on this machine");

    let found = plan(&[], &[("UVICORN_WORKERS", "2")]);
    assert_eq!((&found["workers"], &found["reason"]), (&2.into(), &"set by UVICORN_WORKERS".into()));
    let found = plan(&[], &[("UVICORN_WORKERS", "2"), ("DEBUG", "true")]);
    assert_eq!((&found["workers"], &found["reason"]), (&1.into(), &"DEBUG is on".into()));
}

#[test]
fn connections_are_pool_and_overflow_on_each_host() {
    let database = ("SQLALCHEMY_DATABASE_URL", "postgresql+psycopg://u:p@127.0.0.1:1/panel");
    let pool = ("SQLALCHEMY_CONNECTION_POOL_SIZE", "20");
    let found = plan(&["--hosts", "4"], &[database, pool, ("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "10")]);
    assert_eq!((&found["database_connections"], &found["database_connections_all_hosts"]), (&30.into(), &120.into()));
    let warnings = found["warnings"].to_string();
    assert!(warnings.contains("REDIS_URL") && warnings.contains("SQLALCHEMY_CONNECTION_POOL_SIZE"), "{warnings}");
    assert_eq!(plan(&[], &[database, pool])["database_connections"], 20);
}

#[test]
fn output_without_json_is_a_table_with_warnings() {
    let text = WorkDir::new().run(&["plan", "--hosts", "2"], &[]).expect_success();
    for part in ["cores", "workers", "connections", "memory", "warning: several hosts can't share a SQLite database"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn files_that_serve_does_not_use_are_named_with_status_2() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let page = folder.path().join("page.html");
    std::fs::write(&page, "{{ user.username").expect("written");
    let page = page.to_str().expect("UTF-8");
    for (variables, sentence) in [
        (&[("SUBSCRIPTION_PAGE_TEMPLATE", page)][..], format!("SUBSCRIPTION_PAGE_TEMPLATE: could not use {page}")),
        (
            &[("CLASH_SUBSCRIPTION_TEMPLATE", "/missing/clash.yml")],
            "CLASH_SUBSCRIPTION_TEMPLATE: could not use /missing/clash.yml, so the built-in template serves: no such file"
                .to_owned(),
        ),
        (
            &[("UVICORN_SSL_CERTFILE", page), ("UVICORN_SSL_KEYFILE", page)],
            format!("UVICORN_SSL_CERTFILE: no PEM certificates in {page}"),
        ),
    ] {
        for arguments in [&["plan"][..], &["plan", "--json"]] {
            let output = WorkDir::new().run(arguments, variables);
            assert_eq!(output.code, Some(2), "{output:?}");
            assert!(output.stderr.contains(&sentence), "{sentence}: {output:?}");
        }
    }
}
