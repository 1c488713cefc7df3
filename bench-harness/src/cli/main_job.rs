//! The main job: `covet-bench` with no subcommand.
//!
//! It judges a claim in each of its layers: route matching in process on one core; HTTP over loopback with the
//! reference service and the generator on cores of their own, the depths in turns so that what changes on the
//! machine changes for all of them; and then latency at half the measured rate.

mod http;
mod layout;
mod pace;
mod results;
mod route_match;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use clap::Args;
use covet_runtime::DriverKind;
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{self, Advise, Exit};
use crate::report::{self, Environment, Latency, LayerResult, Report, model, quantity};
use crate::stats::spread;
use crate::verdict::judge::{self, Evidence};
use crate::verdict::{Claim, Layer, Reading, Verdict};
use http::{Measured, Rig, Target};
use layout::Layout;
use pace::Pace;
use route_match::Matching;

const BUILT_IN_PATH: &str = "claims/covetpy.toml";
const BUILT_IN: &str = include_str!("../../../claims/covetpy.toml");
/// The rate of the open loop as a share of the closed loop's.
const OPEN_SHARE: f64 = 0.5;

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
/// Exits with [`Exit::Success`] when every layer of the claim was measured, whatever the verdicts, and with
/// [`Exit::Inconclusive`] when one could not be (fewer than two cores): the report says which and why. Where io_uring is
/// refused, the layers over HTTP are measured on epoll, and a note says so.
///
/// # Errors
/// When the claim file cannot be read or the report cannot be written.
pub fn main_job(args: MainJobArgs) -> anyhow::Result<Exit> {
    let (_, complete) = judge_and_report(&args)?;
    Ok(if complete { Exit::Success } else { Exit::Inconclusive })
}

/// Options of `covet-bench verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The claim to judge
    #[arg(value_name = "FILE")]
    pub claim: PathBuf,
    /// Fewer and shorter runs (about 8 seconds)
    #[arg(long)]
    pub short: bool,
    /// Directory that receives a new folder with report.html and report.json
    #[arg(long, value_name = "DIR", default_value = "covet-report")]
    pub out: PathBuf,
}

/// The main job on a given claim, with the verdict as the exit status.
///
/// # Errors
/// As [`main_job`].
pub fn verify(args: VerifyArgs) -> anyhow::Result<Exit> {
    let args = MainJobArgs { short: args.short, out: args.out, claim: Some(args.claim) };
    let (verdict, _) = judge_and_report(&args)?;
    Ok(verdict.exit())
}

/// Measures, prints and writes; returns the verdict on the whole and whether every layer was measured.
fn judge_and_report(args: &MainJobArgs) -> anyhow::Result<(Verdict, bool)> {
    const REMEDY: &str = "Choose a directory that you may write to with --out";
    let what = || format!("the report cannot be written to {}", args.out.display());
    let claim = load_claim(args.claim.as_deref())?;
    // Before anything is measured, so that no half minute is lost to a missing permission.
    std::fs::create_dir_all(&args.out).advise(what(), REMEDY)?;
    let (report, complete) = measure(claim, args.short);
    let mut out = io::stdout().lock();
    // Who reads the output may have had enough; the report on disk does not depend on it.
    let _ = out.write_all(report::text::render(&report, width()).as_bytes());
    let folder = report::write::write(&report, &args.out, SystemTime::now()).advise(what(), REMEDY)?;
    let _ = writeln!(out, "\nReport   {}", folder.join("report.html").display());
    let _ = writeln!(out, "Data     {}", folder.join("report.json").display());
    Ok((report.overall.verdict, complete))
}

/// Makes the report; also says whether every layer was measured.
fn measure(claim: Claim, short: bool) -> (Report, bool) {
    let began = (Instant::now(), SystemTime::now());
    let environment = Environment::read();
    let mut job = Job::new(claim, if short { Pace::SHORT } else { Pace::FULL });
    let layers = job.layers();
    let latency = job.latency(&layers);
    job.finish();
    let complete = layers.iter().all(|layer| !layer.runs.is_empty());
    let judged: Vec<_> = layers.iter().map(|layer| (evidence(layer), layer.judgement.clone())).collect();
    let report = Report {
        schema: model::SCHEMA,
        started: report::write::utc(began.1),
        elapsed_s: began.0.elapsed().as_secs_f64(),
        overall: judge::overall(&job.claim, &judged),
        claim: job.claim,
        layers,
        latency,
        notes: job.notes,
        environment,
    };
    (report, complete)
}

