//! At home among other people's crates.
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
mod io;
#[cfg(feature = "tokio-rt")]
pub mod tokio;
#[cfg(feature = "tokio")]
mod tokio_io;
