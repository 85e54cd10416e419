//! Networks of IP addresses, as operators and admins write them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Bits before the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED: u8 = 96;

/// Reads a network such as `192.0.2.0/24`, or a single address. IPv4-mapped IPv6 counts as IPv4, as the addresses of clients
/// do.
pub fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok()?.trunc();
    let IpNet::V6(six) = network else { return Some(network) };
    let bits = six.prefix_len().checked_sub(MAPPED);
    let four = six.addr().to_ipv4_mapped().zip(bits).and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    Some(four.map_or(network, IpNet::V4))
}

/// Returns true if one of the networks contains the address.
pub fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_or_without_a_length() {
        for (text, read) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::1", "::1/128"),
            ("2001:db8::9/32", "2001:db8::/32"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Some(read), "{text}");
        }
        for wrong in ["", "192.0.2.0/33", "::/129", "h", "192.0.2.0/", "192.0.2.0/24 "] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn mapped_networks_contain_the_addresses_of_clients() {
        let networks = [network("::ffff:10.0.0.0/104").expect("a network")];
        for address in ["10.9.9.9", "::ffff:10.9.9.9"] {
            assert!(contain(&networks, address.parse().expect("an address")), "{address}");
        }
        assert!(!contain(&networks, "11.0.0.1".parse().expect("an address")));
    }
}
