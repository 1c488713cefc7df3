//! `covet-bench overhead`: what a part of a service costs, as the ratio of CPU time per request with and without it.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::ab::share;
use super::exit::{Advice, Exit};
use super::main_job::checks::{guards, optimised, quiet};
use super::main_job::http::{Measured, Rig, Shape, Target};
use super::main_job::layout::Layout;
use super::output::{OutputFormat, write_out};
use super::values;
use crate::experiment::{Subject, ab};
use crate::load::TlsOptions;
use crate::record::RunRecord;
use crate::report::quantity::{percent, three_digits, time};
use crate::report::{Check, Outcome};
use crate::stats::ratio::LogRatio;
use crate::stats::spread::median;
use crate::stats::{Interval, LEVEL};

const WARMUP: Duration = Duration::from_millis(300);

/// What a service is measured with and without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// TLS 1.3, or the newest version that both speak.
    Tls,
    /// Middleware that looks at the request and hands it on.
    Middleware,
    /// Messages over WebSocket.
    Websocket,
    /// A query to a database in each request.
    Database,
}

/// Options of `covet-bench overhead`.
#[derive(Debug, Clone, Args)]
pub struct OverheadArgs {
    /// The part
    #[arg(value_enum)]
    pub part: Part,
    /// How many middleware, one around the other
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub layers: u16,
    /// Pairs of runs, in blocks of ABBA or BAAB
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub pairs: u16,
    /// Measured time of each run
    #[arg(short = 'd', long, default_value = "1s", value_parser = values::duration)]
    pub duration: Duration,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub pipeline: u16,
    /// Open each connection anew after so many requests: with TLS, the handshakes are then in the cost
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests_per_connection: Option<u64>,
    /// Do not resume the TLS sessions of earlier connections
    #[arg(long)]
    pub no_resume: bool,
    /// The cost that is allowed, such as 20%: above it the exit status is 99, and 98 where that is undecided; 97 where a
    /// check failed, with or without a limit
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub limit: Option<f64>,
    /// What the order of the runs begins with
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Form of the result on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

/// Measures the reference service with and without the part in interleaved pairs, and prints the ratio.
///
/// Exits as a verdict does: with [`Exit::Invalid`] where a check failed, whatever the ratio.
///
/// # Errors
/// When there is no such scenario yet, the machine has one core only, or a server does not start or answer.
pub fn overhead(args: OverheadArgs) -> anyhow::Result<Exit> {
    let arguments = match args.part {
        Part::Middleware => vec![format!("--middleware={}", args.layers)],
        Part::Tls => vec!["--tls-self-signed".to_owned()],
        Part::Websocket => return Err(not_yet("WebSocket", "the reference service does not speak it")),
        Part::Database => {
            return Err(not_yet("database", "the reference service has no route that asks one"));
        }
    };
    let layout = Layout::here();
    if layout.generator.is_empty() {
        return Err(Advice::error(
            Exit::Runtime,
            "a server and a generator on one core measure each other",
            "Give it two cores or more (taskset, the container's CPU limit)",
        ));
    }
    let subject = |arguments: Vec<String>| Subject::Reference {
        path: "/plaintext".to_owned(),
        cpus: layout.server.clone(),
        arguments,
    };
    let connections = layout.connections();
    // The certificate is of the service's own making, and nobody is to be convinced by it.
    let tls = TlsOptions { verify: false, resume: !args.no_resume, ..TlsOptions::default() };
    let start = |subject: Subject| Rig::start(&subject, &layout, connections, WARMUP, &tls);
    let mut plain = Side { rig: start(subject(Vec::new()))?, cpu_us: Vec::new(), runs: Vec::new() };
    let mut with = Side { rig: start(subject(arguments))?, cpu_us: Vec::new(), runs: Vec::new() };
    let shape = Shape {
        requests_per_connection: args.requests_per_connection,
        ..Shape::closed(usize::from(args.pipeline), args.duration)
    };
    for is_plain in ab::order(usize::from(args.pairs), args.seed) {
        if is_plain { plain.run(shape)? } else { with.run(shape)? }
    }
    let ratio = LogRatio::paired(&with.cpu_us, &plain.cpu_us).and_then(|ratio| ratio.interval(LEVEL))?;
    let checks = checks(&plain, &with);
    let result = Overhead { args: &args, connections, plain: &plain, with: &with, ratio, checks };
    write_out(&match args.output_format {
        OutputFormat::Text => result.text(),
        OutputFormat::Json => format!("{:#}\n", result.json()),
    })?;
    let exit = result.exit();
    for side in [plain, with] {
        side.rig.stop()?;
    }
    Ok(exit)
}

/// What every measurement must pass, over the runs of both sides.
fn checks(plain: &Side, with: &Side) -> Vec<Check> {
    let runs = || plain.runs.iter().chain(&with.runs);
    let records: Vec<&RunRecord> = runs().map(|run| &run.record).collect();
    let mut checks = guards(&records);
    checks.extend(quiet(runs()));
    checks.push(optimised());
    checks
}

fn not_yet(what: &str, why: &str) -> anyhow::Error {
    Advice::error(
        Exit::Usage,
        format!("there is no {what} scenario yet: {why}"),
        "Measure what there is: `covet-bench overhead middleware`",
    )
}

/// One side of the pairs.
struct Side {
    rig: Rig,
    cpu_us: Vec<f64>,
    runs: Vec<Measured>,
}

impl Side {
    fn run(&mut self, shape: Shape) -> anyhow::Result<()> {
        // Each run samples another of the states in which a server may settle.
        self.rig.renew()?;
        let measured = self.rig.run(Target::Subject, shape)?;
        let errors = measured.record.errors.total();
        if errors > 0 {
            let first = measured.record.errors.first.clone().unwrap_or_default();
            return Err(Advice::error(
                Exit::Invalid,
                format!("{errors} requests failed, so the CPU time is not that of answers: {first}"),
                "Run it again on a machine that is not overloaded",
            ));
        }
        let cpu = measured.server_cpu().filter(|cpu| !cpu.is_zero()).ok_or_else(|| {
            let remedy = "Give it a kernel with schedstat (CONFIG_SCHED_INFO)";
            Advice::error(Exit::Runtime, "the CPU time of the server is not known", remedy)
        })?;
        self.cpu_us.push(cpu.as_secs_f64() * 1e6);
        self.runs.push(measured);
        Ok(())
    }
}

/// What came of the pairs.
struct Overhead<'a> {
    args: &'a OverheadArgs,
    connections: usize,
    plain: &'a Side,
    with: &'a Side,
    ratio: Interval,
    checks: Vec<Check>,
}

