//! How many connections a process takes: in all, and from one address.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Networks;

/// Parts of the table of addresses, so that cores seldom wait for each other.
const PARTS: usize = 16;
/// A part that has become empty keeps room for so many addresses.
const KEEP: usize = 64;

/// Bounds on the connections of a process.
#[derive(Clone, Debug)]
pub struct AdmissionLimits {
    /// Connections of all cores together. Beyond, a client is answered 503 with Retry-After and the connection closed;
    /// of the clients of TLS, and where more than 64 of a core are being told already, the connection is reset. Default:
    /// no bound.
    pub total: usize,
    /// Connections of one IPv4 address, or one IPv6 network of 64 bits, which is what one customer has. Beyond,
    /// connections are reset. With the PROXY protocol it is the address in the header that counts. Default: no bound,
    /// as behind a proxy, or a big NAT, all clients share an address.
    pub per_address: usize,
    /// Whose connections are not counted by address: proxies and monitors. Default: nobody's.
    pub exempt: Networks,
}

impl Default for AdmissionLimits {
    fn default() -> AdmissionLimits {
        AdmissionLimits { total: usize::MAX, per_address: usize::MAX, exempt: Networks::default() }
    }
}

/// Counts the connections of a process, and keeps them within [`AdmissionLimits`].
///
/// Make one for a process and put clones of it into the [`Config`](super::Config) of every core, as cloning the
/// configuration does: they count together. A connection costs one atomic addition, and a look into a locked table if
/// addresses are counted; requests cost nothing.
#[derive(Clone, Debug)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: AdmissionLimits,
    open: AtomicUsize,
    hasher: RandomState,
    addresses: [Mutex<HashMap<AddressKey, u32>>; PARTS],
}

