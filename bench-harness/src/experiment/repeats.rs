//! A run made several times, since the run is the unit of replication.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::probe;
use crate::load::{self, LoadPlan, Progress};
use crate::record::{REPORTED_QUANTILES, RunRecord};
use crate::report::quantity::seconds;
use crate::stats::{Interval, LEVEL, modes, spread};
use crate::target::child::Child;

/// How long a server has to accept connections, and to end.
const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A shell command that starts the server, so that it can be started anew for each run.
///
/// Servers end up in one of several states when they start (memory layout, hashing, scheduling), and stay in it; runs
/// against one process sample one of them.
#[derive(Debug, Clone)]
pub struct ServerCommand {
    /// For `sh -c`.
    pub command: String,
    /// The CPUs to confine it to.
    pub cpus: Option<Vec<usize>>,
}

impl ServerCommand {
    /// Starts it and waits until it accepts connections at the plan's address.
    ///
    /// # Errors
    /// When the address has no meaning, is taken, or nothing listens there in time.
    pub fn start(&self, plan: &LoadPlan) -> anyhow::Result<Child> {
        let addresses = plan.url.resolve().context("the server's address cannot be resolved")?;
        let address: SocketAddr = *addresses.first().context("the server has no address")?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec {}", self.command)]);
        Ok(Child::start_at(shell, address, self.cpus.as_deref(), START_PATIENCE)?)
    }
}

/// Runs of one plan.
#[derive(Debug)]
pub struct Series {
    /// In the order in which they were made.
    pub runs: Vec<RunRecord>,
}

/// Makes the runs, with the probes after each where they are asked for, and `server` started anew for each.
///
/// # Errors
/// When a run does not begin, or the server does not start.
pub fn repeat(
    plan: &LoadPlan,
    count: usize,
    server: Option<&ServerCommand>,
    probes: bool,
    progress: &dyn Progress,
) -> anyhow::Result<Series> {
    let mut runs = Vec::with_capacity(count);
    for number in 0..count.max(1) {
        let child = server.map(|server| server.start(plan)).transpose()?;
        // Runs of one seed would share the luck of their arrivals.
        let plan = LoadPlan { seed: plan.seed.wrapping_add(number as u64), ..plan.clone() };
        let mut record = load::run(&plan, progress)?;
        if probes && record.aborted.is_none() {
            probe(&plan, &mut record);
        }
        let aborted = record.aborted.is_some();
        runs.push(record);
        if let Some(child) = child {
            child.stop(STOP_PATIENCE)?;
        }
        if aborted {
            break;
        }
    }
    Ok(Series { runs })
}

/// What several runs come to: means with their intervals.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Requests per second.
    pub rate: Option<Interval>,
    /// The quantiles that every run bears, in seconds.
    pub quantiles: Vec<(&'static str, Interval)>,
    /// The runs whose rate does not belong with the others', from 0.
    pub strays: Vec<usize>,
    /// What is to be said of runs that differ: two modes, or runs that lie apart alone.
    pub differing: Option<String>,
}

/// What is to be said of rates that differ; nothing where one mode explains them.
fn differing(rates: &[f64]) -> Option<String> {
    if let Some(two) = modes::modes(rates).filter(modes::Modes::are_repeated) {
        return Some(format!(
            "the runs have two modes, {:.0} ({} runs) and {:.0} ({} runs), and their mean describes neither",
            two.low,
            two.low_runs.len(),
            two.high,
            two.high_runs.len()
        ));
    }
    let strays: Vec<String> = spread::strays(rates).iter().map(|run| (run + 1).to_string()).collect();
    (!strays.is_empty()).then(|| {
        format!("run {} lies apart from the others, counts, and widens the interval", strays.join(", "))
    })
}

impl Series {
    /// Whether no run failed a guard.
    pub fn is_valid(&self) -> bool {
        self.runs.iter().all(RunRecord::is_valid)
    }

    /// The means and their intervals, from two runs on.
    pub fn summary(&self) -> Summary {
        let rates: Vec<f64> = self.runs.iter().map(RunRecord::rate).collect();
        let interval = |values: &[f64]| Interval::of_runs(values, LEVEL).ok();
        let quantiles = REPORTED_QUANTILES
            .iter()
            .filter(|(q, _)| self.runs.iter().all(|run| run.bears(*q)))
            .filter_map(|(q, name)| {
                let values: Vec<f64> = self.runs.iter().map(|run| run.quantile(*q).as_secs_f64()).collect();
                Some((*name, interval(&values)?))
            })
            .collect();
        Summary {
            rate: interval(&rates),
            quantiles,
            strays: spread::strays(&rates),
            differing: differing(&rates),
        }
    }

    /// The runs and their summary as one JSON object.
    pub fn to_json(&self) -> Value {
        let summary = self.summary();
        let interval = |interval: &Interval| {
            json!({
                "estimate": interval.estimate,
                "lower": interval.lower,
                "upper": interval.upper,
                "level": LEVEL,
            })
        };
        let quantiles: serde_json::Map<String, Value> =
            summary.quantiles.iter().map(|(name, value)| ((*name).to_owned(), interval(value))).collect();
        json!({
            "schema": "covet-bench.series/1",
            "valid": self.is_valid(),
            "summary": {
                "rate": summary.rate.as_ref().map(interval),
                "quantiles_s": quantiles,
                "strays": summary.strays,
            },
            "runs": self.runs.iter().map(RunRecord::to_json).collect::<Vec<_>>(),
        })
    }

    /// The summary as lines of text; nothing for a single run.
    pub fn to_text(&self) -> String {
        let summary = self.summary();
        let Some(rate) = &summary.rate else { return String::new() };
        let validity = if self.is_valid() { "" } else { "INVALID  " };
        let mut lines = vec![format!(
            "{validity}{:.0} requests/s [{:.0}, {:.0}]  95 % interval of {} runs",
            rate.estimate,
            rate.lower,
            rate.upper,
            self.runs.len()
        )];
        for (name, value) in &summary.quantiles {
            lines.push(format!(
                "  {name:<11} {} [{}, {}]",
                seconds(value.estimate),
                seconds(value.lower),
                seconds(value.upper)
            ));
        }
        lines.extend(summary.differing.iter().map(|words| format!("  warning     {words}")));
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LoopModel;
    use crate::record::tests::record;

    #[test]
    fn a_run_apart_is_not_called_a_mode() {
        assert_eq!(differing(&[100.0, 101.0, 99.0, 100.5, 100.2]), None);
        let alone = differing(&[100.0, 101.0, 99.0, 100.5, 60.0]).unwrap();
        assert!(alone.starts_with("run 5 lies apart"), "{alone}");
        let two = differing(&[100.0, 121.0, 101.0, 99.5, 120.0, 100.2, 100.8, 119.5]).unwrap();
        assert!(two.contains("two modes, 100 (5 runs) and 120 (3 runs)"), "{two}");
    }

    #[test]
    fn an_interval_longer_than_a_duration_is_printed() {
        let runs =
            [1, 30_000_000_000].map(|nanos| record(LoopModel::Closed, 100_000, Duration::from_nanos(nanos)));
        let text = Series { runs: runs.into() }.to_text();
        assert!(text.contains("[0.000 ns, 6.34e62 s]"), "{text}");
    }
}
