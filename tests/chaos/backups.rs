//! Back-ups and restores under faults: a back-up that says that it succeeded can be restored, and one that did not leaves nothing
//! that looks whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::faults;
use super::panels::Panel;
use super::world::World;

/// Longest time for a command; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// Scheduled back-ups that are restored at the end.
const VERIFIED: usize = 5;

/// The back-ups of a run, and what was wrong with them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BackUps {
    /// Made by the command.
    pub made: u64,
    /// Failed or killed.
    pub not_made: u64,
    /// Made by the task.
    pub scheduled: u64,
    /// Restored into a temporary database and compared.
    pub verified: u64,
    /// Restored into a new database of the server.
    pub restored: u64,
    /// I14: a back-up that can't be restored, one that looks whole and is not, or a restored database that differs.
    pub wrong: Vec<String>,
}

impl World {
    fn with_back_ups<T>(&self, change: impl FnOnce(&mut BackUps) -> T) -> T {
        change(&mut self.back_ups.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wrong_back_up(&self, what: String) {
        println!("{:7.1} s  I14: {what}", self.witness.seconds());
        self.with_back_ups(|it| it.wrong.push(what));
    }

    /// A command of the program, for the database at this port.
    fn command(&self, port: u16, database: &str, arguments: &[&str]) -> Command {
        let settings = &self.panels[0].settings;
        let mut command = Command::new(&settings.programs.program);
        let url = format!("postgresql://postgres@127.0.0.1:{port}/{database}");
        command.args(arguments).env_clear().current_dir(&settings.folder);
        command.env("SQLALCHEMY_DATABASE_URL", url).env("DATA_DIR", &settings.data).env("TMPDIR", &settings.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn new_back_up(&self, folder: &Path) -> PathBuf {
        let number = self.with_back_ups(|it| it.made + it.not_made);
        folder.join(format!("by-hand-{number}-{}.backup", uuid::Uuid::new_v4().simple()))
    }

    /// Restores a back-up into a temporary database; returns what was compared, or why that failed.
    async fn verified(&self, file: &Path) -> Result<Result<Value, String>> {
        let text = file.display().to_string();
        let command = self.command(1, "none", &["restore", "--verify", "--json", "--from", &text]);
        let output = run(command).await?;
        if output.status.success() {
            self.with_back_ups(|it| it.verified += 1);
            return Ok(Ok(serde_json::from_slice(&output.stdout)?));
        }
        Ok(Err(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Judges a command that ended: a back-up that was made is restored, and nothing is left of one that was not. Returns the
    /// report of one that was made.
    async fn judge_back_up(&self, file: &Path, output: &Output) -> Result<Option<Value>> {
        if !output.status.success() {
            self.with_back_ups(|it| it.not_made += 1);
            // A process that was killed after the file got its name has made the back-up.
            if file.exists()
                && let Err(error) = self.verified(file).await?
            {
                self.wrong_back_up(format!("{} was not made, is there and not whole: {error}", file.display()));
            }
            return Ok(None);
        }
        self.with_back_ups(|it| it.made += 1);
        let made: Value = serde_json::from_slice(&output.stdout)?;
        match self.verified(file).await? {
            Err(error) => self.wrong_back_up(format!("{} was made and can't be restored: {error}", file.display())),
            Ok(found) if found["tables"] != made["tables"] => {
                self.wrong_back_up(format!("{} has other tables than were written", file.display()));
            }
            Ok(_) => {}
        }
        Ok(Some(made))
    }
}

/// Runs a command to its end.
async fn run(mut command: Command) -> Result<Output> {
    let name = format!("{command:?}");
    let child = command.spawn()?;
    let running = spawn_blocking(move || child.wait_with_output());
    tokio::time::timeout(LIMIT, running)
        .await
        .with_context(|| format!("longer than {LIMIT:?}: {name}"))??
        .map_err(Into::into)
}

/// Makes a back-up while other faults go on, and restores it into a new database.
pub async fn under_faults(world: &World, panel: &Panel) -> Result<bool> {
    let file = world.new_back_up(&world.by_hand);
    let text = file.display().to_string();
    // Over the panel's own way, which another fault may disturb.
    let output = run(world.command(panel.database.port, "sarban", &["backup", "--json", "--to", &text])).await?;
    let Some(made) = world.judge_back_up(&file, &output).await? else { return Ok(true) };
    restored(world, &file, &made).await?;
    let _ = fs::remove_file(&file);
    Ok(true)
}

/// Restores a back-up into a new database of the server, again if a fault interrupts it, and compares counts and sums.
async fn restored(world: &World, file: &Path, made: &Value) -> Result<Value> {
    let name = format!("restored_{}", uuid::Uuid::new_v4().simple());
    let server = format!("postgresql://postgres@127.0.0.1:{}", world.database_port);
    let end = Instant::now() + LIMIT;
    let admin = format!("{server}/postgres");
    while let Err(error) = execute(&admin, format!("CREATE DATABASE {name}")).await {
        ensure!(Instant::now() < end, "no new database: {error}");
        sleep(Duration::from_millis(500)).await;
    }
    let from = file.display().to_string();
    let database = format!("{server}/{name}");
    let sums = loop {
        let mut command = world.command(world.database_port, &name, &["restore", "--from", &from]);
        // A restore writes the spool.
        command.env("DATA_DIR", world.by_hand.join(&name));
        let output = run(command).await?;
        if let Ok(sums) = sums_of(&database).await
            && (output.status.success() || sums["users"] != 0)
        {
            break sums;
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(Instant::now() < end, "a back-up was not restored within {LIMIT:?}: {error}");
        sleep(Duration::from_millis(500)).await;
    };
    let row = |table: &str| {
        made["tables"].as_array().into_iter().flatten().find(|it| it["name"] == table).cloned().unwrap_or_default()
    };
    let traffic: i64 =
        row("user_traffic")["sums"]["lifetime_used_traffic"].as_str().and_then(|sum| sum.parse().ok()).unwrap_or(-1);
    let expected = json!({"users": row("users")["rows"], "services": row("services")["rows"], "traffic": traffic});
    let found = json!({"users": sums["users"], "services": sums["services"], "traffic": sums["traffic"]});
    if found != expected {
        world.wrong_back_up(format!("{}: restored {found}, expected {expected}", file.display()));
    }
    world.with_back_ups(|it| it.restored += 1);
    // The server may be away.
    let _ = execute(&admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    let _ = fs::remove_dir_all(world.by_hand.join(&name));
    Ok(sums)
}

async fn execute(url: &str, statement: String) -> Result<()> {
    let mut session = sqlx::PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut session).await?;
    Ok(())
}

/// Counts and sums of a database.
async fn sums_of(url: &str) -> Result<Value> {
    let mut session = sqlx::PgConnection::connect(url).await?;
    let has_tables: bool =
        sqlx::query_scalar("SELECT to_regclass('public.users') IS NOT NULL").fetch_one(&mut session).await?;
    if !has_tables {
        return Ok(json!({"users": 0}));
    }
    let (users, services, traffic, keys): (i64, i64, i64, Option<String>) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM services),
                (SELECT CAST(COALESCE(SUM(lifetime_used_traffic), 0) AS BIGINT) FROM user_traffic),
                (SELECT md5(string_agg(concat_ws(' ', id, username, key, enabled, activated, removed), ',' ORDER BY id)) FROM users)",
    )
    .fetch_one(&mut session)
    .await?;
    Ok(json!({"users": users, "services": services, "traffic": traffic, "keys": keys}))
}

/// Kills the command in its middle.
pub async fn killed(world: &World, rng: &mut StdRng) -> Result<bool> {
    let file = world.new_back_up(&world.by_hand);
    let text = file.display().to_string();
    let mut command = world.command(world.database_port, "sarban", &["backup", "--json", "--to", &text]);
    let mut child = command.spawn()?;
    let partial = || {
        fs::read_dir(&world.by_hand).is_ok_and(|mut files| {
            files.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".partial")))
        })
    };
    let end = Instant::now() + Duration::from_secs(20);
    while !partial() && child.try_wait()?.is_none() && Instant::now() < end {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(rng.random_range(0..200))).await;
    child.kill()?;
    let output = spawn_blocking(move || child.wait_with_output()).await??;
    world.judge_back_up(&file, &output).await?;
    // What is left has another name, and is refused.
    for entry in fs::read_dir(&world.by_hand)? {
        let left = entry?.path();
        if left.extension().is_some_and(|end| end == "partial") {
            if world.verified(&left).await?.is_ok() && !output.status.success() && !file.exists() {
                println!("{:7.1} s  the back-up was whole when it was killed", world.witness.seconds());
            }
            fs::remove_file(&left)?;
        }
    }
    let _ = fs::remove_file(&file);
    Ok(true)
}

/// Backs up to a disk that gets full.
pub async fn disk_filled(world: &World) -> Result<bool> {
    let Some(filled) = world.back_up_disk.fill() else { return Ok(false) };
    // There is room for the begin of a back-up.
    let room = fs::metadata(filled.file())?.len().saturating_sub(8 << 10);
    fs::File::options().write(true).open(filled.file())?.set_len(room)?;
    let file = world.new_back_up(&world.back_up_disk.folder);
    let text = file.display().to_string();
    let output = run(world.command(world.database_port, "sarban", &["backup", "--json", "--to", &text])).await?;
    drop(filled);
    if output.status.success() || file.exists() {
        world.wrong_back_up(format!("a back-up on a full disk: {output:?}"));
    }
    world.judge_back_up(&file, &output).await?;
    let left = fs::read_dir(&world.back_up_disk.folder)?.count();
    if left > 0 {
        world.wrong_back_up(format!("{left} files are left on a disk that was full"));
    }
    Ok(true)
}

/// Has the leader make a back-up, and kills the leader meanwhile.
pub async fn scheduled_killed(world: &World, rng: &mut StdRng) -> Result<bool> {
    let Some(leader) = world.witness.leader() else { return Ok(false) };
    let Some(panel) = world.panels.iter().find(|panel| panel.name == leader) else { return Ok(false) };
    if world.call(panel, "POST", "/api/cluster/tasks/back_up/run", json!({})).await.is_err() {
        return Ok(false);
    }
    sleep(Duration::from_millis(rng.random_range(0..400))).await;
    faults::killed(world, &**panel, rng.random_range(100..1_000)).await
}

/// At rest: restores the newest scheduled back-ups and a new one, which must be equal to the database; finds the file of each run.
pub async fn judge(world: &World) -> Result<BackUps> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(&world.scheduled)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "backup"));
    files.sort_unstable();
    let mut sizes: BTreeMap<u64, usize> = BTreeMap::new();
    for file in &files {
        *sizes.entry(fs::metadata(file)?.len()).or_default() += 1;
    }
    const RUNS: &str = "SELECT CAST(items AS BIGINT) FROM task_run WHERE task = 'back_up' AND state = 'done'";
    let runs: Vec<i64> = sqlx::query_scalar(RUNS).fetch_all(&world.witness.pool).await?;
    world.with_back_ups(|it| it.scheduled = runs.len() as u64);
    for bytes in runs {
        match sizes.get_mut(&bytes.unsigned_abs()) {
            Some(count) if *count > 0 => *count -= 1,
            _ => world.wrong_back_up(format!("there is no file of a scheduled back-up of {bytes} bytes")),
        }
    }
    for file in files.iter().rev().take(VERIFIED) {
        if let Err(error) = world.verified(file).await? {
            world.wrong_back_up(format!("{} can't be restored: {error}", file.display()));
        }
    }
    let file = world.new_back_up(&world.by_hand);
    let text = file.display().to_string();
    let output = run(world.command(world.database_port, "sarban", &["backup", "--json", "--to", &text])).await?;
    match world.judge_back_up(&file, &output).await? {
        None => world.wrong_back_up(format!("no back-up at rest: {output:?}")),
        Some(made) => {
            let restored = restored(world, &file, &made).await?;
            let own = sums_of(&format!("postgresql://postgres@127.0.0.1:{}/sarban", world.database_port)).await?;
            if restored != own {
                world.wrong_back_up(format!("restored {restored}, and the database has {own}"));
            }
        }
    }
    Ok(world.with_back_ups(|it| it.clone()))
}
