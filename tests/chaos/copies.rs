//! The files of copies: faults of them, and what is in them.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::RngExt;
use rand::rngs::StdRng;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::copy::CopiedUser;
use sarban::domain::copy::checksum::unsealed;
use sarban::store::copy::source;
use sarban::store::{Db, OpenOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, query_as, query_scalar};
use tokio::time::{Instant, sleep};

use super::cover::{Need, now};
use super::fetches;
use super::panels::{Serving, ensure_running};
use super::world::World;

/// Time within which a damaged file is replaced, or the process is restarted by an operator: damage that nobody reads is found
/// by the next comparison of all users, which may be ten minutes away.
const NOTICED: Duration = Duration::from_secs(10);

/// Longest time until copies have followed at rest.
const FOLLOWED: Duration = Duration::from_secs(30);

/// The content of a copy.
struct Content {
    is_whole: bool,
    agreed_at: i64,
    users: Vec<CopiedUser>,
    shared: Vec<u8>,
}

/// Reads a copy; an error if it is damaged.
async fn read(path: &Path) -> Result<Content> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(1));
    let mut connection = options.connect().await?;
    let content = read_from(&mut connection).await;
    let _ = sqlx::Connection::close(connection).await;
    content
}

async fn read_from(connection: &mut SqliteConnection) -> Result<Content> {
    let check: String = query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
    anyhow::ensure!(check == "ok", "{check}");
    let values: Vec<(String, Vec<u8>)> =
        query_as("SELECT name, CAST(value AS BLOB) FROM value").fetch_all(&mut *connection).await?;
    let value = |name: &str| values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let text = |name: &str| value(name).and_then(|value| String::from_utf8(value).ok());
    let rows: Vec<(i64, String, Vec<u8>)> =
        query_as("SELECT id, username, record FROM user ORDER BY id").fetch_all(&mut *connection).await?;
    let mut users = Vec::new();
    for (id, username, record) in rows {
        let user = CopiedUser::from_bytes(&record).context("a record is damaged")?;
        anyhow::ensure!(user.id == id && user.username == username, "a row is damaged");
        users.push(user);
    }
    Ok(Content {
        is_whole: text("whole").is_some_and(|text| text == "1"),
        agreed_at: text("agreed_at").and_then(|text| text.parse().ok()).unwrap_or(0),
        users,
        shared: unsealed(&value("shared").context("no shared part")?).context("a damaged shared part")?.to_vec(),
    })
}

/// True if the file is complete, without damage, and agreed with its source after this time.
pub async fn is_sound_since(server: &dyn Serving, since: i64) -> bool {
    read(&server.copy()).await.is_ok_and(|content| content.is_whole && content.agreed_at > since)
}

/// True if the copy agreed with its source after this time.
pub async fn agrees_since(server: &dyn Serving, since: i64) -> bool {
    read(&server.copy()).await.is_ok_and(|content| content.agreed_at > since)
}

/// Returns how many rows of the copy differ from the database in more than traffic and times of use, and one that its users can't
/// be read for a file that can't.
pub async fn differences(server: &dyn Serving, db: &Db) -> Result<usize> {
    let Ok(content) = read(&server.copy()).await else { return Ok(1) };
    let expected = source::page(db, 0, 100_000).await?.users;
    let is_same = |a: &CopiedUser, b: &CopiedUser| {
        // An edge has no notes.
        !a.clone().without_note().differs_in_logged_fields(&b.clone().without_note())
    };
    let has = |users: &[CopiedUser], user: &CopiedUser| {
        users.binary_search_by_key(&user.id, |it| it.id).is_ok_and(|at| is_same(&users[at], user))
    };
    let missing = expected.iter().filter(|user| !has(&content.users, user)).count();
    let extra =
        content.users.iter().filter(|user| expected.binary_search_by_key(&user.id, |it| it.id).is_err()).count();
    let shared: serde_json::Value = serde_json::from_slice(&source::shared_part(db).await?.json())?;
    let copied: serde_json::Value = serde_json::from_slice(&content.shared).unwrap_or_default();
    Ok(missing + extra + usize::from(shared != copied) + usize::from(!content.is_whole))
}

