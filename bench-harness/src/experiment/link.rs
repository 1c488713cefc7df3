//! How fast the network interface is over which a server is reached.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

/// Bits per second of the interface that leads to an address, where the kernel knows: IPv4, and a driver that tells.
///
/// Source: proc_net(5) for the routes; the kernel's sysfs-class-net for `speed`, in Mbit/s.
pub fn speed_to(address: IpAddr) -> Option<f64> {
    let IpAddr::V4(address) = address else { return None };
    let routes = fs::read_to_string("/proc/net/route").ok()?;
    let interface = interface(&routes, address)?;
    let speed = fs::read_to_string(format!("/sys/class/net/{interface}/speed")).ok()?;
    // -1 stands for a link that is down or has no speed.
    let megabits = speed.trim().parse::<i64>().ok().filter(|speed| *speed > 0)?;
    Some(megabits as f64 * 1e6)
}

/// The interface of the most specific route; addresses in the table are in the byte order of the network.
fn interface(routes: &str, address: Ipv4Addr) -> Option<String> {
    let wanted = u32::from_ne_bytes(address.octets());
    routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok();
            let (destination, mask) = (number(1)?, number(7)?);
            let name = (*fields.first()?).to_owned();
            (wanted & mask == destination).then_some((mask.count_ones(), name))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        eth2\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn the_most_specific_route_leads() {
        for (address, name) in
            [([192, 168, 1, 9], "eth2"), ([192, 168, 7, 9], "eth1"), ([8, 8, 8, 8], "eth0")]
        {
            assert_eq!(interface(ROUTES, Ipv4Addr::from(address)).as_deref(), Some(name));
        }
        assert_eq!(interface("Iface\n", Ipv4Addr::LOCALHOST), None);
    }
}
