//! `covet-bench run`: the load generator.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use covet_http::Method;
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{Advice, Advise, Exit};
use super::values;
use crate::load::{
    self, Expectation, Extent, LoadError, LoadPlan, NoProgress, Progress, RequestOptions, TargetUrl,
    parse_cpus, parse_field, place,
};
use crate::record::{Interval, LoopModel, RunRecord};

/// Options of `covet-bench run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What to load, such as http://127.0.0.1:8080/plaintext
    pub url: String,
    /// Connections, kept open
    #[arg(short = 'c', long, default_value_t = 64)]
    pub connections: usize,
    /// Generator threads, each pinned to a CPU [default: one for each CPU of --cpus]
    #[arg(short = 't', long)]
    pub threads: Option<usize>,
    /// CPUs of the generator, such as 1,3-5 [default: those of this process, without the lower half when the
    /// server is on this machine]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,
    /// CPUs of the server, for the record
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// Measured time, after the warm-up [default: 10s, or no end with --requests]
    #[arg(short = 'd', long, value_parser = values::duration)]
    pub duration: Option<Duration>,
    /// Requests to measure, such as 1m; with --duration, whichever is reached first
    #[arg(short = 'n', long, value_parser = values::rate)]
    pub requests: Option<f64>,
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
    /// Request method
    #[arg(short = 'X', long, default_value = "GET")]
    pub method: String,
    /// Request field, as 'Name: value'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = parse_field)]
    pub headers: Vec<(String, String)>,
    /// Request body
    #[arg(long, default_value = "")]
    pub body: String,
    /// The one status that is valid [default: any 2xx]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..1000))]
    pub expect_status: Option<u16>,
    /// Accept bodies whose length differs from the first one's
    #[arg(long)]
    pub no_validate_length: bool,
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
/// When the URL or another argument makes no sense, or the server cannot be reached.
pub fn run(args: RunArgs) -> anyhow::Result<Exit> {
    let plan = plan(&args)?;
    let record = if io::stderr().is_terminal() {
        load::run(&plan, &Bar::new(&plan))
    } else {
        load::run(&plan, &NoProgress)
    };
    let record = record.map_err(explain)?;
    print(&record, args.output_format)?;
    Ok(if record.is_valid() { Exit::Success } else { Exit::Invalid })
}

fn plan(args: &RunArgs) -> anyhow::Result<LoadPlan> {
    let usage = |error: &dyn std::error::Error| Advice::error(Exit::Usage, error.to_string(), "See --help");
    let url = TargetUrl::parse(&args.url).map_err(|error| usage(&error))?;
    let cpus =
        |text: &Option<String>| text.as_deref().map(parse_cpus).transpose().map_err(|error| usage(&error));
    // The resolver's own failure is told later, by the run.
    let local =
        url.resolve().is_ok_and(|addresses| addresses.iter().all(|address| address.ip().is_loopback()));
    let cpus_given = cpus(&args.cpus)?;
    let placed = place(cpus_given.as_deref(), args.threads, local).map_err(|error| usage(&error))?;
    let threads =
        if args.threads.is_some() { placed.len() } else { placed.len().min(args.connections.max(1)) };
    let method = Method::from_bytes(args.method.as_bytes())
        .advise_usage(format!("`{}` is not a method", args.method), "Write a token such as GET or POST")?;
    let duration = args.duration.or(args.requests.is_none().then_some(Duration::from_secs(10)));
    Ok(LoadPlan {
        request: RequestOptions {
            method,
            fields: args.headers.clone(),
            body: args.body.clone().into_bytes(),
        },
        loop_model: args.rate.map_or(LoopModel::Closed, |rate| LoopModel::Open { rate }),
        connections: args.connections,
        pipeline: args.pipeline,
        warmup: args.warmup,
        extent: Extent { duration, requests: args.requests.map(|requests| requests.round() as u64) },
        timeout: args.timeout,
        expect: Expectation { status: args.expect_status, same_length: !args.no_validate_length },
        server_cpus: cpus(&args.server_cpus)?,
        ..LoadPlan::closed(url, placed[..threads].to_vec())
    })
}

fn explain(error: LoadError) -> anyhow::Error {
    match error {
        LoadError::Plan(_) | LoadError::Request(_) | LoadError::Placement(_) => {
            Advice::error(Exit::Usage, error.to_string(), "See --help")
        }
        other => other.into(),
    }
}

fn print(record: &RunRecord, format: OutputFormat) -> anyhow::Result<()> {
    let text = match format {
        OutputFormat::Text => record.to_text(),
        OutputFormat::Json => format!("{:#}\n", record.to_json()),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.advise("cannot write the result", "Check where standard output goes"),
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
        self.0.set_message(format!("warming up for {:?}", plan.warmup));
    }

    fn interval(&self, interval: &Interval) {
        let rate = interval.completed as f64 / interval.length.as_secs_f64().max(1e-9);
        self.0.set_position((interval.start + interval.length).as_secs_f64().round() as u64);
        self.0
            .set_message(format!("{rate:.0} requests/s  p50 {:.1?}  p99 {:.1?}", interval.p50, interval.p99));
    }

    fn finished(&self) {
        self.0.finish_and_clear();
    }
}
