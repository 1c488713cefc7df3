//! The main job: `covet-bench` with no subcommand.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Advice, Exit};

/// Options of the main job.
#[derive(Debug, Clone, Args)]
pub struct MainJobArgs {
    /// Fewer and shorter runs (about 8 seconds), for continuous integration
    #[arg(long)]
    pub short: bool,
    /// Directory that receives a new folder with report.html and report.json
    #[arg(long, value_name = "DIR", default_value = "covet-report")]
    pub out: PathBuf,
    /// The claim to judge [default: claims/covetpy.toml, which is also built in]
    #[arg(long, value_name = "FILE")]
    pub claim: Option<PathBuf>,
}

/// Measures the claim in each of its layers, prints the verdicts and writes the report.
///
/// # Errors
/// When the claim file cannot be read or the report cannot be written.
pub fn main_job(_args: MainJobArgs) -> anyhow::Result<Exit> {
    Err(Advice::error(Exit::Runtime, "this build has no main job", "Use a later build"))
}
