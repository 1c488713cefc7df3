//! One run of a contest: the generator's record and the server's own books, put together.

use std::cell::Cell;
use std::time::Duration;

use super::contest::{Loader, Sample, with_causes};
use super::mode::Mode;
use super::table::FOREIGN_LIMIT;
use crate::load::{self, Extent, LoadPlan, NoProgress, Progress, TargetUrl};
use crate::record::Interval;
use crate::target::accounting;
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
    /// How often a run is made again when something else took more than [`FOREIGN_LIMIT`] of a CPU; the least
    /// disturbed one counts.
    pub retries: usize,
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

    fn measure(&self, server: &Child, mode: Mode, round: usize) -> Result<Sample, String> {
        let plan = self.plan(server, mode, self.duration)?;
        let meter = Meter::new(server);
        let record = load::run(&plan, &meter).map_err(|error| with_causes(&error))?;
        let Reading { server: spent, machine } = meter.spent()?;
        let foreign = machine.saturating_sub(spent + record.generator_cpu);
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
            foreign: foreign.as_secs_f64() / record.elapsed.as_secs_f64(),
        })
    }
}

/// Reads the server's books when the window opens and at the end of each of its seconds, so that neither opening
/// nor closing connections counts.
struct Meter<'a> {
    server: &'a Child,
    opened: Cell<Option<Reading>>,
    closed: Cell<Option<Reading>>,
}

#[derive(Clone, Copy)]
struct Reading {
    server: Duration,
    machine: Duration,
}

impl<'a> Meter<'a> {
    fn new(server: &'a Child) -> Self {
        Self { server, opened: Cell::new(None), closed: Cell::new(None) }
    }

    fn read(&self) -> Option<Reading> {
        let server = self.server.cpu_time().ok()?;
        Some(Reading { server, machine: accounting::machine_time().ok()? })
    }

    /// What the server and the whole machine spent in the window.
    fn spent(&self) -> Result<Reading, String> {
        match (self.opened.get(), self.closed.get()) {
            (Some(opened), Some(closed)) => Ok(Reading {
                server: closed.server.saturating_sub(opened.server),
                machine: closed.machine.saturating_sub(opened.machine),
            }),
            _ => Err("the server ended while it was measured".to_owned()),
        }
    }
}

impl Progress for Meter<'_> {
    fn started(&self, _: &LoadPlan) {
        self.opened.set(self.read());
    }

    fn interval(&self, _: &Interval) {
        self.closed.set(self.read());
    }
}

impl Loader for Pace {
    fn load(&mut self, server: &Child, mode: Mode, round: usize) -> Result<Sample, String> {
        if !self.warmup.is_zero() {
            let plan = self.plan(server, mode, self.warmup)?;
            load::run(&plan, &NoProgress).map_err(|error| with_causes(&error))?;
        }
        let mut best = self.measure(server, mode, round)?;
        for _ in 0..self.retries {
            if best.foreign <= FOREIGN_LIMIT {
                break;
            }
            let again = self.measure(server, mode, round)?;
            if again.foreign < best.foreign {
                best = again;
            }
        }
        Ok(best)
    }

    fn observe(&mut self, name: &str, mode: Mode, outcome: Result<&Sample, &str>) {
        self.done += 1;
        let (done, runs) = (self.done, self.runs);
        match outcome {
            Ok(sample) => eprintln!(
                "{done:>3}/{runs} {name:<10} {mode:>6} {:>9.0} requests/s {:>7.3} µs of CPU each, {} errors",
                sample.rate, sample.cpu_us, sample.errors
            ),
            Err(reason) => eprintln!("{done:>3}/{runs} {name:<10} {mode:>6} failed: {reason}"),
        }
    }
}
