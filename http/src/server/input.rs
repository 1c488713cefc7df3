//! Received bytes that are not decoded yet.

use covet_runtime::net::RecvBuf;

/// A window onto the received bytes: as a rule onto the kernel's own buffer, and onto a copy only when a head or a
/// body piece straddles two of them, or must wait.
#[derive(Default)]
pub(super) struct Input {
    received: Option<RecvBuf>,
    held: Vec<u8>,
    position: usize,
    pub(super) ended: bool,
}

impl Input {
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.received {
            Some(received) => &received[self.position..],
            None => &self.held[self.position..],
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Marks bytes as decoded; a buffer that is used up goes back at once.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        self.position += count;
        if self.is_empty() {
            self.received = None;
            self.held = Vec::new();
            self.position = 0;
        }
    }

    /// Adds what has been received; an empty buffer is the end.
    #[inline]
    pub(super) fn add(&mut self, received: RecvBuf) {
        if received.is_empty() {
            self.ended = true;
        } else if self.is_empty() {
            self.position = 0;
            self.held = Vec::new();
            self.received = Some(received);
        } else {
            self.hold();
            self.held.extend_from_slice(&received);
        }
    }

    /// Copies what is left, so that no buffer of the kernel's is kept while something else is waited for.
    pub(super) fn hold(&mut self) {
        if let Some(received) = self.received.take() {
            self.held = received[self.position..].to_vec();
            self.position = 0;
        } else if self.position > 0 {
            self.held.drain(..self.position);
            self.position = 0;
        }
    }
}
