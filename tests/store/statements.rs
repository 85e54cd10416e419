//! Every SQL text is registered, and both engines can prepare it, which replaces a compile-time check.
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use fancy_regex::Regex;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::{OpenOptions, all_statements};
use sqlx::{Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};

use crate::support::database::on_both_engines;

on_both_engines!(every_statement_is_prepared_by_both_engines);

async fn every_statement_is_prepared_by_both_engines(options: OpenOptions) {
    let mut refused = Vec::new();
    match options.url {
        DatabaseUrl::Postgres { url } => {
            let mut connection = PgConnection::connect(url.expose()).await.unwrap();
            for statement in all_statements() {
                if let Err(error) = connection.prepare(statement.pg.into_sql_str()).await {
                    refused.push(format!("{}: {error}\n    {}", statement.name, statement.pg));
                }
            }
            connection.close().await.unwrap();
        }
        DatabaseUrl::Sqlite { path } => {
            let address = format!("sqlite://{}", path.display());
            let mut connection = SqliteConnection::connect(&address).await.unwrap();
            for statement in all_statements() {
                if let Err(error) = connection.prepare(statement.lite.into_sql_str()).await {
                    refused.push(format!("{}: {error}\n    {}", statement.name, statement.lite));
                }
            }
            connection.close().await.unwrap();
        }
    }
    assert!(refused.is_empty(), "{} statements can't be prepared:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn statement_names_are_unique() {
    let mut seen = HashSet::new();
    for statement in all_statements() {
        assert!(seen.insert(statement.name), "{} is registered twice", statement.name);
    }
}

/// The statements of a file that `all_statements` forgets would never be prepared.
#[test]
fn every_file_with_statements_is_registered() {
    let registered: HashSet<&str> =
        all_statements().filter_map(|statement| statement.name.rsplit_once("::")).map(|(module, _)| module).collect();
    for (path, source) in sources() {
        if source.lines().any(|line| line.starts_with("statements! {")) {
            let module =
                path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::").replacen("src", "sarban", 1);
            assert!(registered.contains(module.as_str()), "{path}: its STATEMENTS are not in store::all_statements");
        }
    }
}

#[test]
fn no_call_has_an_unregistered_sql_text() {
    let found: Vec<String> = sources().iter().flat_map(|(path, source)| literal_sql(path, source)).collect();
    assert!(found.is_empty(), "SQL belongs into `statements!`:\n{}", found.join("\n"));
}

/// Returns the calls that run an SQL text of their own instead of a registered one. Unit tests may.
fn literal_sql(path: &str, source: &str) -> Vec<String> {
    let call = r"\b(?:query(?:_\w+)?|raw_sql|execute|execute_many|fetch(?:_\w+)?|prepare)\s*(?:::<[^;]*?>)?\s*\(";
    let text = r#"\s*&?(?:b?r?\#*"|(?:std::)?(?:concat|format|include_str)!|AssertSqlSafe)"#;
    let pattern = Regex::new(&format!("{call}{text}")).unwrap();
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let line = |at: usize| code[..at].lines().count();
    pattern.find_iter(code).map(|found| found.unwrap()).map(|found| format!("{path}:{}", line(found.end()))).collect()
}

#[test]
fn sql_text_at_its_call_is_found() {
    for code in [
        r#"query("SELECT 1")"#,
        r#"sqlx::query_as::<_, (i64, Vec<u8>)>( "SELECT 1")"#,
        "query_scalar(\n    r#\"SELECT 1\"#)",
        r#"query(&format!("SELECT {column}"))"#,
        r"sqlx::query(AssertSqlSafe(text))",
        r#"pool.execute("SELECT 1")"#,
        r#"c.fetch_one(concat!("SELECT ", "1"))"#,
    ] {
        assert_eq!(literal_sql("a.rs", &format!("\n{code}")).len(), 1, "{code}");
    }
    for code in [
        "query(sql).fetch_one(c).await",
        "query_scalar::<_, i64>(sql).bind(\"text\")",
        "fn code() {}\n#[cfg(test)]\nmod tests { fn f() { query(\"SELECT 1\"); } }",
    ] {
        assert_eq!(literal_sql("a.rs", code), Vec::<String>::new(), "{code}");
    }
    assert_eq!(literal_sql("a.rs", "\n\nquery(\"\")"), ["a.rs:3"]);
}

/// Returns the source files, by their path below the repository's root.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 10, "the source was not found");
    files
}
