//! `covet-bench run`: the load generator.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{Advice, Advise, Exit, causes};
use super::heat::Heat;
use super::interrupt::Interrupt;
use super::keep::Keep;
use super::load_args::LoadArgs;
use super::output::{on_terminal, write_out};
use super::pages;
use crate::bundle::{Bundle, Manifest, RunDocument};
use crate::experiment::{Series, ServerCommand, Watch, repeat};
use crate::load::{LoadError, LoadPlan, NoProgress, Progress};
use crate::quantity::{grouped, time};
use crate::record::Interval;
use crate::report::export::{Exported, junit, markdown};
use crate::report::html::run::{Measured, page};
use crate::verdict::threshold::{Threshold, ThresholdResult};

/// Runs shorter than this are not worth the time of the probes.
const SHORTEST_PROBED: Duration = Duration::from_secs(3);

/// Options of `covet-bench run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What to load, such as http://127.0.0.1:8080/plaintext
    pub url: String,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Make the run so often, and give the interval of the mean over the runs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeats: u16,
    /// Shell command that starts the server at the URL's address, anew for each run; `{cpus}` stands for --server-cpus
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub server_cmd: Option<String>,
    /// Measure the null responder's ceiling, another number of generator cores, and a connection apart, beside the run
    /// [auto: for runs of three seconds and more]
    #[arg(long, value_enum, default_value_t = Switch::Auto)]
    pub probes: Switch,
    /// Follow the run on the whole terminal instead of on a line of it
    #[arg(long)]
    pub tui: bool,
    /// Also write the runs to this folder, which must not exist yet, for `compare`, `merge` and other tools
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What the runs must reach, as 'p99<5ms', 'errors<0.1%' or 'rate>=100k'; may be repeated. Exits with 99 when one is
    /// missed
    #[arg(long = "threshold", value_name = "LIMIT")]
    pub thresholds: Vec<Threshold>,
    /// End the run at the first second of its window after which a threshold is missed
    #[arg(long, requires = "thresholds")]
    pub abort_on_fail: bool,
    /// Also write the runs to this file, as a page of HTML with charts; what is there is replaced
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = RunFormat::Text)]
    pub output_format: RunFormat,
}

/// Form of the result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
    /// JUnit XML: guards and thresholds as test cases.
    Junit,
    /// Markdown, for the summary of a GitHub job.
    Markdown,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// When it makes sense.
    Auto,
    /// In any case.
    On,
    /// Not at all.
    Off,
}

/// Loads the server and prints the result.
///
/// # Errors
/// When the URL or another argument makes no sense, or the server cannot be reached.
pub fn run(args: RunArgs) -> anyhow::Result<Exit> {
    let mut plan = args.load.plan(&args.url)?;
    args.html.as_deref().map(pages::check).transpose()?;
    let probes = match args.probes {
        Switch::On => true,
        Switch::Off => false,
        Switch::Auto => plan.extent.duration.is_some_and(|length| length >= SHORTEST_PROBED),
    };
    plan.canary = probes;
    let server = args.server_cmd.as_ref().map(|command| ServerCommand {
        command: command.replace("{cpus}", args.load.server_cpus.as_deref().unwrap_or("all")),
        cpus: plan.server_cpus.clone(),
    });
    let view = if args.tui { live_view(&plan, usize::from(args.repeats))? } else { None };
    let bar = (view.is_none() && io::stderr().is_terminal()).then(|| Bar::new(&plan));
    let line: &dyn Progress = bar.as_ref().map_or(&NoProgress, |bar| bar);
    let progress = view.as_deref().unwrap_or(line);
    let watch = args.abort_on_fail.then(|| Watch::beside(&args.thresholds, progress));
    let progress = watch.as_ref().map_or(progress, |watch| watch as &dyn Progress);
    let keep = args.out.as_deref().map(|out| Keep::begin(out, progress)).transpose()?;
    let progress = keep.as_ref().map_or(progress, |keep| keep as &dyn Progress);
    let heat = args.html.as_ref().map(|_| Heat::beside(progress));
    let progress = heat.as_ref().map_or(progress, |heat| heat as &dyn Progress);
    let interrupt = Interrupt::beside(progress);
    let progress: &dyn Progress = &interrupt;
    let begun = SystemTime::now();
    let series =
        repeat(&plan, usize::from(args.repeats), server.as_ref(), probes, progress).map_err(explain)?;
    let documents: Vec<RunDocument> = series.runs.iter().map(RunDocument::of).collect();
    let judged: Vec<_> = args.thresholds.iter().map(|threshold| threshold.judge(&documents)).collect();
    let missed = judged.iter().any(|result| !result.passed);
    let aborted = series.runs.iter().any(|run| run.aborted.is_some());
    let drawn = heat.map(|heat| (heat.into_witness().maps(), documents.clone()));
    write_out(&match args.output_format {
        RunFormat::Text => on_terminal(text(&series, &judged)),
        RunFormat::Json => json(&series, &judged),
        RunFormat::Junit | RunFormat::Markdown => {
            let bundle = Bundle::unsaved(begun, documents);
            let exported = Exported { bundle: &bundle, name: args.url.clone(), thresholds: judged.clone() };
            if args.output_format == RunFormat::Junit { junit(&exported) } else { markdown(&exported) }
        }
    })?;
    if let Some(keep) = keep {
        keep.into_witness().finish(&series.runs)?;
    }
    if let (Some(path), Some((heat, runs))) = (&args.html, drawn) {
        let manifest = match &args.out {
            Some(folder) => super::bundles::read(folder)?.manifest,
            None => Manifest::of(begun, &runs),
        };
        draw(path, &Measured { runs: &runs, heat: &heat, manifest: &manifest, thresholds: &judged })?;
    }
    Interrupt::end();
    Ok(match (series.is_valid(), missed || aborted) {
        (false, _) => Exit::Invalid,
        (true, true) => Exit::Refuted,
        (true, false) => Exit::Success,
    })
}