/// At rest: counts the differences of all copies from the database, once those that differ had time to follow.
pub async fn judge(world: &World) -> Result<usize> {
    if !world.has_copies() {
        return Ok(0);
    }
    let url = format!("postgresql://postgres@127.0.0.1:{}/sarban", world.database_port);
    let db = Db::open(&OpenOptions {
        url: DatabaseUrl::parse(&url).map_err(anyhow::Error::msg)?,
        connections: 2,
        statement_cache: 100,
        application_name: "chaos".to_owned(),
        acquire_timeout: FOLLOWED,
        statement_timeout: FOLLOWED,
        busy_timeout: FOLLOWED,
        read_only: true,
    })
    .await?;
    let end = Instant::now() + FOLLOWED;
    let mut all = 0;
    for server in world.servers() {
        loop {
            let found = differences(server, &db).await?;
            if found == 0 || Instant::now() > end {
                if found > 0 {
                    println!("I13: {found} differences at {}", server.name());
                }
                all += found;
                break;
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
    db.close().await;
    Ok(all)
}

/// Flips bytes in the file of a copy or in its log while the process uses them.
pub async fn damaged(world: &World, server: &dyn Serving, rng: &mut StdRng) -> Result<bool> {
    let Ok(mut process) = server.process().try_lock() else { return Ok(false) };
    let damaged = world.cover.disturb(server.name(), Need::Copy);
    world.cover.forget(server.name(), fetches::IN_FILE);
    let end = if rng.random_bool(0.5) { "-wal" } else { "" };
    let Some(bytes) = flip(&with_end(&server.copy(), end), rng)? else { return Ok(false) };
    let since = now();
    drop(damaged);
    println!("{:7.1} s  {bytes} bytes of the copy{end} of {} were flipped", world.witness.seconds(), server.name());
    let end = Instant::now() + NOTICED;
    while Instant::now() < end {
        if is_sound_since(server, since).await {
            return Ok(true);
        }
        sleep(Duration::from_millis(200)).await;
    }
    // As an operator would: the process checks the file when it opens it.
    let _gone = world.cover.disturb(server.name(), Need::Process);
    world.witness.excuse(server.name());
    world.record_process_fault(server.name(), "killed");
    world.cover.forget(server.name(), fetches::IN_FILE);
    *process = None;
    ensure_running(server, &mut process)?;
    world.settle(server.name());
    Ok(true)
}

/// Flips up to 64 bytes. Returns their number; `None` if there is no such file, or nothing in it.
fn flip(path: &Path, rng: &mut StdRng) -> Result<Option<usize>> {
    let Ok(mut file) = fs::File::options().read(true).write(true).open(path) else { return Ok(None) };
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(None);
    }
    let count = rng.random_range(1..=64);
    for _ in 0..count {
        let at = rng.random_range(0..length);
        let mut byte = [0];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&[byte[0] ^ rng.random_range(1..=255_u8)])?;
    }
    Ok(Some(count))
}

/// Deletes the file of a copy and the two beside it while the process uses them.
pub async fn deleted(world: &World, server: &dyn Serving) -> Result<bool> {
    let Ok(_process) = server.process().try_lock() else { return Ok(false) };
    let _deleted = world.cover.disturb(server.name(), Need::Copy);
    world.cover.forget(server.name(), fetches::IN_FILE);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(with_end(&server.copy(), end));
    }
    // Fetches that are written before the process notices.
    sleep(Duration::from_secs(2)).await;
    world.cover.forget(server.name(), fetches::IN_FILE);
    Ok(true)
}

/// Fills the disk of a copy.
pub async fn disk_filled(server: &dyn Serving, time: Duration) -> Result<bool> {
    let Some(_filled) = server.disk().fill() else { return Ok(false) };
    sleep(time).await;
    Ok(true)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