/// What connections are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum AddressKey {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> AddressKey {
        match address.to_canonical() {
            IpAddr::V4(address) => AddressKey::V4(address.to_bits()),
            IpAddr::V6(address) => AddressKey::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl Admission {
    /// With no connection open.
    pub fn new(limits: AdmissionLimits) -> Admission {
        let addresses = std::array::from_fn(|_| Mutex::default());
        let shared = Shared { limits, open: AtomicUsize::new(0), hasher: RandomState::new(), addresses };
        Admission { shared: Arc::new(shared) }
    }

    /// The bounds.
    pub fn limits(&self) -> &AdmissionLimits {
        &self.shared.limits
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Connections that are open from this address, or its network of 64 bits, if addresses are counted.
    pub fn open_from(&self, address: IpAddr) -> usize {
        let key = AddressKey::from(address);
        self.shared.part(key).get(&key).map_or(0, |&count| count as usize)
    }

    /// Counts a connection, if there is room for it.
    pub(super) fn enter(&self) -> Option<Ticket> {
        let before = self.shared.open.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { shared: self.shared.clone(), address: Cell::new(None) };
        (before < self.shared.limits.total).then_some(ticket)
    }

    /// Whether the addresses of clients matter.
    pub(super) fn counts_addresses(&self) -> bool {
        self.shared.limits.per_address != usize::MAX
    }
}

impl Shared {
    fn part(&self, key: AddressKey) -> MutexGuard<'_, HashMap<AddressKey, u32>> {
        let part = &self.addresses[self.hasher.hash_one(key) as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is counted, for as long as this lives.
#[derive(Debug)]
pub(super) struct Ticket {
    shared: Arc<Shared>,
    address: Cell<Option<AddressKey>>,
}

impl Ticket {
    /// Counts it as one of this address, too; `false` if that has too many.
    pub(super) fn claim(&self, address: IpAddr) -> bool {
        let limits = &self.shared.limits;
        if limits.per_address == usize::MAX || limits.exempt.contains(address) {
            return true;
        }
        let key = AddressKey::from(address);
        let mut part = self.shared.part(key);
        let count = part.entry(key).or_default();
        if *count as usize >= limits.per_address {
            if *count == 0 {
                part.remove(&key);
            }
            return false;
        }
        *count += 1;
        drop(part);
        self.give_back(self.address.replace(Some(key)));
        true
    }

    fn give_back(&self, key: Option<AddressKey>) {
        let Some(key) = key else { return };
        let mut part = self.shared.part(key);
        if let Some(count) = part.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                part.remove(&key);
            }
        }
        if part.is_empty() {
            part.shrink_to(KEEP);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        self.give_back(self.address.take());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_of_64_bits_counts_as_one_and_mapped_addresses_as_ipv4() {
        let admission = Admission::new(AdmissionLimits { per_address: 2, ..AdmissionLimits::default() });
        let claim = |text| {
            let ticket = admission.enter().expect("there is no total");
            ticket.claim(address(text)).then_some(ticket)
        };
        let held = (claim("2001:db8:1:2::1"), claim("2001:db8:1:2:ffff::9"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(claim("2001:db8:1:2::3").is_none(), "a third of the network");
        assert!(claim("2001:db8:1:3::1").is_some(), "another network");
        let mapped = (claim("::ffff:192.0.2.1"), claim("192.0.2.1"));
        assert!(mapped.0.is_some() && claim("192.0.2.1").is_none());
        assert_eq!(admission.open_from(address("192.0.2.1")), 2);
        drop((held, mapped));
        assert_eq!((admission.open(), admission.open_from(address("2001:db8:1:2::1"))), (0, 0));
        assert!(admission.shared.addresses.iter().all(|part| part.lock().expect("whole").is_empty()));
    }

    #[test]
    fn the_total_holds_across_clones_and_places_come_free() {
        let admission = Admission::new(AdmissionLimits { total: 2, ..AdmissionLimits::default() });
        let held = (admission.enter(), admission.clone().enter());
        assert!(held.0.is_some() && held.1.is_some());
        assert!(admission.enter().is_none());
        assert_eq!(admission.open(), 2, "who was not let in is not counted");
        drop(held);
        assert!(admission.enter().is_some());
    }

    #[test]
    fn the_exempt_are_counted_in_the_total_only() {
        let exempt = "10.0.0.0/8".parse().expect("a network");
        let admission = Admission::new(AdmissionLimits { per_address: 0, exempt, total: 9 });
        let ticket = admission.enter().expect("there is room");
        assert!(ticket.claim(address("10.1.2.3")) && !ticket.claim(address("192.0.2.1")));
        assert_eq!(admission.open(), 1);
    }

    #[test]
    fn the_table_is_as_large_as_it_must_be_and_shrinks_when_it_is_empty() {
        let admission = Admission::new(AdmissionLimits { per_address: 1, ..AdmissionLimits::default() });
        let capacity = || {
            let parts = admission.shared.addresses.iter();
            parts.map(|part| part.lock().expect("whole").capacity()).sum::<usize>()
        };
        let mut tickets: Vec<Ticket> = (0..10_000)
            .map(|number| {
                let ticket = admission.enter().expect("there is no total");
                assert!(ticket.claim(Ipv4Addr::from_bits(number).into()));
                ticket
            })
            .collect();
        let full = capacity();
        assert!(full >= 10_000);
        // While there are any, leaving costs no move of the others.
        tickets.truncate(1_000);
        assert!(capacity() > full / 2, "{} of {full}", capacity());
        // Who is not let in leaves nothing behind.
        for _ in 0..10 {
            assert!(!admission.enter().expect("there is no total").claim(Ipv4Addr::from_bits(1).into()));
        }
        assert_eq!(admission.open_from(Ipv4Addr::from_bits(1).into()), 1);
        drop(tickets);
        assert!(admission.shared.addresses.iter().all(|part| part.lock().expect("whole").is_empty()));
        assert!(capacity() <= PARTS * 4 * KEEP, "{} of {full}", capacity());
    }

    #[test]
    fn nobody_is_in_the_table_where_nobody_is_let_in() {
        let admission = Admission::new(AdmissionLimits { per_address: 0, ..AdmissionLimits::default() });
        for number in 0..1_000 {
            let ticket = admission.enter().expect("there is no total");
            assert!(!ticket.claim(Ipv4Addr::from_bits(number).into()));
        }
        assert!(admission.shared.addresses.iter().all(|part| part.lock().expect("whole").is_empty()));
    }

    #[test]
    fn an_address_that_is_claimed_anew_takes_the_place_of_the_first() {
        let admission = Admission::new(AdmissionLimits { per_address: 1, ..AdmissionLimits::default() });
        let ticket = admission.enter().expect("there is no total");
        assert!(ticket.claim(address("192.0.2.1")) && ticket.claim(address("192.0.2.2")));
        assert_eq!(admission.open_from(address("192.0.2.1")), 0);
        assert_eq!(admission.open_from(address("192.0.2.2")), 1);
    }
}
