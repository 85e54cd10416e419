//! Limits wrong passwords per minute: by address, and by name for addresses from which nobody has signed in as that admin.
//! So strangers can't guess a password from many addresses, and can't lock the admin out of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::attempt_limiter::{Attempt, AttemptLimiter, Subject, TooMany, network};
use crate::clock::Clock;
use crate::cluster::shared_counters::SharedCounters;
use crate::cluster::shared_sets::{Bounds, SharedSets};
use crate::foundation::lock;

/// Remembered networks of an admin: more than one person uses, and little memory.
const NETWORKS: Bounds = Bounds { members: 64, age: Duration::from_secs(90 * 24 * 3_600) };
/// Admins whose networks this process remembers.
const ADMINS: usize = 4_096;

/// The limits of signing in.
#[derive(Debug)]
pub struct SignInLimits {
    attempts: AttemptLimiter,
    known: KnownNetworks,
    is_off: bool,
}

impl SignInLimits {
    /// Limits to `per_minute` wrong passwords (0: no limit), counted by all hosts together if Redis is configured.
    pub fn new(per_minute: u32, counters: Option<Arc<SharedCounters>>, sets: Option<Arc<SharedSets>>) -> Self {
        let known = KnownNetworks { here: Mutex::default(), shared: sets };
        Self { attempts: AttemptLimiter::new("password", per_minute, counters), known, is_off: per_minute == 0 }
    }

    /// Allows an attempt to sign in as an admin, unless a limit is reached. `from` is none for a client on this machine,
    /// whose attempts count by name, apart from those of other clients.
    pub async fn begin(&self, from: Option<IpAddr>, username: &str, clock: &Clock) -> Result<Attempt<'_>, TooMany> {
        if let Some(address) = from {
            self.attempts.check_here(&[Subject::address(address)], clock.boot())?;
        }
        let subjects = match from {
            None => vec![Subject::local_name(username)],
            Some(address) if self.is_off || self.known.has(username, address).await => vec![Subject::address(address)],
            Some(address) => vec![Subject::address(address), Subject::name(username)],
        };
        self.attempts.begin(subjects, clock.boot()).await
    }

    /// Remembers the network from which an admin has signed in.
    pub async fn remember(&self, from: Option<IpAddr>, username: &str, clock: &Clock) {
        if let Some(address) = from.filter(|_| !self.is_off) {
            self.known.add(username, address, clock).await;
        }
    }
}

/// Networks from which admins have signed in, in this process and in Redis.
#[derive(Debug)]
struct KnownNetworks {
    /// By the subject of the name; the networks used last stand at the end.
    here: Mutex<HashMap<Subject, Vec<IpAddr>>>,
    shared: Option<Arc<SharedSets>>,
}

impl KnownNetworks {
    async fn has(&self, username: &str, address: IpAddr) -> bool {
        let (name, network) = (Subject::name(username), network(address));
        if lock(&self.here).get(&name).is_some_and(|networks| networks.contains(&network)) {
            return true;
        }
        match &self.shared {
            Some(shared) => shared.contains(&name.shared_name("signed_in"), &network.to_string()).await,
            None => false,
        }
    }

    async fn add(&self, username: &str, address: IpAddr, clock: &Clock) {
        let (name, network) = (Subject::name(username), network(address));
        self.add_here(name, network);
        if let Some(shared) = &self.shared {
            let now = clock.now().micros() / 1_000;
            shared.add(&name.shared_name("signed_in"), &network.to_string(), now, NETWORKS).await;
        }
    }

    fn add_here(&self, name: Subject, network: IpAddr) {
        let mut here = lock(&self.here);
        if here.len() >= ADMINS && !here.contains_key(&name) {
            // Any one: Redis still has it.
            if let Some(other) = here.keys().next().copied() {
                here.remove(&other);
            }
        }
        let networks = here.entry(name).or_default();
        networks.retain(|known| *known != network);
        if networks.len() >= NETWORKS.members {
            networks.remove(0);
        }
        networks.push(network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;

    fn limits() -> (SignInLimits, Clock) {
        (SignInLimits::new(2, None, None), Clock::fixed(Moment::from_micros(0)))
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[tokio::test]
    async fn strangers_fill_the_limit_of_a_name_for_strangers_only() {
        let (limits, clock) = limits();
        let begin = |from: Option<IpAddr>| limits.begin(from, "root", &clock);
        limits.remember(address("2001:db8::1"), "root", &clock).await;
        for stranger in ["9.9.9.1", "9.9.9.2"] {
            let _wrong = begin(address(stranger)).await.expect("let through");
        }
        begin(address("9.9.9.3")).await.expect_err("the name is full for strangers");
        for _ in 0..2 {
            let _wrong = begin(address("2001:db8::77")).await.expect("the admin's own network");
            let _wrong = begin(None).await.expect("this machine");
        }
        begin(address("2001:db8::77")).await.expect_err("the network's own limit");
        begin(None).await.expect_err("this machine's own limit");
        limits.begin(address("9.9.9.3"), "alice", &clock).await.expect("another name").was_right().await;
    }

    #[tokio::test]
    async fn admin_is_known_at_its_own_networks_only() {
        let (limits, clock) = limits();
        limits.remember(address("1.1.1.1"), "alice", &clock).await;
        for stranger in ["9.9.9.1", "9.9.9.2"] {
            let _wrong = limits.begin(address(stranger), "root", &clock).await.expect("let through");
        }
        limits.begin(address("1.1.1.1"), "root", &clock).await.expect_err("alice's network, not root's");
    }

    #[test]
    fn remembered_networks_are_bounded() {
        let known = KnownNetworks { here: Mutex::default(), shared: None };
        for number in 0..10_000_u32 {
            known.add_here(Subject::name("root"), IpAddr::from(number.to_be_bytes()));
            known.add_here(Subject::name(&number.to_string()), IpAddr::from([1, 1, 1, 1]));
            known.add_here(Subject::name("root"), IpAddr::from([7, 7, 7, 7]));
        }
        let here = lock(&known.here);
        assert!(here.len() <= ADMINS, "{}", here.len());
        if let Some(networks) = here.get(&Subject::name("root")) {
            assert!(networks.len() <= NETWORKS.members && networks.last() == Some(&IpAddr::from([7, 7, 7, 7])));
        }
    }
}
