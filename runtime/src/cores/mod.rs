//! Cores: which there are, a pinned thread and a loop for each, and their end.

pub(crate) mod context;
mod core;
pub(crate) mod dump;
pub mod entry;
#[cfg(feature = "tokio-rt")]
mod guest;
mod here;
mod launch;
mod life;
pub mod mail;
mod neighbour;
mod phases;
mod runtime;
mod set;
pub mod shutdown;
mod signals;
mod stall;
mod turn;

pub use core::Core;
#[cfg(feature = "tokio-rt")]
pub(crate) use guest::GuestCore;
pub use here::block_on;
pub use launch::Builder;
pub use mail::broadcast::Broadcast;
pub use mail::per_core::PerCore;
pub use mail::remote::RemoteHandle;
pub use runtime::{JoinFailure, Runtime};
pub use set::CoreSet;
pub use shutdown::ShutdownHandle;
pub use stall::StallReport;
#[cfg(feature = "tokio-rt")]
pub(crate) use turn::{Ended, Turned};
