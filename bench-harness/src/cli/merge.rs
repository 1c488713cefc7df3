//! `covet-bench merge`: several bundles into one.

use std::path::PathBuf;

use clap::Args;

use super::bundles;
use super::exit::{Advice, Exit};
use crate::bundle::{MergeError, join, merge as merge_bundles};
use crate::report::quantity::{grouped, seconds};

/// Options of `covet-bench merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Bundles of generators that loaded the same server at the same time
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The bundle to write
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: PathBuf,
    /// The bundles are repeats, one after the other: keep each as a run of its own
    #[arg(long)]
    pub repeats: bool,
}

/// Merges the bundles and says what became of them.
///
/// # Errors
/// When a bundle cannot be read or written, or the bundles do not belong together.
pub fn merge(args: MergeArgs) -> anyhow::Result<Exit> {
    let bundles = args.runs.iter().map(|path| bundles::read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let out = bundles::create(&args.out)?;
    let merged = if args.repeats { join(&bundles, out) } else { merge_bundles(&bundles, out) };
    let (runs, hash) = merged.map_err(|error| match error {
        MergeError::Bundle(error) => bundles::advise(error, "Nothing was merged"),
        other => Advice::error(
            Exit::Usage,
            other.to_string(),
            "Merge generators of one load, or repeats with --repeats",
        ),
    })?;
    let mut text = String::new();
    for (index, run) in runs.iter().enumerate() {
        let rate = run.rate.map_or("-".to_owned(), grouped);
        let p99 = run.response.quantiles_ns.get("p99").map_or("-".to_owned(), |p| seconds(*p as f64 / 1e9));
        let verdict = if run.valid { "VALID" } else { "INVALID" };
        text.push_str(&format!("run {}: {rate} requests/s, p99 {p99}, {verdict}\n", index + 1));
        for guard in run.guards.iter().filter(|guard| guard.outcome == "failed") {
            text.push_str(&format!("  FAILED      {}: {}\n", guard.name, guard.detail));
        }
    }
    text.push_str(&format!("{} ({} bundles, manifest SHA-256 {hash})\n", args.out.display(), bundles.len()));
    super::output::write_out(&text)?;
    Ok(if runs.iter().all(|run| run.valid) { Exit::Success } else { Exit::Invalid })
}
