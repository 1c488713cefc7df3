//! The main job: `covet-bench` with no subcommand.
//!
//! It judges a claim in each of its layers: route matching in process on one core; HTTP over loopback with the
//! reference service and the generator on cores of their own, the depths in turns so that what changes on the
//! machine changes for all of them; and then latency at half the measured rate. `verify` does the same with any server.

pub(super) mod checks;
pub(super) mod http;
mod job;
pub(super) mod layout;
mod meter;
mod pace;
mod quantities;
mod results;
mod route_match;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use covet_runtime::DriverKind;

use super::exit::{Advise, Exit};
use super::interrupt;
use super::output::{OutputFormat, write_out};
use super::subject_args::{Chosen, SubjectArgs};
use crate::experiment::Subject;
use crate::load::TlsOptions;
use crate::report::{self, Environment, LayerResult, Report, model};
use crate::verdict::judge::{self, Evidence, Unproven};
use crate::verdict::{Claim, Verdict};
use job::{Job, Order};
use layout::Layout;
use pace::Pace;

const BUILT_IN_PATH: &str = "claims/covetpy.toml";
const BUILT_IN: &str = include_str!("../../../claims/covetpy.toml");
/// What is asked of the reference service where the claim does not say.
const PATH: &str = "/plaintext";

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
    let claim = load_claim(args.claim.as_deref())?;
    let layout = Layout::here();
    let path = claim.measure.path.clone().unwrap_or_else(|| PATH.to_owned());
    let subject = Subject::Reference { path, cpus: layout.server.clone(), arguments: Vec::new() };
    let pace = if args.short { Pace::SHORT } else { Pace::FULL };
    let tls = TlsOptions::default();
    let mut chosen = Chosen { subject, layout };
    let (notes, unproven) = chosen.serve_as(&claim);
    let Chosen { subject, layout } = chosen;
    let order = Order { claim, subject, layout, pace, thorough: false, notes, unproven, tls };
    let outcome = judge_and_report(order, &args.out, OutputFormat::Text)?;
    Ok(if outcome.complete { Exit::Success } else { Exit::Inconclusive })
}

/// Options of `covet-bench verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The claim to judge, such as claims/covetpy.toml
    #[arg(value_name = "FILE")]
    pub claim: PathBuf,
    /// The server.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Runs of each measurement [default: as many as the main job makes]
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub repeats: Option<u16>,
    /// Measured time of each run [default: that of the main job]
    #[arg(short = 'd', long, value_parser = length)]
    pub duration: Option<Duration>,
    /// The share of its value that the claim may be missed by, such as 5% [default: the claim file's]
    #[arg(long, value_name = "SHARE", value_parser = super::ab::share)]
    pub tolerance: Option<f64>,
    /// Fewer and shorter runs (about 8 seconds)
    #[arg(long)]
    pub short: bool,
    /// Directory that receives a new folder with report.html and report.json
    #[arg(long, value_name = "DIR", default_value = "covet-report")]
    pub out: PathBuf,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = super::values::duration(text)?;
    if length < Duration::from_millis(50) {
        return Err("a run of less than 50ms measures nothing".to_owned());
    }
    Ok(length)
}

/// Judges a claim on any server, the reference service where none is given, with the verdict as the exit status.
///
/// The server is started anew for each run where it can be.
///
/// # Errors
/// When the claim file or an argument makes no sense, the server cannot be reached or started or goes away, or the
/// report cannot be written.
pub fn verify(args: VerifyArgs) -> anyhow::Result<Exit> {
    let mut claim = load_claim(Some(&args.claim))?;
    claim.tolerance = args.tolerance.unwrap_or(claim.tolerance);
    let path = claim.measure.path.clone().unwrap_or_else(|| PATH.to_owned());
    let mut chosen = args.subject.choose(&path)?;
    let tls = args.subject.secure.options();
    let (notes, unproven) = chosen.serve_as(&claim);
    let pace = if args.short { Pace::SHORT } else { Pace::FULL };
    let pace = pace.with(args.repeats.map(usize::from), args.duration);
    let Chosen { subject, layout } = chosen;
    let order = Order { claim, subject, layout, pace, thorough: true, notes, unproven, tls };
    let outcome = judge_and_report(order, &args.out, args.output_format)?;
    Ok(outcome.verdict.exit())
}

