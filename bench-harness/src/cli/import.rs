//! `covet-bench import`: another tool's result as a bundle.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::bundles;
use super::exit::{Advise, Exit};
use crate::bundle::import::{self, Tool};
use crate::report::quantity::{grouped, seconds};

/// Options of `covet-bench import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// What wrote the file
    #[arg(value_enum)]
    pub tool: Tool,
    /// The file
    pub file: PathBuf,
    /// The bundle to write
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: PathBuf,
    /// Of a log: what its values count
    #[arg(long, value_enum, default_value_t = Unit::Ns)]
    pub unit: Unit,
    /// Of a log: only the intervals with this tag
    #[arg(long)]
    pub tag: Option<String>,
}

/// What the values of a log count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
}

/// Reads the file, writes the bundle, and says what is known to be wrong with the numbers.
///
/// # Errors
/// When the file is not what the tool writes, or the bundle cannot be written.
pub fn import(args: ImportArgs) -> anyhow::Result<Exit> {
    let path = args.file.display();
    let bytes = fs::read(&args.file).advise(format!("cannot read {path}"), "Check the path")?;
    let unit = match args.unit {
        Unit::Ns => 1.0,
        Unit::Us => 1e3,
        Unit::Ms => 1e6,
    };
    let read = if args.tool == Tool::Hlog {
        import::log(&bytes, unit, args.tag.as_deref())
    } else {
        import::read(args.tool, &bytes).map(|run| (run, Vec::new()))
    };
    let (run, intervals) = read.advise(format!("cannot import {path}"), "See `covet-bench import --help`")?;
    let mut writer = bundles::create(&args.out)?;
    let mut logs = writer.logs(1);
    for interval in &intervals {
        logs.add("response", 0, interval.start, interval.length, &interval.hist);
    }
    let written = logs.finish().and_then(|files| {
        writer.add(files);
        writer.finish(vec![run.clone()])
    });
    let hash = written.map_err(|error| bundles::advise(error, "Nothing was imported"))?;
    let rate = run.rate.map_or("-".to_owned(), grouped);
    let p99 = run.response.quantiles_ns.get("p99").map_or("-".to_owned(), |p| seconds(*p as f64 / 1e9));
    let mut text =
        format!("{} (manifest SHA-256 {hash})\n{rate} requests/s, p99 {p99}\n", args.out.display());
    for bias in args.tool.biases() {
        text.push_str(&format!("bias       {bias}\n"));
    }
    super::output::write_out(&text)?;
    Ok(Exit::Success)
}
