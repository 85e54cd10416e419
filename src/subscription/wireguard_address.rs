//! A user's address in a WireGuard network: the user with id n has the n-th address. Nodes count in the same way.

use std::net::IpAddr;

use ipnet::IpNet;

/// The client's address with its prefix length, such as `10.0.0.7/32`. `network` is the node's address with its network.
pub fn client_address(network: IpNet, user_id: i64) -> String {
    let (first, last, own, bits) = match network {
        IpNet::V4(net) => (
            u128::from(net.network().to_bits()),
            u128::from(net.broadcast().to_bits()),
            u128::from(net.addr().to_bits()),
            32,
        ),
        IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits(), net.addr().to_bits(), 128),
    };
    // Ids beyond the end of the network start again at its beginning. (The size of ::/0 does not fit into 128 bits.)
    let index = u128::from(user_id.unsigned_abs());
    let index = (last - first).checked_add(1).map_or(index, |size| index % size);
    let address = match first + index {
        taken if taken == first => last.saturating_sub(1),
        taken if taken == own => last.saturating_sub(2),
        free => free,
    };
    let address: IpAddr = match u32::try_from(address) {
        Ok(small) if bits == 32 => std::net::Ipv4Addr::from_bits(small).into(),
        _ => std::net::Ipv6Addr::from_bits(address).into(),
    };
    format!("{address}/{bits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_counts_up_and_skips_the_networks_and_the_nodes_own() {
        for (network, user, address) in [
            ("10.10.0.1/16", 2, "10.10.0.2/32"),
            ("10.10.0.1/16", 1, "10.10.255.253/32"),
            ("10.10.0.1/16", 65_536, "10.10.255.254/32"),
            ("10.10.0.1/16", 65_538, "10.10.0.2/32"),
            ("10.10.3.4/16", 772, "10.10.255.253/32"),
            ("10.0.0.1/32", 7, "10.0.0.0/32"),
            ("0.0.0.0/32", 7, "0.0.0.0/32"),
            ("fd00::1/64", 2, "fd00::2/128"),
            ("fd00::1/64", 1, "fd00::ffff:ffff:ffff:fffd/128"),
            ("::1/0", 9, "::9/128"),
        ] {
            assert_eq!(client_address(network.parse().unwrap(), user), address, "{network} {user}");
        }
        assert_eq!(client_address("fd00::1/64".parse().unwrap(), i64::MIN), "fd00::8000:0:0:0/128");
    }
}
