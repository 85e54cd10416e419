//! The addresses under which clients reach servers: the panel's own, one answer for all panels of a cluster, and those of
//! nodes. Hosts show them with `{SERVER_IP}` and `{SERVER_IPV6}`.

use std::net::{IpAddr, Ipv4Addr};

/// How the panel's address is known. A later kind is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressSource {
    /// A private address of the machine: clients elsewhere can't reach it.
    Private,
    /// A public address of the machine.
    Public,
    /// Set by the operator.
    Setting,
}

/// An address of the panel that this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundAddress {
    /// The address.
    pub ip: IpAddr,
    /// How it is known.
    pub source: AddressSource,
}

/// The address of the cluster in a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAddress {
    /// The address.
    pub ip: IpAddr,
    /// How it is known.
    pub source: AddressSource,
    /// Label of the host that stored it.
    pub host: String,
}

/// The panel's addresses for a rendering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerAddresses<'a> {
    /// For `{SERVER_IP}`.
    pub ipv4: Option<&'a str>,
    /// For `{SERVER_IPV6}`.
    pub ipv6: Option<&'a str>,
}

impl AddressSource {
    const ALL: [Self; 3] = [Self::Private, Self::Public, Self::Setting];

    /// The text form in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Setting => "setting",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.word() == word)
    }
}

impl FoundAddress {
    /// An address that the operator set.
    pub const fn set(ip: IpAddr) -> Self {
        Self { ip, source: AddressSource::Setting }
    }

    /// An address of the machine. `None`: no other machine can reach it.
    pub fn detected(ip: IpAddr) -> Option<Self> {
        let is_local = match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local(),
        };
        let source = if is_private(ip) { AddressSource::Private } else { AddressSource::Public };
        (!is_local).then_some(Self { ip, source })
    }

    /// True if the cluster should have this address instead of the stored one. `host` is the label of this host;
    /// `is_alive`: the host that stored the other one still runs a panel. The first of several equally good ones stays.
    pub fn replaces(&self, stored: &StoredAddress, host: &str, is_alive: bool) -> bool {
        if stored.host == host || !is_alive {
            return (self.ip, self.source, host) != (stored.ip, stored.source, stored.host.as_str());
        }
        self.source > stored.source
    }
}

impl ServerAddresses<'_> {
    /// These addresses, and those of `other` where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { ipv4: self.ipv4.or(other.ipv4), ipv6: self.ipv6.or(other.ipv6) }
    }
}

impl<'a> From<&'a str> for ServerAddresses<'a> {
    fn from(ipv4: &'a str) -> Self {
        Self { ipv4: Some(ipv4), ipv6: None }
    }
}

/// Returns the address of a node under which clients reach it, too. `None` for names and addresses that only the panel's
/// network knows: the node is beside the panel.
pub fn reachable_node(address: &str) -> Option<&str> {
    let address = address.trim();
    let is_reachable = match address.parse::<IpAddr>() {
        Ok(ip) => FoundAddress::detected(ip).is_some_and(|found| found.source == AddressSource::Public),
        Err(_) => {
            let name = address.trim_end_matches('.').to_ascii_lowercase();
            let is_internal =
                [".local", ".localhost", ".internal", ".lan", ".home.arpa"].iter().any(|end| name.ends_with(end));
            name.contains('.') && !is_internal
        }
    };
    is_reachable.then_some(address)
}

/// Addresses of networks that are not the internet: private ones, those of providers' NAT, and unique local ones.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || ip == Ipv4Addr::BROADCAST || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| ip.is_unique_local(), |ip| is_private(ip.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_addresses_are_public_private_or_of_no_use() {
        let source = |ip: &str| FoundAddress::detected(ip.parse().unwrap()).map(|found| found.source);
        for ip in ["203.0.113.7", "8.8.8.8", "100.128.0.1", "2001:db8::7"] {
            assert_eq!(source(ip), Some(AddressSource::Public), "{ip}");
        }
        for ip in ["10.0.0.7", "172.17.0.2", "192.168.1.2", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert_eq!(source(ip), Some(AddressSource::Private), "{ip}");
        }
        for ip in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "::1", "::", "fe80::1"] {
            assert_eq!(source(ip), None, "{ip}");
        }
    }

    #[test]
    fn nodes_are_reached_by_clients_at_public_addresses_and_names() {
        for address in ["203.0.113.7", "2001:db8::1", "de.example.com", " de.example.com "] {
            assert_eq!(reachable_node(address), Some(address.trim()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.0.0.5",
            "::1",
            "fd00::1",
            "localhost",
            "marznode",
            "node.local",
            "host.docker.internal",
            "",
        ] {
            assert_eq!(reachable_node(address), None, "{address}");
        }
    }

    #[test]
    fn better_or_newer_address_replaces_and_the_first_of_equals_stays() {
        let ip = |last: u8| IpAddr::from([203, 0, 113, last]);
        let [private, public, setting] = AddressSource::ALL;
        for (found, stored, host, is_alive, replaces) in [
            ((ip(1), public), (ip(2), private), "a", true, true),
            ((ip(1), setting), (ip(2), public), "a", true, true),
            ((ip(1), public), (ip(2), public), "a", true, false),
            ((ip(1), setting), (ip(2), setting), "a", true, false),
            ((ip(1), private), (ip(2), public), "a", true, false),
            // The machine that stored it has moved, or is gone.
            ((ip(1), public), (ip(2), public), "b", true, true),
            ((ip(1), private), (ip(2), setting), "b", true, true),
            ((ip(1), public), (ip(2), setting), "a", false, true),
            ((ip(2), public), (ip(2), public), "b", true, false),
        ] {
            let found = FoundAddress { ip: found.0, source: found.1 };
            let stored = StoredAddress { ip: stored.0, source: stored.1, host: "b".to_owned() };
            let by = if host == "a" { "a" } else { "b" };
            assert_eq!(found.replaces(&stored, by, is_alive), replaces, "{found:?} {stored:?} {by} {is_alive}");
        }
    }
}
