//! One run of a contest: the generator's record and the server's own books, put together.

use std::cell::Cell;
use std::time::Duration;

use super::contest::{Loader, Sample, with_causes};
use super::mode::Mode;
use crate::load::{self, Extent, LoadPlan, NoProgress, Progress, TargetUrl};
use crate::record::Interval;
use crate::target::child::Child;

/// How each server is loaded.
#[derive(Debug, Clone)]
pub struct Pace {
    /// What is asked for.
    pub path: String,
    /// The generator's CPUs.
    pub cpus: Vec<usize>,
    /// The servers' CPUs.
    pub server_cpus: Vec<usize>,
    /// Load before each measured run.
    pub warmup: Duration,
    /// Measured time of each run.
    pub duration: Duration,
    /// How many runs there will be.
    pub runs: usize,
    /// How many there were.
    pub done: usize,
}

impl Pace {
    fn plan(&self, server: &Child, mode: Mode, duration: Duration) -> Result<LoadPlan, String> {
        let url = format!("http://{}{}", server.address(), self.path);
        let url = TargetUrl::parse(&url).map_err(|error| error.to_string())?;
        let cpus = self.cpus[..self.cpus.len().min(mode.connections)].to_vec();
        let mut plan = LoadPlan::closed(url, cpus);
        plan.connections = mode.connections;
        plan.pipeline = mode.depth;
        plan.warmup = Duration::ZERO;
        plan.extent = Extent { duration: Some(duration), requests: None };
        plan.server_cpus = Some(self.server_cpus.clone());
        Ok(plan)
    }
}

/// Reads the server's books when the window opens and at the end of each of its seconds, so that neither opening
/// nor closing connections counts.
struct Meter<'a> {
    server: &'a Child,
    opened: Cell<Option<Duration>>,
    closed: Cell<Option<Duration>>,
}

impl<'a> Meter<'a> {
    fn new(server: &'a Child) -> Self {
        Self { server, opened: Cell::new(None), closed: Cell::new(None) }
    }

    fn spent(&self) -> Result<Duration, String> {
        match (self.opened.get(), self.closed.get()) {
            (Some(opened), Some(closed)) => Ok(closed.saturating_sub(opened)),
            _ => Err("the server ended while it was measured".to_owned()),
        }
    }
}

impl Progress for Meter<'_> {
    fn started(&self, _: &LoadPlan) {
        self.opened.set(self.server.cpu_time().ok());
    }

    fn interval(&self, _: &Interval) {
        self.closed.set(self.server.cpu_time().ok());
    }

    fn finished(&self) {}
}

impl Loader for Pace {
    fn load(&mut self, server: &Child, mode: Mode, round: usize) -> Result<Sample, String> {
        self.done += 1;
        if !self.warmup.is_zero() {
            let plan = self.plan(server, mode, self.warmup)?;
            load::run(&plan, &NoProgress).map_err(|error| with_causes(&error))?;
        }
        let plan = self.plan(server, mode, self.duration)?;
        let meter = Meter::new(server);
        let record = load::run(&plan, &meter).map_err(|error| with_causes(&error))?;
        let spent = meter.spent()?;
        if record.completed == 0 {
            let first = record.errors.first.clone().unwrap_or_else(|| "no error was seen either".to_owned());
            return Err(format!("no valid answer: {first}"));
        }
        Ok(Sample {
            round,
            rate: record.rate(),
            cpu_us: spent.as_secs_f64() * 1e6 / record.completed as f64,
            server_busy: spent.as_secs_f64() / record.elapsed.as_secs_f64(),
            generator_busy: record.busiest(),
            p50_us: record.quantile(0.5).as_secs_f64() * 1e6,
            p99_us: record.quantile(0.99).as_secs_f64() * 1e6,
            resident: server.resident().map_err(|error| with_causes(&error))?,
            errors: record.errors.total(),
        })
    }

    fn observe(&mut self, name: &str, mode: Mode, outcome: Result<&Sample, &str>) {
        let (done, runs) = (self.done, self.runs);
        match outcome {
            Ok(sample) => eprintln!(
                "{done:>3}/{runs} {name:<10} {mode:<6} {:>9.0} requests/s {:>7.3} µs of CPU each, {} errors",
                sample.rate, sample.cpu_us, sample.errors
            ),
            Err(reason) => eprintln!("{done:>3}/{runs} {name:<10} {mode:<6} failed: {reason}"),
        }
    }
}
