//! Cores: which there are, a pinned thread and a loop for each, and their end.

pub(crate) mod context;
pub mod entry;
mod launch;
mod life;
mod set;
pub mod shutdown;
mod signals;
mod stall;
mod turn;

pub use launch::{Builder, Core, JoinFailure, Runtime, block_on};
pub use set::CoreSet;
pub use shutdown::ShutdownHandle;
pub use stall::StallReport;
