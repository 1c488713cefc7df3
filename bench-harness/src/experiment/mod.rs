//! What is made of runs: repeats, comparisons, searches, and the instrument's checks of itself.

pub mod ab;
pub mod bench;
pub mod beside;
pub mod link;
pub mod memory;
pub mod plan;
pub mod probes;
pub mod repeats;
pub mod search;
pub mod selfcheck;
pub mod slo;
pub mod soak;
pub mod standstill;
pub mod subject;
pub mod sweep;
pub mod watch;

pub use bench::{Bench, Outcome};
pub use memory::{Memory, MemoryError};
pub use probes::probe;
pub use repeats::{Series, ServerCommand, Summary, repeat};
pub use subject::{Standing, Subject};
pub use watch::Watch;