impl Overhead<'_> {
    fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Failed)
    }

    /// The word for the limit where there is one, and the exit status.
    fn judged(&self) -> (&'static str, Exit) {
        match self.args.limit.map(|limit| 1.0 + limit) {
            _ if self.failed().next().is_some() => ("not judged: a check failed", Exit::Invalid),
            Some(limit) if self.ratio.lower > limit => ("exceeded", Exit::Refuted),
            Some(limit) if self.ratio.upper > limit => ("undecided", Exit::Inconclusive),
            _ => ("kept", Exit::Success),
        }
    }

    fn exit(&self) -> Exit {
        self.judged().1
    }

    fn what(&self) -> String {
        match self.args.part {
            Part::Middleware => format!("{} middleware", self.args.layers),
            Part::Tls if self.args.no_resume => "TLS, sessions not resumed".to_owned(),
            Part::Tls => "TLS".to_owned(),
            Part::Websocket | Part::Database => String::new(),
        }
    }

    fn text(&self) -> String {
        let (ratio, middle) = (self.ratio, |values: &[f64]| median(values).unwrap_or(0.0));
        let validity = if self.failed().next().is_some() { "INVALID  " } else { "" };
        let each = self
            .args
            .requests_per_connection
            .map_or(String::new(), |count| format!(" opened anew after {count} request(s)"));
        let mut text = format!(
            "{validity}{} on the reference service, GET /plaintext, {} connections{each}, depth {}, {} pairs of {}, \
             interleaved\n",
            self.what(),
            self.connections,
            self.args.pipeline,
            self.args.pairs,
            time(self.args.duration)
        );
        let _ = writeln!(
            text,
            "  CPU per request  x{:.4} [{:.4}, {:.4}]  {} µs without, {} µs with (medians)",
            ratio.estimate,
            ratio.lower,
            ratio.upper,
            three_digits(middle(&self.plain.cpu_us)),
            three_digits(middle(&self.with.cpu_us)),
        );
        if self.args.part == Part::Middleware {
            let each =
                (ratio.estimate - 1.0) * middle(&self.plain.cpu_us) * 1e3 / f64::from(self.args.layers);
            let _ = writeln!(text, "  each             {} ns", three_digits(each));
        }
        if let Some(limit) = self.args.limit {
            let _ = writeln!(text, "  limit            {} more: {}", percent(limit), self.judged().0);
        }
        for check in self.failed() {
            let _ = writeln!(text, "  FAILED           {}: {}", check.name, check.detail);
        }
        text
    }

    fn json(&self) -> Value {
        let side = |side: &Side| {
            let rates: Vec<f64> = side.runs.iter().map(|run| run.record.rate()).collect();
            json!({ "server_cpu_us": side.cpu_us, "rates": rates })
        };
        json!({
            "schema": "covet-bench.overhead/1",
            "part": self.what(),
            "valid": self.failed().next().is_none(),
            "connections": self.connections,
            "pipeline": self.args.pipeline,
            "requests_per_connection": self.args.requests_per_connection,
            "ratio": self.ratio,
            "limit": self.args.limit,
            "checks": self.checks,
            "without": side(self.plain),
            "with": side(self.with),
        })
    }
}
