//! Cores: which there are, a pinned thread and a loop for each, and their end.

pub(crate) mod context;
mod core;
pub mod entry;
mod launch;
mod life;
pub mod mail;
mod phases;
mod runtime;
mod set;
pub mod shutdown;
mod signals;
mod stall;
mod turn;

pub use core::Core;
pub use launch::{Builder, block_on};
pub use mail::broadcast::Broadcast;
pub use mail::per_core::PerCore;
pub use mail::remote::RemoteHandle;
pub use runtime::{JoinFailure, Runtime};
pub use set::CoreSet;
pub use shutdown::ShutdownHandle;
pub use stall::StallReport;
