//! Received bytes that are not decoded yet, of a server's connection or a client's.

#[cfg(feature = "tls")]
use covet_runtime::buf::PoolBuf;
use covet_runtime::net::RecvBuf;

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
            Store::Held(held) => {
                held.drain(..self.position);
                self.position = 0;
            }
        }
    }
}
