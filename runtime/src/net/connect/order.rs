use std::collections::VecDeque;
use std::net::SocketAddr;

/// The order of RFC 8305, section 4: the families take turns, so that a whole family that is dead costs one delay; the
/// family of the first address goes first, with `first_count` addresses before the other has its first turn. Within a
/// family the order stays.
pub(super) fn interleave(addresses: &[SocketAddr], first_count: usize) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else { return VecDeque::new() };
    let (mut same, mut other): (VecDeque<SocketAddr>, VecDeque<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first.is_ipv6());
    let mut ordered: VecDeque<SocketAddr> = same.drain(..first_count.clamp(1, same.len())).collect();
    while !(same.is_empty() && other.is_empty()) {
        ordered.extend(other.pop_front());
        ordered.extend(same.pop_front());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(list: &str, first_count: usize) -> String {
        let addresses: Vec<SocketAddr> = list
            .chars()
            .enumerate()
            .map(|(index, family)| match family {
                '6' => format!("[::{}]:1", index + 1).parse().unwrap(),
                _ => format!("127.0.0.{}:1", index + 1).parse().unwrap(),
            })
            .collect();
        let name = |address: SocketAddr| {
            let index = addresses.iter().position(|&known| known == address).unwrap();
            char::from(b'a' + index as u8)
        };
        interleave(&addresses, first_count).into_iter().map(name).collect()
    }

    #[test]
    fn families_take_turns() {
        assert_eq!(ordered("", 1), "");
        assert_eq!(ordered("6", 1), "a");
        assert_eq!(ordered("6644", 1), "acbd");
        assert_eq!(ordered("4466", 1), "acbd");
        assert_eq!(ordered("66644", 2), "abdce");
        assert_eq!(ordered("66644", 0), "adbec");
        assert_eq!(ordered("64444", 9), "abcde");
        assert_eq!(ordered("46666", 1), "abcde");
        assert_eq!(ordered("464", 1), "abc");
    }
}
