//! `covet-bench run`: the load generator.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::exit::{Advice, Exit};
use super::values;

/// Options of `covet-bench run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What to load, such as http://127.0.0.1:8080/plaintext
    pub url: String,
    /// Connections, kept open
    #[arg(short = 'c', long, default_value_t = 64)]
    pub connections: usize,
    /// Generator threads, each pinned to a core [default: one, on the last core allowed]
    #[arg(short = 't', long)]
    pub threads: Option<usize>,
    /// Measured time, after the warm-up
    #[arg(short = 'd', long, default_value = "10s", value_parser = values::duration)]
    pub duration: Duration,
    /// Open loop: total requests per second, such as 50k; latency counts from the intended start
    #[arg(short = 'R', long, value_parser = values::rate)]
    pub rate: Option<f64>,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1)]
    pub pipeline: usize,
    /// Time before the measured window, not recorded
    #[arg(long, default_value = "1s", value_parser = values::duration)]
    pub warmup: Duration,
    /// A request without an answer for this long counts as timed out
    #[arg(short = 'T', long, default_value = "2s", value_parser = values::duration)]
    pub timeout: Duration,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// Form of a result on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

/// Loads the server and prints the result.
///
/// # Errors
/// When the URL does not parse or the server cannot be reached.
pub fn run(_args: RunArgs) -> anyhow::Result<Exit> {
    Err(Advice::error(Exit::Runtime, "this build has no load generator", "Use a later build"))
}
