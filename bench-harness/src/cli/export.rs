//! `covet-bench export`: a bundle in a form that another system reads.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};

use super::bundles;
use super::exit::{Advise, Exit};
use crate::bundle::Bundle;
use crate::report::export::{Exported, junit, markdown, openmetrics, otlp};
use crate::report::heat::HeatMap;
use crate::report::html::run::{Measured, page};
use crate::verdict::threshold::{Threshold, ThresholdResult};

/// Options of `covet-bench export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The form
    #[arg(value_enum)]
    pub form: Form,
    /// The bundle
    pub run: PathBuf,
    /// What the runs must reach, as 'p99<5ms', 'errors<0.1%' or 'rate>=100k'; may be repeated. Exits with 99 when one is
    /// missed
    #[arg(long = "threshold", value_name = "LIMIT")]
    pub thresholds: Vec<Threshold>,
}

/// A form that other systems read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// JUnit XML: guards and thresholds as test cases.
    Junit,
    /// Markdown, for the summary of a GitHub job.
    Markdown,
    /// OpenMetrics text, for Prometheus.
    Openmetrics,
    /// OTLP as JSON, for an OpenTelemetry collector.
    Otlp,
    /// A page of HTML with charts, as `run --html` writes it.
    Html,
}

/// Prints the bundle in the form asked for.
///
/// # Errors
/// When the bundle cannot be read.
pub fn export(args: ExportArgs) -> anyhow::Result<Exit> {
    let bundle = bundles::read(&args.run)?;
    let thresholds: Vec<_> = args.thresholds.iter().map(|threshold| threshold.judge(&bundle.runs)).collect();
    let missed = thresholds.iter().any(|result| !result.passed);
    let exported = Exported { bundle: &bundle, name: bundles::name(&args.run), thresholds };
    super::output::write_out(&match args.form {
        Form::Junit => junit(&exported),
        Form::Markdown => markdown(&exported),
        Form::Openmetrics => openmetrics(&exported),
        Form::Otlp => format!("{:#}\n", otlp(&exported, SystemTime::now())),
        Form::Html => html(&bundle, &exported.thresholds)?,
    })?;
    Ok(match (bundle.runs.iter().all(|run| run.valid), missed) {
        (false, _) => Exit::Invalid,
        (true, true) => Exit::Refuted,
        (true, false) => Exit::Success,
    })
}

fn html(bundle: &Bundle, thresholds: &[ThresholdResult]) -> anyhow::Result<String> {
    let mut heat = Vec::new();
    for number in 1..=bundle.runs.len() {
        let remedy = "Measure again: the bundle cannot be trusted";
        let log = bundle.log(number, "response").advise("cannot read a log", remedy)?.unwrap_or_default();
        let mut map = HeatMap::default();
        log.iter().for_each(|interval| map.add(interval.start.as_secs(), &interval.hist));
        heat.push(map);
    }
    let measured = Measured { runs: &bundle.runs, heat: &heat, manifest: &bundle.manifest, thresholds };
    page(&measured).advise("cannot draw the runs", "Write the bundle again")
}
