//! Judges the record of fetches by what is promised for subscriptions: I10, I11 and I12.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::cover::{ALL, Need};
use super::fetches::{Answer, Fetch, number_of};
use super::report::Percentiles;
use super::world::World;

const SECOND: i64 = 1_000_000;
/// A server may have read the user this long before the moment of which its answer speaks. Promised is one second.
const CACHED: i64 = 2 * SECOND;
/// Time after which a change has reached a panel, and an edge, while nothing is disturbed. Promised are one second and two.
const AT_PANELS: i64 = 3 * SECOND;
const AT_EDGES: i64 = 10 * SECOND;
/// Time after which a healed server answers from its source again.
const HEALED: i64 = 7 * SECOND;
/// Age of a key from which on every copy must have it, however long its source was away.
const KNOWN: i64 = 60 * SECOND;
/// Longest time until all fetches are in the database.
const SAVED: Duration = Duration::from_secs(60);
/// Violations of a kind that are printed.
const PRINTED: u64 = 8;

/// The fetches of a run, and which of them broke a promise.
#[derive(Debug, Default, Serialize)]
pub struct Fetches {
    pub fetches: usize,
    pub from_copy: usize,
    /// Not served, and nothing was promised: the process, or its copy and its source, were disturbed.
    pub excused: u64,
    /// I10: not served although it was promised.
    pub refused: u64,
    /// I10: links that had been good for a minute and were answered with 404.
    pub unknown_links: u64,
    /// Fetches with a key that had been revoked, and those of them that were served within the time that a change takes.
    pub with_revoked_key: u64,
    pub served_in_time: u64,
    /// Fetches with a revoked key for which the whole time since the revocation was free of disturbances.
    pub with_revoked_key_undisturbed: u64,
    /// I11: served although the key was revoked before the moment of which the answer speaks.
    pub served_after_agreement: u64,
    /// I11: served too long after the revocation, without a disturbance.
    pub served_too_late: u64,
    /// I12: users whose last fetch is not in the database.
    pub lost: u64,
    /// I12: fetches in the database that nobody made.
    pub wrong: u64,
    /// From the request to the last byte of an answer, by origin.
    pub from_panel_ms: Percentiles,
    pub from_copy_ms: Percentiles,
}

/// Times of keys, in unix microseconds: from the commit that issued it to the one that revoked it.
type Keys = HashMap<(i64, String), (i64, Option<i64>)>;

