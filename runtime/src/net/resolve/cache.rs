use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The answers of one core, each until it expires.
#[derive(Debug)]
pub(super) struct Cache {
    names: HashMap<String, Entry>,
    room: usize,
    keep: Duration,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<SocketAddr>,
    expires: Instant,
}

impl Cache {
    pub(super) fn new(room: usize, keep: Duration) -> Cache {
        Cache { names: HashMap::new(), room, keep }
    }

    pub(super) fn get(&mut self, host: &str, now: Instant) -> Option<Vec<SocketAddr>> {
        let entry = self.names.get(host)?;
        if entry.expires <= now {
            self.names.remove(host);
            return None;
        }
        Some(entry.addresses.clone())
    }

    pub(super) fn put(&mut self, host: &str, addresses: &[SocketAddr], now: Instant) {
        let Some(expires) = now.checked_add(self.keep) else { return };
        if self.room == 0 {
            return;
        }
        if self.names.len() >= self.room && !self.names.contains_key(host) {
            let first = self.names.iter().min_by_key(|(_, entry)| entry.expires);
            if let Some(host) = first.map(|(host, _)| host.clone()) {
                self.names.remove(&host);
            }
        }
        self.names.insert(host.to_owned(), Entry { addresses: addresses.to_vec(), expires });
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_expire_and_the_oldest_make_room() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let address = |n| SocketAddr::from(([127, 0, 0, n], 0));
        let mut cache = Cache::new(2, Duration::from_secs(10));
        cache.put("a", &[address(1)], at(0));
        cache.put("b", &[address(2)], at(1));
        assert_eq!(cache.get("a", at(9)), Some(vec![address(1)]));
        assert_eq!(cache.get("a", at(10)), None);
        cache.put("a", &[address(3)], at(5));
        cache.put("c", &[address(4)], at(6));
        assert_eq!(cache.get("b", at(6)), None, "it would have expired first");
        assert_eq!(cache.get("a", at(6)), Some(vec![address(3)]));
        cache.put("c", &[address(5)], at(7));
        assert_eq!(cache.get("a", at(7)), Some(vec![address(3)]), "a name known already needs no room");
        cache.clear();
        assert_eq!(cache.get("c", at(7)), None);
        let mut none = Cache::new(0, Duration::from_secs(10));
        none.put("a", &[address(1)], at(0));
        assert_eq!(none.get("a", at(0)), None);
    }
}
