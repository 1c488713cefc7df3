//! At home among other people's crates.

#[cfg(feature = "tokio-rt")]
pub mod tokio;
