//! Received bytes that are not decoded yet, of a server's connection or a client's.

#[cfg(feature = "tls")]
use covet_runtime::buf::PoolBuf;
use covet_runtime::net::RecvBuf;

/// Decoded bytes that a copy keeps at most in front of the others.
const SLACK: usize = 16 * 1024;

/// A window onto the received bytes: as a rule onto the kernel's own buffer, and onto a copy only when a head or a
/// body piece straddles two of them, or must wait.
#[derive(Default)]
pub(crate) struct Input {
    store: Store,
    /// Where the bytes begin in what is neither received nor empty.
    position: usize,
    pub(crate) ended: bool,
}

#[derive(Default)]
enum Store {
    #[default]
    Empty,
    Received(RecvBuf),
    /// What a received buffer decrypted to.
    #[cfg(feature = "tls")]
    Decrypted(PoolBuf),
    Held(Vec<u8>),
}

#[cfg(feature = "client")]
impl From<RecvBuf> for Input {
    fn from(received: RecvBuf) -> Input {
        Input { store: Store::Received(received), position: 0, ended: false }
    }
}

#[cfg(all(feature = "client", feature = "tls"))]
impl From<PoolBuf> for Input {
    fn from(decrypted: PoolBuf) -> Input {
        Input { store: Store::Decrypted(decrypted), position: 0, ended: false }
    }
}

impl Input {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.store {
            Store::Empty => &[],
            Store::Received(received) => received,
            #[cfg(feature = "tls")]
            Store::Decrypted(decrypted) => &decrypted[self.position..],
            Store::Held(held) => &held[self.position..],
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Marks bytes as decoded; a buffer that is used up goes back at once.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: usize) {
        let is_used_up = if let Store::Received(received) = &mut self.store {
            received.advance(count);
            received.is_empty()
        } else {
            self.position += count;
            self.is_empty()
        };
        if is_used_up {
            self.store = Store::Empty;
            self.position = 0;
        }
    }

    /// Adds what has been received; an empty buffer is the end.
    #[inline(always)]
    pub(crate) fn add(&mut self, received: RecvBuf) {
        match self.store {
            Store::Empty if !received.is_empty() => {
                // What is empty needs no dropping, which the compiler does not see.
                std::mem::forget(std::mem::replace(&mut self.store, Store::Received(received)));
            }
            _ => self.add_behind(&received),
        }
    }

    #[inline(never)]
    fn add_behind(&mut self, received: &[u8]) {
        if received.is_empty() {
            self.ended = true;
        } else {
            self.add_copy(received);
        }
    }

    /// Adds a copy of bytes.
    pub(crate) fn add_copy(&mut self, bytes: &[u8]) {
        self.hold();
        match &mut self.store {
            Store::Held(held) => held.extend_from_slice(bytes),
            store => *store = Store::Held(bytes.to_vec()),
        }
    }

    /// Adds what was decrypted.
    #[cfg(feature = "tls")]
    pub(crate) fn add_decrypted(&mut self, decrypted: PoolBuf) {
        if self.is_empty() {
            self.store = Store::Decrypted(decrypted);
            self.position = 0;
        } else {
            self.hold();
            if let Store::Held(held) = &mut self.store {
                held.extend_from_slice(&decrypted);
            }
        }
    }

    /// Marks that nothing more comes.
    #[cfg(feature = "tls")]
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Copies what is left in a buffer of the kernel's, so that none is kept; other bytes stay where they are.
    #[cfg(feature = "client")]
    pub(crate) fn release(&mut self) {
        if matches!(self.store, Store::Received(_)) {
            self.hold();
        }
    }

    /// Throws away what is left; whether the end has been seen is still known.
    pub(crate) fn discard(&mut self) {
        self.store = Store::Empty;
        self.position = 0;
    }

    /// Copies what is left, so that no buffer of the kernel's is kept while something else is waited for.
    pub(crate) fn hold(&mut self) {
        match &mut self.store {
            Store::Empty => {}
            Store::Received(received) => {
                self.store = Store::Held(received.to_vec());
            }
            #[cfg(feature = "tls")]
            Store::Decrypted(decrypted) => {
                self.store = Store::Held(decrypted[self.position..].to_vec());
                self.position = 0;
            }
            // What is decoded stays for a while, as taking it out moves all the rest.
            Store::Held(held) if self.position >= SLACK.min(held.len() - self.position) => {
                held.drain(..self.position);
                self.position = 0;
            }
            Store::Held(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies nothing but what `hold` has to, and counts that.
    fn hold(input: &mut Input) -> usize {
        let before = input.position;
        input.hold();
        if before > 0 && input.position == 0 { input.bytes().len() } else { 0 }
    }

    #[test]
    fn requests_that_wait_one_by_one_are_not_moved_for_each() {
        const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        const ALL: usize = 64 * 1024 / REQUEST.len();
        let mut input = Input::default();
        input.add_copy(&REQUEST.repeat(ALL));
        let mut moved = 0;
        for left in (0..ALL).rev() {
            assert!(input.bytes().starts_with(REQUEST));
            input.consume(REQUEST.len());
            moved += hold(&mut input);
            assert_eq!(input.bytes().len(), left * REQUEST.len());
            assert!(input.position < SLACK);
        }
        assert!(input.is_empty());
        assert!(moved > 0 && moved < 4 * 64 * 1024, "{moved} bytes were moved for 64 KiB of requests");
    }

    #[test]
    fn what_is_added_comes_behind_what_waits() {
        let mut input = Input::default();
        let (mut added, mut taken) = (0_u64, 0_u64);
        for step in 1..2000_usize {
            for _ in 0..step % 7 {
                input.add_copy(&added.to_le_bytes());
                added += 1;
            }
            for _ in 0..step % 6 {
                if let Some(next) = input.bytes().first_chunk::<8>() {
                    assert_eq!(u64::from_le_bytes(*next), taken);
                    taken += 1;
                    input.consume(8);
                    input.hold();
                }
            }
            assert_eq!(input.bytes().len() as u64, (added - taken) * 8);
        }
    }
}
