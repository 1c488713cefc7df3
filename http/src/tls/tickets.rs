//! The keys of session tickets, and their rotation.

use std::fmt;
use std::mem::replace;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::server::ProducesTickets;

/// The longest time that a key makes tickets. The ticketers of rustls change their own keys after as long, so none of
/// them would take the tickets of a longer one.
pub(super) const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Makes session tickets with one key for a time, then with another, and takes those of the key before as well.
///
/// No ticket is taken when it is older than two such times, however long the server was idle. There is one set of keys
/// in a process, in memory only.
pub(super) struct Tickets {
    lifetime: Duration,
    keys: RwLock<Keys>,
}

struct Keys {
    current: Key,
    previous: Option<Key>,
    /// When the current key's time began.
    since: Instant,
}

type Key = Arc<dyn ProducesTickets>;

impl Tickets {
    pub(super) fn new(lifetime: Duration, now: Instant) -> Result<Tickets, rustls::Error> {
        // Clients are told the lifetime in seconds.
        let lifetime = lifetime.clamp(Duration::from_secs(1), LONGEST);
        let keys = Keys { current: aws_lc_rs::Ticketer::new()?, previous: None, since: now };
        Ok(Tickets { lifetime, keys: RwLock::new(keys) })
    }

    /// Runs `f` on the key in use and the one before it; `None` as well if there should be a new key, and no
    /// randomness to make it of.
    fn with_keys(&self, now: Instant, f: impl Fn(&Key, Option<&Key>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            if now.saturating_duration_since(keys.since) < self.lifetime {
                return f(&keys.current, keys.previous.as_ref());
            }
        }
        self.change(now)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        f(&keys.current, keys.previous.as_ref())
    }

    /// Takes a new key, unless another core was faster.
    fn change(&self, now: Instant) -> Option<()> {
        let next = aws_lc_rs::Ticketer::new().ok()?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(keys.since);
        if age >= self.lifetime {
            let last = replace(&mut keys.current, next);
            let is_recent = age < 2 * self.lifetime;
            keys.previous = is_recent.then_some(last);
            keys.since = if is_recent { keys.since + self.lifetime } else { now };
        }
        Some(())
    }

    fn encrypt_at(&self, now: Instant, session: &[u8]) -> Option<Vec<u8>> {
        self.with_keys(now, |current, _| current.encrypt(session))
    }

    fn decrypt_at(&self, now: Instant, ticket: &[u8]) -> Option<Vec<u8>> {
        self.with_keys(now, |current, previous| current.decrypt(ticket).or_else(|| previous?.decrypt(ticket)))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * self.lifetime.as_secs() as u32
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(Instant::now(), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(Instant::now(), ticket)
    }
}

impl fmt::Debug for Tickets {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_ticket_is_good_for_two_lifetimes_at_most() {
        let begun = Instant::now();
        let tickets = Tickets::new(HOUR, begun).unwrap();
        assert_eq!(tickets.lifetime(), 7200);
        let first = tickets.encrypt_at(begun + HOUR / 2, b"a session").unwrap();
        let good = |age| tickets.decrypt_at(begun + age, &first).as_deref() == Some(b"a session");
        assert!(good(HOUR / 2));
        assert!(good(HOUR) && good(HOUR * 2 - Duration::from_secs(1)), "by the key before");
        let second = tickets.encrypt_at(begun + HOUR * 3 / 2, b"another").unwrap();
        assert!(!good(HOUR * 2), "its key is gone");
        assert!(tickets.decrypt_at(begun + HOUR * 5 / 2, &second).is_some());
        assert!(tickets.decrypt_at(begun + HOUR * 3, &second).is_none());
    }

    #[test]
    fn a_server_that_was_idle_takes_no_old_ticket() {
        let begun = Instant::now();
        for idle in [2, 3, 100] {
            let tickets = Tickets::new(HOUR, begun).unwrap();
            let ticket = tickets.encrypt_at(begun, b"a session").unwrap();
            assert!(tickets.decrypt_at(begun + HOUR * idle, &ticket).is_none());
            let later = begun + HOUR * idle + HOUR / 2;
            let newer = tickets.encrypt_at(later, b"a session").unwrap();
            assert!(tickets.decrypt_at(later + HOUR, &newer).is_some());
        }
    }

    #[test]
    fn a_key_that_is_changed_late_has_no_longer_time_for_it() {
        let begun = Instant::now();
        let tickets = Tickets::new(HOUR, begun).unwrap();
        let first = tickets.encrypt_at(begun, b"a session").unwrap();
        // Nobody came in the half hour before.
        let second = tickets.encrypt_at(begun + HOUR * 3 / 2, b"another").unwrap();
        assert!(tickets.decrypt_at(begun + HOUR * 2 - Duration::from_secs(1), &first).is_some());
        assert!(tickets.decrypt_at(begun + HOUR * 2, &first).is_none(), "two hours old");
        assert!(tickets.decrypt_at(begun + HOUR * 3 - Duration::from_secs(1), &second).is_some());
        assert!(tickets.decrypt_at(begun + HOUR * 3, &second).is_none());
    }

    #[test]
    fn cores_that_find_a_key_too_old_at_once_change_it_once() {
        let begun = Instant::now();
        let tickets = Tickets::new(HOUR, begun).unwrap();
        let before = tickets.encrypt_at(begun, b"a session").unwrap();
        // Both have looked before either has changed it.
        tickets.change(begun + HOUR).unwrap();
        let between = tickets.encrypt_at(begun + HOUR, b"another").unwrap();
        tickets.change(begun + HOUR).unwrap();
        for ticket in [before, between] {
            assert!(tickets.decrypt_at(begun + HOUR, &ticket).is_some());
        }
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let now = Instant::now();
        let tickets = Tickets::new(HOUR, now).unwrap();
        let ticket = tickets.encrypt_at(now, b"a session").unwrap();
        for length in 0..ticket.len() {
            assert!(tickets.decrypt_at(now, &ticket[..length]).is_none());
        }
        for position in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[position] ^= 1;
            assert!(tickets.decrypt_at(now, &forged).is_none(), "byte {position}");
        }
        let others = Tickets::new(HOUR, now).unwrap();
        assert!(others.decrypt_at(now, &ticket).is_none());
    }

    #[test]
    fn a_lifetime_has_bounds() {
        let now = Instant::now();
        assert_eq!(Tickets::new(Duration::MAX, now).unwrap().lifetime(), 12 * 3600);
        assert_eq!(Tickets::new(Duration::ZERO, now).unwrap().lifetime(), 2);
    }
}
