//! Fills a new database with users:
//! `cargo run --release --example seed -- --users 1000000 --database sqlite:///big.sqlite3`.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a program for benchmarks")]

#[path = "mod.rs"]
mod seed;

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use sarban::clock::Clock;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::migrate;
use sarban::store::{Db, OpenOptions};

#[derive(Parser)]
#[command(name = "seed", about = "Fills a new database with users")]
struct Arguments {
    /// Number of users.
    #[arg(long, default_value_t = 100_000)]
    users: i64,
    /// Hours of usage of every tenth user.
    #[arg(long, default_value_t = 24)]
    hours: i64,
    /// Number of hosts.
    #[arg(long, default_value_t = 20)]
    hosts: i64,
    /// URL of the database, as in SQLALCHEMY_DATABASE_URL.
    #[arg(long)]
    database: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { users, hours, hosts, database } = Arguments::parse();
    let url = DatabaseUrl::parse(&database).map_err(|problem| anyhow::anyhow!("--database {problem}"))?;
    let db = Db::open(&OpenOptions {
        url,
        connections: 1,
        statement_cache: 10,
        application_name: "seed".to_owned(),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(600),
        busy_timeout: Duration::from_secs(30),
        read_only: false,
    })
    .await?;
    migrate::migrate(&db).await.context("the schema")?;
    let clock = Clock::real();
    let began = clock.boot();
    seed::fill(&db, seed::Size { users, hours, hosts }, clock.now()).await;
    let seconds = (clock.boot().micros() - began.micros()) as f64 / 1e6;
    println!("{users} users in {seconds:.1} s; every admin's password is {:?}", seed::PASSWORD);
    db.close().await;
    Ok(())
}
