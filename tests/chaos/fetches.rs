//! The load of subscription fetches: distinct users at all panels and edges, each fetch recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use tokio::time::{sleep, timeout};

use super::cover::now;
use super::world::World;

/// Seconds within which a server has written a fetch from its memory: once a second, and after what a silent database costs.
pub const IN_MEMORY: i64 = 15;
/// Seconds for which a fetch may wait in the file of a copy: longer than the source is away in any fault.
pub const IN_FILE: i64 = 90;
/// Longest patience of a client.
const PATIENCE: Duration = Duration::from_secs(20);
/// Clients of each server.
const CLIENTS: u64 = 2;
/// Time for which links that were revoked are asked for (microseconds).
const OLD: i64 = 30_000_000;
/// The format of this client is YAML, which names the user.
const CLIENT: &str = "clash-verge/v1.7.7";

/// In place of links, for a user who is disabled.
const DISABLED: &str = "disabled";

/// A fetch of a subscription.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// Name of the server that was asked.
    pub server: String,
    pub is_edge: bool,
    pub user: i64,
    pub key: String,
    /// Unix microseconds.
    pub began: i64,
    pub ended: i64,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The subscription, and the age of the copy that it came from.
    Served { age: Option<i64> },
    /// Another status.
    Status(u16),
    /// No answer.
    Failed(String),
    /// The run ended before.
    Unknown,
}

/// All fetches of a run; the number of a fetch is its place, and a part of its User-Agent.
#[derive(Default)]
pub struct Record(Mutex<Vec<Fetch>>);

impl Record {
    pub fn all(&self) -> Vec<Fetch> {
        self.fetches().clone()
    }

    fn begin(&self, fetch: Fetch) -> usize {
        let mut fetches = self.fetches();
        fetches.push(fetch);
        fetches.len() - 1
    }

    fn end(&self, number: usize, answer: Answer) {
        let fetch = &mut self.fetches()[number];
        (fetch.ended, fetch.answer) = (now(), answer);
    }

    fn fetches(&self) -> MutexGuard<'_, Vec<Fetch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number of the fetch with this User-Agent.
pub fn number_of(user_agent: &str) -> Option<usize> {
    user_agent.rsplit_once("chaos/")?.1.parse().ok()
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    user: i64,
    name: String,
    key: String,
}

/// The links of all users, as the harness has last seen them, and those that were revoked lately.
#[derive(Default)]
pub struct Links(Mutex<Known>);

#[derive(Default)]
struct Known {
    current: BTreeMap<i64, Link>,
    old: VecDeque<(i64, Link)>,
}

impl Links {
    /// Follows the users until dropped.
    pub async fn follow(world: Arc<World>) {
        const USERS: &str = "SELECT id, username, key FROM users WHERE NOT removed";
        loop {
            let asked = sqlx::query_as::<_, (i64, String, String)>(USERS).fetch_all(&world.witness.pool);
            if let Ok(Ok(users)) = timeout(Duration::from_secs(2), asked).await {
                let links = users.into_iter().map(|(user, name, key)| (user, Link { user, name, key }));
                world.links.learn(links.collect());
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    fn learn(&self, current: BTreeMap<i64, Link>) {
        let mut known = self.known();
        let now = now();
        let before = std::mem::replace(&mut known.current, current);
        for (user, link) in before {
            if known.current.get(&user) != Some(&link) {
                known.old.push_back((now, link));
            }
        }
        while known.old.front().is_some_and(|(at, _)| *at < now - OLD) {
            known.old.pop_front();
        }
    }

    /// Chooses the link of any user; in a quarter of all cases one that was revoked lately.
    fn choose(&self, rng: &mut StdRng) -> Option<Link> {
        let known = self.known();
        if !known.old.is_empty() && rng.random_bool(0.25) {
            return Some(known.old[rng.random_range(0..known.old.len())].1.clone());
        }
        let count = known.current.len();
        (count > 0).then(|| known.current.values().nth(rng.random_range(0..count)).cloned()).flatten()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches from all servers until dropped.
pub async fn fetch(world: Arc<World>, seed: u64) {
    let mut clients = tokio::task::JoinSet::new();
    clients.spawn(Links::follow(world.clone()));
    for (place, server) in world.servers().into_iter().enumerate() {
        for client in 0..CLIENTS {
            let address = (server.name().to_owned(), server.is_edge(), server.port());
            clients.spawn(fetch_from(world.clone(), address, seed + 100 * place as u64 + client));
        }
    }
    while clients.join_next().await.is_some() {}
}

async fn fetch_from(world: Arc<World>, (server, is_edge, port): (String, bool, u16), seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    // As apps do, each fetch connects.
    let http = Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).no_proxy().build().expect("a client");
    loop {
        sleep(Duration::from_millis(rng.random_range(150..500))).await;
        let Some(Link { user, name, key }) = world.links.choose(&mut rng) else { continue };
        let url = format!("http://127.0.0.1:{port}/sub/{name}/{key}");
        let (server, began) = (server.clone(), now());
        let fetch = Fetch { server, is_edge, user, key, began, ended: i64::MAX, answer: Answer::Unknown };
        let number = world.fetches.begin(fetch);
        let asked = http.get(url).header("user-agent", format!("{CLIENT} chaos/{number}")).send().await;
        let answer = match asked {
            Ok(answer) => answer_of(answer, &name).await,
            Err(error) => Answer::Failed(format!("{error:?}")),
        };
        world.fetches.end(number, answer);
    }
}

async fn answer_of(response: reqwest::Response, name: &str) -> Answer {
    let status = response.status().as_u16();
    let age = response.headers().get("x-subscription-copy-age").and_then(|age| age.to_str().ok()?.parse().ok());
    match response.text().await {
        Err(error) => Answer::Failed(format!("{error:?}")),
        Ok(_) if status != 200 => Answer::Status(status),
        Ok(body) if body.contains(name) || body.contains(DISABLED) => Answer::Served { age },
        Ok(body) => Answer::Failed(format!("not the subscription of {name}: {body}")),
    }
}