/// Judges all fetches.
pub async fn judge(world: &World) -> Result<Fetches> {
    let keys = keys(world).await?;
    let fetches = world.fetches.all();
    let mut result = Fetches { fetches: fetches.len(), ..Fetches::default() };
    for (number, fetch) in fetches.iter().enumerate() {
        judge_one(world, &keys, number, fetch, &mut result);
    }
    let took = |is_copy: bool| {
        let is_wanted = |fetch: &&Fetch| matches!(fetch.answer, Answer::Served { age } if age.is_some() == is_copy);
        let took = fetches.iter().filter(is_wanted).map(|fetch| ((fetch.ended - fetch.began) / 1_000).unsigned_abs());
        Percentiles::of(took.collect())
    };
    (result.from_panel_ms, result.from_copy_ms) = (took(false), took(true));
    result.from_copy = result.from_copy_ms.count;
    let began = Instant::now();
    loop {
        let is_last = began.elapsed() > SAVED;
        let (lost, wrong) = saved(world, &fetches, is_last).await?;
        if is_last || lost == 0 {
            result.lost = lost;
            result.wrong += wrong;
            return Ok(result);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Reads when which key was good.
async fn keys(world: &World) -> Result<Keys> {
    const CHANGES: &str = "SELECT user_id, key, gone,
        CAST(EXTRACT(EPOCH FROM pg_xact_commit_timestamp(xmin)) * 1000000 AS BIGINT) AS at FROM witness_key_change ORDER BY at, seq";
    let rows: Vec<(i64, String, bool, i64)> = sqlx::query_as(CHANGES).fetch_all(&world.witness.pool).await?;
    let mut keys = Keys::new();
    let mut current: HashMap<i64, String> = HashMap::new();
    for (user, key, gone, at) in rows {
        if let Some(before) = current.remove(&user)
            && (gone || before != key)
            && let Some((_, until)) = keys.get_mut(&(user, before))
        {
            *until = Some(at);
        }
        if !gone {
            keys.entry((user, key.clone())).or_insert((at, None));
            current.insert(user, key);
        }
    }
    Ok(keys)
}

fn judge_one(world: &World, keys: &Keys, number: usize, fetch: &Fetch, result: &mut Fetches) {
    let Some((from, until)) = keys.get(&(fetch.user, fetch.key.clone())) else {
        // The harness read it from the database.
        return report("a key that nobody issued", &mut result.wrong, world, number, fetch);
    };
    let is_revoked = until.is_some_and(|until| until < fetch.began);
    result.with_revoked_key += u64::from(is_revoked);
    let is_undisturbed = |revoked: i64| {
        let from = revoked - HEALED;
        !world.cover.was_disturbed(ALL, Need::Pace, from, fetch.ended)
            && [Need::Process, Need::Copy, Need::Source]
                .iter()
                .all(|need| !world.cover.was_disturbed(&fetch.server, *need, from, fetch.ended))
    };
    let limit = if fetch.is_edge { AT_EDGES } else { AT_PANELS };
    if let Some(until) = until
        && until + limit < fetch.began
        && is_undisturbed(*until)
    {
        result.with_revoked_key_undisturbed += 1;
    }
    match &fetch.answer {
        Answer::Unknown => {}
        Answer::Served { age } => {
            let Some(until) = until else { return };
            // Ages are in whole seconds.
            let agreed = fetch.began - age.map_or(0, |age| (age + 1) * SECOND);
            if until + CACHED < agreed {
                report("I11 served after agreement", &mut result.served_after_agreement, world, number, fetch);
            } else if until + limit < fetch.began && is_undisturbed(*until) {
                report("I11 served too late", &mut result.served_too_late, world, number, fetch);
            } else if is_revoked {
                result.served_in_time += 1;
            }
        }
        Answer::Status(404) => {
            let is_known = *from < fetch.began - KNOWN;
            if is_known && until.is_none_or(|until| until > fetch.ended) {
                report("I10 unknown link", &mut result.unknown_links, world, number, fetch);
            }
        }
        Answer::Status(_) | Answer::Failed(_) => {
            let is_disturbed = |need| world.cover.was_disturbed(&fetch.server, need, fetch.began, fetch.ended);
            let has_no_copy = is_disturbed(Need::Copy) && (fetch.is_edge || is_disturbed(Need::Source));
            if is_disturbed(Need::Process) || has_no_copy {
                result.excused += 1;
            } else {
                report("I10 refused", &mut result.refused, world, number, fetch);
            }
        }
    }
}

fn report(what: &str, count: &mut u64, world: &World, number: usize, fetch: &Fetch) {
    *count += 1;
    if *count <= PRINTED {
        let at = world.witness.seconds_at(fetch.began);
        let took = (fetch.ended - fetch.began) / 1_000;
        println!(
            "{at:7.1} s  {what}: fetch {number} of user {} at {}, {took} ms: {:?}",
            fetch.user, fetch.server, fetch.answer
        );
    }
}

/// Counts users whose last fetch is not in the database, unless it may have been lost with a process or a file, and fetches that
/// nobody made.
async fn saved(world: &World, fetches: &[Fetch], is_last: bool) -> Result<(u64, u64)> {
    const SAVED: &str = "SELECT user_id, fetched_at, user_agent FROM subscription_fetches";
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(SAVED).fetch_all(&world.witness.pool).await?;
    let mut last: BTreeMap<i64, usize> = BTreeMap::new();
    for (number, fetch) in fetches.iter().enumerate() {
        let is_certain = matches!(fetch.answer, Answer::Served { .. })
            && !world.cover.may_have_forgotten(&fetch.server, fetch.began, fetch.ended);
        if is_certain && last.get(&fetch.user).is_none_or(|known| fetches[*known].began < fetch.began) {
            last.insert(fetch.user, number);
        }
    }
    let saved: HashMap<i64, i64> = rows.iter().map(|(user, at, _)| (*user, *at)).collect();
    let (mut lost, mut wrong) = (0, 0);
    for (user, number) in &last {
        if saved.get(user).is_none_or(|at| *at < fetches[*number].began) {
            lost += 1;
            if is_last {
                report("I12 lost", &mut 0, world, *number, &fetches[*number]);
            }
        }
    }
    for (user, at, agent) in rows {
        let fetch = number_of(&agent).and_then(|number| fetches.get(number));
        let is_right = |fetch: &Fetch| fetch.user == user && fetch.began <= at && at <= fetch.ended;
        if !fetch.is_some_and(is_right) {
            wrong += 1;
            if is_last || wrong <= PRINTED {
                println!("I12: a fetch of user {user} at {at} by {agent} is in the database: {fetch:?}");
            }
        }
    }
    Ok((lost, wrong))
}
