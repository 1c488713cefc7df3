//! What is fuzzed: each target is a function of bytes that panics when a property does not hold.
//!
//! An input is a number of 16 bits, by which the bytes behind it are split, and those bytes.

pub mod chunked;
pub mod client;
pub mod connection;
pub mod content;
pub mod differential;
pub mod exchanges;
pub mod head;
pub mod multipart;
mod peer;
pub mod proxy;
pub mod ranges;
pub mod response;
pub mod server;
mod splits;

use std::hash::{DefaultHasher, Hash, Hasher};

/// Tells outcomes apart, so that a driver can keep the inputs that lead to new ones.
pub type Signature = u64;

/// A target by its name, which is that of its corpus, too.
pub type Target = (&'static str, fn(&[u8]) -> Signature);

pub const TARGETS: [Target; 12] = [
    ("head", head::check),
    ("chunked", chunked::check),
    ("connection", connection::check),
    ("differential", differential::check),
    ("server", server::check),
    ("multipart", multipart::check),
    ("content", content::check),
    ("ranges", ranges::check),
    ("response", response::check),
    ("proxy", proxy::check),
    ("exchanges", exchanges::check),
    ("client", client::check),
];

fn signature(outcome: impl Hash) -> Signature {
    let mut hasher = DefaultHasher::new();
    outcome.hash(&mut hasher);
    hasher.finish()
}
