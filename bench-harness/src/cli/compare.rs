//! `covet-bench compare`: two bundles against each other.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::{Advice, Advise, Exit};
use super::{bundles, pages, values};
use crate::bundle::Manifest;
use crate::compare::{Comparison, Gate, GateVerdict, Side, differences, environment, invalid};

/// Options of `covet-bench compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The bundle before
    #[arg(value_name = "RUN_A")]
    pub a: PathBuf,
    /// The bundle after
    #[arg(value_name = "RUN_B")]
    pub b: PathBuf,
    /// How much worse RUN_B may be, as p99:+5% or rate:-2%; may be repeated. Exits with 99 when one fails, and with 98
    /// when the runs do not decide
    #[arg(long = "gate", value_name = "METRIC:CHANGE", allow_hyphen_values = true)]
    pub gates: Vec<Gate>,
    /// The difference that is too small to matter, in percent
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = values::percent)]
    pub margin: f64,
    /// Compare although the conditions differ or a run is invalid
    #[arg(long)]
    pub force: bool,
    /// Also write the comparison to this file, as a page of HTML with charts; what is there is replaced
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub output_format: CompareFormat,
}

/// Form of a comparison on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// For people at a terminal.
    Text,
    /// For programs: one JSON object.
    Json,
    /// For pull requests.
    Markdown,
}

/// Compares the bundles and prints what it found.
///
/// # Errors
/// When a bundle cannot be read, or the conditions differ and `--force` is not given.
pub fn compare(args: CompareArgs) -> anyhow::Result<Exit> {
    let side = |path: &PathBuf| -> anyhow::Result<(Side, Manifest)> {
        let bundle = bundles::read(path)?;
        Ok((Side { name: bundles::name(path), runs: bundle.runs }, bundle.manifest))
    };
    let ((mut a, manifest_a), (mut b, manifest_b)) = (side(&args.a)?, side(&args.b)?);
    if a.name == b.name {
        (a.name, b.name) = (args.a.display().to_string(), args.b.display().to_string());
    }
    let mut different = differences(&a, &b);
    let differing: Vec<String> = different.iter().map(ToString::to_string).collect();
    let invalid = invalid([&a, &b]);
    if !args.force {
        if !differing.is_empty() {
            return Err(Advice::error(
                Exit::Usage,
                format!("the runs were made under different conditions: {}", differing.join("; ")),
                "Measure both alike, or use --force and mind the difference",
            ));
        }
        if let Some(why) = invalid {
            return Err(Advice::error(Exit::Invalid, why, "Measure again, or use --force and trust nothing"));
        }
    }
    let mut comparison = Comparison::of(&a, &b, args.margin, &args.gates)
        .advise("cannot compare the runs", "Write the bundle again")?;
    let machines = environment(&manifest_a.environment, &manifest_b.environment);
    let told = differing.into_iter().map(|text| format!("conditions differ: {text}"));
    let told = told.chain(machines.iter().map(|difference| format!("environments differ: {difference}")));
    comparison.warnings.splice(0..0, told);
    different.extend(machines);
    comparison.differences = different;
    if let Some(path) = &args.html {
        let page =
            comparison.to_html(&a, &b).advise("cannot draw the comparison", "Write the bundle again")?;
        pages::write(path, &page)?;
    }
    super::output::write_out(&match args.output_format {
        CompareFormat::Text => comparison.to_text(),
        CompareFormat::Markdown => comparison.to_markdown(),
        CompareFormat::Json => format!("{:#}\n", serde_json::to_value(&comparison)?),
    })?;
    Ok(match comparison.verdict() {
        GateVerdict::Passed => Exit::Success,
        GateVerdict::Inconclusive => Exit::Inconclusive,
        GateVerdict::Failed => Exit::Refuted,
    })
}