/// What came of a job.
struct Outcome {
    verdict: Verdict,
    /// Whether every layer was measured.
    complete: bool,
}

/// A folder and those parents of it that were missing; what of them is empty in the end is removed.
struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    fn create(folder: &Path) -> io::Result<NewFolders> {
        let missing = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let made: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        let begun = NewFolders(made.clone());
        interrupt::undo(move || drop(NewFolders(made)));
        fs::create_dir_all(folder)?;
        Ok(begun)
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        // The innermost first. One that is not empty stays.
        self.0.iter().for_each(|path| drop(fs::remove_dir(path)));
    }
}

/// Measures, prints and writes.
fn judge_and_report(order: Order, out: &Path, format: OutputFormat) -> anyhow::Result<Outcome> {
    const REMEDY: &str = "Choose a directory that you may write to with --out";
    let what = || format!("the report cannot be written to {}", out.display());
    // Before anything is measured, so that no half minute is lost to a missing permission.
    let _made = NewFolders::create(out).advise(what(), REMEDY)?;
    let (report, complete) = measure(order)?;
    let written = report::write::write(&report, out, SystemTime::now());
    // The result is printed whatever became of the folder: a disk that is full does not lose it.
    write_out(&match format {
        OutputFormat::Json => {
            let json =
                serde_json::to_string_pretty(&report).advise("the report has no JSON form", "Report it")?;
            format!("{json}\n")
        }
        OutputFormat::Text => {
            let text = report::text::render(&report, width());
            match &written {
                Ok(folder) => format!(
                    "{text}\nReport   {}\nData     {}\n",
                    folder.join("report.html").display(),
                    folder.join("report.json").display()
                ),
                Err(_) => format!("{text}\n"),
            }
        }
    })?;
    written.advise(what(), "The result is printed; make room, or choose another directory with --out")?;
    Ok(Outcome { verdict: report.overall.verdict, complete })
}

/// Makes the report; also says whether every layer was measured.
///
/// # Errors
/// When a server that was asked for by name could not be measured: a verdict on it would be about nothing.
fn measure(order: Order) -> anyhow::Result<(Report, bool)> {
    let began = (Instant::now(), SystemTime::now());
    let environment = Environment::read();
    let thorough = order.thorough;
    let mut job = Job::new(order);
    job.notes.extend(driver_note());
    let layers = job.layers();
    let latency = job.latency(&layers);
    job.finish();
    if let Some(error) = job.failure.take().filter(|_| thorough) {
        return Err(error);
    }
    let complete = layers.iter().all(|layer| !layer.runs.is_empty());
    let claim = job.claim().clone();
    let judged: Vec<_> = layers.iter().map(|layer| (evidence(layer), layer.judgement.clone())).collect();
    let report = Report {
        schema: model::SCHEMA,
        started: report::write::utc(began.1),
        elapsed_s: began.0.elapsed().as_secs_f64(),
        overall: judge::overall(&claim, &judged),
        claim,
        layers,
        latency,
        notes: job.notes,
        environment,
    };
    Ok((report, complete))
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
        figure: layer.figure,
        runs: Vec::new(),
        holds: layer.judgement.probability,
        failed_guards: failed.map(|check| check.name.clone()).collect(),
        limit: layer.limit,
        feasibility: layer.feasibility,
        floor: None,
        unproven: Unproven::default(),
    }
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
    use crate::cli::exit;

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
             directory (os error 2). Give the path of a claim file, with --claim or after `verify`"
        );
        assert_eq!(exit::status_of(&error), Exit::Usage);
    }
}
