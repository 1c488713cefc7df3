//! Networks of addresses, to say whom to trust.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

/// A set of IP networks, such as those of the proxies in front of a server.
///
/// Written as addresses and networks with commas between them. An IPv4 address that comes as IPv6 (`::ffff:192.0.2.1`)
/// counts as IPv4. Cloning is cheap.
///
/// ```
/// use covet_http::Networks;
///
/// let proxies: Networks = "10.0.0.0/8, 192.0.2.7, 2001:db8::/32".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(proxies.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("192.0.2.8".parse().unwrap()));
/// # Ok::<(), covet_http::NetworksError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Networks {
    networks: Arc<[IpNet]>,
}

/// Text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no IP address and no network such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct NetworksError {
    text: String,
}

impl Networks {
    /// This machine alone: 127.0.0.0/8 and ::1.
    pub fn loopback() -> Networks {
        "127.0.0.0/8, ::1".parse().expect("they are written correctly")
    }

    /// Whether an address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl FromStr for Networks {
    type Err = NetworksError;

    fn from_str(text: &str) -> Result<Networks, NetworksError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| {
            let network = part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            network.map(canonical).map_err(|_| NetworksError { text: part.to_owned() })
        });
        Ok(Networks { networks: networks.collect::<Result<_, _>>()? })
    }
}

/// A network of IPv4 addresses that is written as IPv6 is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(inner) if inner.prefix_len() >= 96 => {
            inner.addr().to_ipv4_mapped().map(|addr| (addr, inner))
        }
        _ => None,
    };
    mapped.and_then(|(addr, inner)| IpNet::new(addr.into(), inner.prefix_len() - 96).ok()).unwrap_or(network)
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.networks.iter().map(|network| network.to_string())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_asked() {
        let networks: Networks = "127.0.0.1,::1, ::ffff:10.0.0.0/104 ,".parse().expect("networks");
        for (address, inside) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::1", true),
            ("10.9.9.9", true),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(networks.contains(address.parse().expect("an address")), inside, "{address}");
        }
        assert!(Networks::default().is_empty() && !networks.is_empty());
    }

    #[test]
    fn networks_of_mapped_addresses_are_those_of_ipv4() {
        let contains = |networks: &str, address: &str| {
            let networks: Networks = networks.parse().expect("networks");
            networks.contains(address.parse().expect("an address"))
        };
        // All of IPv4, and nothing else.
        assert!(contains("::ffff:0:0/96", "192.0.2.1") && contains("::ffff:0:0/96", "::ffff:198.51.100.7"));
        assert!(!contains("::ffff:0:0/96", "::1") && !contains("::ffff:0:0/96", "::fffe:c000:201"));
        // One bit less is more than IPv4, and stays IPv6.
        assert!(contains("::ffff:0:0/95", "::fffe:c000:201") && !contains("::ffff:0:0/95", "192.0.2.1"));
        assert!(
            contains("::ffff:192.0.2.1/128", "192.0.2.1") && !contains("::ffff:192.0.2.1/128", "192.0.2.2")
        );
        // Its last bits look like an IPv4 address, and are none.
        assert!(!contains("2001:db8::c000:200/120", "192.0.2.1"));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["10.0.0.0/33", "example.com", "10.0.0", "::1/129"] {
            let error = format!("10.0.0.1, {text}").parse::<Networks>().expect_err(text);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