fn draw(path: &Path, measured: &Measured<'_>) -> anyhow::Result<()> {
    pages::write(path, &page(measured).advise("cannot draw the runs", "The result above holds all the same")?)
}

/// The live view, or `None` where there is no terminal for it.
#[cfg(feature = "tui")]
fn live_view(plan: &LoadPlan, repeats: usize) -> anyhow::Result<Option<Box<dyn Progress>>> {
    let view = super::live::Live::begin(plan, repeats);
    if view.is_none() {
        eprintln!("covet-bench: --tui needs a terminal on standard output, and this run goes on without it");
    }
    Ok(view.map(|view| Box::new(view) as Box<dyn Progress>))
}

#[cfg(not(feature = "tui"))]
fn live_view(_: &LoadPlan, _: usize) -> anyhow::Result<Option<Box<dyn Progress>>> {
    Err(Advice::error(
        Exit::Usage,
        "this covet-bench was built without the live view",
        "Build it with `cargo install --path bench-harness --features tui`, or leave --tui out",
    ))
}

/// A usage error where the plan is at fault, and the error as it is elsewhere.
pub(super) fn explain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<LoadError>() {
        Some(
            LoadError::Bind { .. }
            | LoadError::Family { .. }
            | LoadError::Plan(_)
            | LoadError::Url(_)
            | LoadError::Tls(_)
            | LoadError::Request(_)
            | LoadError::Placement(_),
        ) => Advice::error(Exit::Usage, causes(&error), "See --help"),
        _ => error,
    }
}

fn text(series: &Series, judged: &[ThresholdResult]) -> String {
    let dim = io::stdout().is_terminal();
    let mut text: String = series.runs.iter().map(|run| run.to_text_for(dim) + "\n").collect();
    text.pop();
    let summary = series.to_text();
    if !summary.is_empty() {
        text.push('\n');
        text.push_str(&summary);
    }
    for result in judged {
        let word = if result.passed { "passed" } else { "MISSED" };
        let _ = writeln!(text, "  threshold   {word} {}: {}", result.threshold, result.detail);
    }
    text
}

fn json(series: &Series, judged: &[ThresholdResult]) -> String {
    let mut value = match &series.runs[..] {
        [run] => run.to_json(),
        _ => series.to_json(),
    };
    if !judged.is_empty() {
        value["thresholds"] = serde_json::json!(judged);
    }
    format!("{value:#}\n")
}

/// What a run does before its window.
pub(super) fn warming_up(plan: &LoadPlan) -> String {
    match plan.steady_within {
        Some(longest) => format!("warming up until steady, {} at most", time(longest)),
        None => format!("warming up for {}", time(plan.warmup)),
    }
}

/// A line on the terminal that follows the run.
struct Bar(ProgressBar);

impl Bar {
    fn new(plan: &LoadPlan) -> Self {
        let seconds = plan.extent.duration.map_or(0, |duration| duration.as_secs_f64().ceil() as u64);
        let bar = if seconds > 0 { ProgressBar::new(seconds) } else { ProgressBar::new_spinner() };
        let template = if seconds > 0 { "{bar:24} {pos}/{len} s  {msg}" } else { "{spinner} {msg}" };
        bar.set_style(ProgressStyle::with_template(template).expect("the templates above are valid"));
        bar.set_message("connecting");
        Self(bar)
    }
}

impl Progress for Bar {
    fn started(&self, plan: &LoadPlan) {
        // A series has the line anew for each of its runs.
        self.0.reset();
        self.0.set_message(warming_up(plan));
    }

    fn interval(&self, interval: &Interval) {
        let rate = interval.completed as f64 / interval.length.as_secs_f64().max(1e-9);
        self.0.set_position((interval.start + interval.length).as_secs_f64().round() as u64);
        let (p50, p99) = (time(interval.p50), time(interval.p99));
        self.0.set_message(format!("{} requests/s  p50 {p50}  p99 {p99}", grouped(rate)));
    }

    fn finished(&self) {
        self.0.finish_and_clear();
    }
}