fn load_claim(file: Option<&Path>) -> anyhow::Result<Claim> {
    let claim = match file {
        Some(path) => Claim::load(path),
        None if Path::new(BUILT_IN_PATH).is_file() => Claim::load(Path::new(BUILT_IN_PATH)),
        None => Claim::parse(BUILT_IN_PATH, BUILT_IN),
    };
    claim.map_err(|error| {
        let remedy = error.remedy();
        Err::<Claim, _>(error).advise_usage("the claim cannot be judged", remedy).expect_err("it is an error")
    })
}

/// What a reader must know when the runtime is not on its usual driver.
fn driver_note() -> Option<String> {
    match DriverKind::expected() {
        Ok((DriverKind::Epoll, why)) => Some(format!(
            "Measured on the epoll driver, which costs more per request than io_uring: {}.",
            why.unwrap_or_default()
        )),
        // What stands in the way of both is reported when the server does not start.
        _ => None,
    }
}

/// What the judgement of the whole needs of a layer.
fn evidence(layer: &LayerResult) -> Evidence {
    let failed = layer.checks.iter().filter(|check| check.outcome == report::Outcome::Failed);
    Evidence {
        reading: layer.reading,
        rate: layer.rate,
        strays: 0,
        failed_guards: failed.map(|check| check.name.clone()).collect(),
        limit: layer.limit,
        feasibility: layer.feasibility,
    }
}

/// The measurement in progress.
struct Job {
    claim: Claim,
    pace: Pace,
    layout: Layout,
    rig: Option<Rig>,
    notes: Vec<String>,
    progress: ProgressBar,
}

impl Job {
    fn new(claim: Claim, pace: Pace) -> Job {
        let layout = Layout::here();
        let readings = claim.readings();
        let depths = readings.iter().filter(|reading| reading.layer == Layer::HttpLoopback).count();
        let open = if readings.contains(&DEPTH_ONE) { pace.open_runs } else { 0 };
        let steps = pace.match_runs + depths * (pace.closed_runs + 1) + open;
        let progress = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{bar:24} {pos:>2}/{len} {elapsed} {msg}")
            .expect("the template is valid");
        progress.set_style(style);
        let notes = driver_note().into_iter().collect();
        let mut job = Job { claim, pace, layout, rig: None, notes, progress };
        if depths > 0 {
            job.start_rig();
        }
        job
    }

    /// Starts the servers, or notes why there are none.
    fn start_rig(&mut self) {
        if self.layout.generator.is_empty() {
            self.notes.push(
                "This process may use one core only, and a server and a generator on one core measure each other: \
                 no layer over HTTP was measured. Give it two cores or more (taskset, the container's CPU limit)."
                    .to_owned(),
            );
            return;
        }
        match Rig::start(&self.layout, &self.pace) {
            Ok(rig) => self.rig = Some(rig),
            Err(error) => self.notes.push(failure("No layer over HTTP was measured", &error)),
        }
    }

    fn layers(&mut self) -> Vec<LayerResult> {
        let readings = self.claim.readings();
        let depths: Vec<usize> = readings
            .iter()
            .filter(|reading| reading.layer == Layer::HttpLoopback)
            .filter_map(|reading| reading.depth)
            .collect();
        let matched = readings.iter().find(|r| r.layer == Layer::RouteMatch).map(|&r| self.matching(r));
        let over_http = self.closed(&depths);
        let unmeasured = |layer: Layer| format!("this instrument has no measurement of {layer}");
        readings
            .into_iter()
            .map(|reading| match (reading.layer, reading.depth) {
                (Layer::RouteMatch, _) => {
                    matched.clone().unwrap_or_else(|| results::absent(reading, "no run"))
                }
                (Layer::HttpLoopback, Some(depth)) => self.over_http(reading, depth, &over_http),
                (layer, _) => results::absent(reading, &unmeasured(layer)),
            })
            .collect()
    }

    fn matching(&self, reading: Reading) -> LayerResult {
        let matching = Matching::new();
        let cpu = self.layout.server[0];
        let runs = route_match::measure(&matching, cpu, self.pace.match_runs, self.pace.match_time, |run| {
            self.step(&format!("route match: {}/s", quantity::grouped(run.rate)));
        });
        results::matching(&self.claim, reading, &matching, &runs, cpu, &self.pace)
    }

    /// All closed-loop runs, for each depth its own; empty where there is no server or it failed.
    fn closed(&mut self, depths: &[usize]) -> Vec<AtDepth> {
        let Some(rig) = &self.rig else { return Vec::new() };
        match self.rounds(rig, depths) {
            Ok(measured) => measured,
            Err(error) => {
                self.notes.push(failure("HTTP could not be measured", &error));
                self.rig = None;
                Vec::new()
            }
        }
    }

