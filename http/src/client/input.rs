//! Received bytes that are not decoded yet.

#[cfg(feature = "tls")]
use covet_runtime::buf::PoolBuf;
use covet_runtime::net::RecvBuf;

/// One received piece, and how far it is decoded.
#[derive(Default)]
pub(super) struct Input {
    store: Store,
    position: usize,
}

#[derive(Default)]
enum Store {
    #[default]
    Empty,
    Received(RecvBuf),
    #[cfg(feature = "tls")]
    Decrypted(PoolBuf),
    Held(Vec<u8>),
}

impl Input {
    pub(super) fn received(buffer: RecvBuf) -> Input {
        Input { store: Store::Received(buffer), position: 0 }
    }

    #[cfg(feature = "tls")]
    pub(super) fn decrypted(buffer: PoolBuf) -> Input {
        Input { store: Store::Decrypted(buffer), position: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.store {
            Store::Empty => &[],
            Store::Received(buffer) => &buffer[self.position..],
            #[cfg(feature = "tls")]
            Store::Decrypted(buffer) => &buffer[self.position..],
            Store::Held(buffer) => &buffer[self.position..],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Marks bytes as decoded; a buffer that is used up goes back at once.
    pub(super) fn consume(&mut self, count: usize) {
        self.position += count;
        if self.is_empty() {
            *self = Input::default();
        }
    }

    /// Copies what is left, so that no buffer of the kernel's is kept while the caller does something else.
    pub(super) fn hold(&mut self) {
        if matches!(self.store, Store::Received(_)) {
            *self = Input { store: Store::Held(self.bytes().to_vec()), position: 0 };
        }
    }
}
