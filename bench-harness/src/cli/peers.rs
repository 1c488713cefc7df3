//! `covet-bench peers`: peer servers and Covet's reference service, interleaved.

use std::time::Duration;

use clap::Args;

use super::exit::{Advice, Exit};
use super::values;

/// Options of `covet-bench peers`.
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Peers to measure, by name; all of them when absent
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Rounds; each round measures every peer once, in a new order
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Measured time of one run
    #[arg(short = 'd', long, default_value = "4s", value_parser = values::duration)]
    pub duration: Duration,
}

/// Builds, starts and measures the peers and prints the table.
///
/// # Errors
/// When no peer can be built or started.
pub fn peers(_args: PeersArgs) -> anyhow::Result<Exit> {
    Err(Advice::error(Exit::Runtime, "this build has no peer runner", "Use a later build"))
}
