//! From the token of an operation to its place.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Indices into the slab of waiting operations.
pub(super) type ByToken = HashMap<u64, u32, BuildHasherDefault<TokenHasher>>;

/// Tokens are told apart by all of their bits already; this only spreads them.
#[derive(Default)]
pub(super) struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, token: u64) {
        // Fibonacci hashing; the upper half decides, so it is folded into the lower.
        let spread = (self.0 ^ token).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ spread >> 32;
    }
}
