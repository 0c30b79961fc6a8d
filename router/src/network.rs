//! Addresses and networks of peers.

use std::net::IpAddr;
use std::str::FromStr;

/// An address, or the addresses that share its first bits: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address or a network such as 10.0.0.0/8 is due")]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NotANetwork))?;
        if bits > most { Err(NotANetwork) } else { Ok(Self { address, bits }) }
    }
}

impl Network {
    /// Whether `peer` is in the network. An IPv4 address that came over IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                same(a.to_bits().into(), b.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

fn same(a: u128, b: u128, width: u8, bits: u8) -> bool {
    (a ^ b).checked_shr(u32::from(width - bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, peer: &str, expected: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(peer.parse().unwrap()), expected, "{network:?} {peer}");
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_bits() {
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "::ffff:127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "2001:db8::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::1/129", "10.0.0.0/-1", "host"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