    fn rounds(&self, rig: &Rig, depths: &[usize]) -> anyhow::Result<Vec<AtDepth>> {
        let mut measured: Vec<AtDepth> = Vec::new();
        for &depth in depths {
            let null = rig.closed(Target::Null, depth, self.pace.null_time)?;
            self.step(&format!("null responder, depth {depth}: {}/s", quantity::grouped(null.record.rate())));
            measured.push(AtDepth { depth, null, runs: Vec::new() });
        }
        for round in 0..self.pace.closed_runs {
            // Forth and back, so that a drift of the machine falls on all depths alike.
            let order: Vec<usize> =
                if round % 2 == 0 { (0..depths.len()).collect() } else { (0..depths.len()).rev().collect() };
            for index in order {
                let run = rig.closed(Target::Reference, depths[index], self.pace.closed_time)?;
                let rate = quantity::grouped(run.record.rate());
                self.step(&format!("HTTP, depth {}: {rate}/s", depths[index]));
                measured[index].runs.push(run);
            }
        }
        Ok(measured)
    }

    fn over_http(&self, reading: Reading, depth: usize, measured: &[AtDepth]) -> LayerResult {
        match measured.iter().find(|at| at.depth == depth) {
            Some(at) => {
                results::closed(&self.claim, reading, &at.runs, Some(&at.null), &self.layout, &self.pace)
            }
            None => results::absent(reading, "see the note"),
        }
    }

    /// Latency in an open loop at a share of what the closed loop reached at depth 1.
    fn latency(&mut self, layers: &[LayerResult]) -> Option<Latency> {
        let layer = layers.iter().find(|layer| layer.reading == DEPTH_ONE)?;
        let rates: Vec<f64> = layer.runs.iter().map(|run| run.rate).collect();
        let rate = round_rate(spread::median(&rates)? * OPEN_SHARE)?;
        let rig = self.rig.as_ref()?;
        let runs: anyhow::Result<Vec<Measured>> = (0..self.pace.open_runs)
            .map(|_| {
                let run = rig.open(rate, self.pace.open_time)?;
                let p99 = quantity::time(run.record.quantile(0.99));
                self.step(&format!("latency at {}/s: p99 {p99}", quantity::grouped(rate)));
                Ok(run)
            })
            .collect();
        match runs {
            Ok(runs) => Some(results::latency(rate, OPEN_SHARE, &runs, &self.layout, &self.pace)),
            Err(error) => {
                self.notes.push(failure("Latency could not be measured", &error));
                None
            }
        }
    }

    fn step(&self, message: &str) {
        self.progress.inc(1);
        self.progress.set_message(message.to_owned());
    }

    fn finish(&mut self) {
        self.progress.finish_and_clear();
        if let Some(Err(error)) = self.rig.take().map(Rig::stop) {
            self.notes.push(failure("A server did not stop as it should", &error));
        }
    }
}

const DEPTH_ONE: Reading = Reading { layer: Layer::HttpLoopback, depth: Some(1) };

/// The runs at one depth.
struct AtDepth {
    depth: usize,
    null: Measured,
    runs: Vec<Measured>,
}

fn failure(what: &str, error: &anyhow::Error) -> String {
    format!("{what}: {}.", exit::error_line(error).trim_start_matches("covet-bench: "))
}

/// The rate with two significant digits, or `None` where nothing is left of it.
fn round_rate(rate: f64) -> Option<f64> {
    if !(rate.is_finite() && rate >= 1.0) {
        return None;
    }
    let unit = 10f64.powf(rate.log10().floor() - 1.0).max(1.0);
    Some((rate / unit).round() * unit)
}

/// Columns of the terminal, by COLUMNS or the terminal itself.
fn width() -> usize {
    let given = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let seen = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    given.or_else(seen).filter(|&columns| columns > 0).unwrap_or(report::text::WIDTH).min(120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_to_two_digits() {
        assert_eq!(round_rate(175_511.0), Some(180_000.0));
        assert_eq!(round_rate(94.6), Some(95.0));
        assert_eq!(round_rate(1.4), Some(1.0));
        assert_eq!(round_rate(0.2), None);
        assert_eq!(round_rate(f64::NAN), None);
    }

    #[test]
    fn the_built_in_claim_is_valid() {
        assert_eq!(Claim::parse(BUILT_IN_PATH, BUILT_IN).unwrap().value, 784_921.0);
    }

    #[test]
    fn a_bad_claim_file_is_a_usage_error_in_one_line() {
        let error = load_claim(Some(Path::new("/nonexistent.toml"))).unwrap_err();
        assert_eq!(
            exit::error_line(&error),
            "covet-bench: the claim cannot be judged: claim file /nonexistent.toml cannot be read: No such file or \
             directory (os error 2). Give the path of a claim file with --claim"
        );
        assert_eq!(exit::status_of(&error), Exit::Usage);
    }
}
