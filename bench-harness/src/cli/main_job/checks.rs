//! What every measurement over a socket must pass, and what its rate was limited by.

use super::http::Measured;
use crate::record::RunRecord;
use crate::report::model::RunResult;
use crate::report::quantity::{grouped, percent};
use crate::report::{Check, Outcome};
use crate::stats::spread;
use crate::verdict::Limit;

/// From this share of its cores on, a server has used up its CPU.
const USED_UP: f64 = 0.95;
/// A change of the rate with the generator's cores that is none.
const FLAT: f64 = 0.02;
/// How much faster the generator must be against a server that does nothing.
const CEILING: f64 = 1.5;
/// The shares of the cores' time that others may take before it is said, and before nothing is proved.
const FOREIGN_WARNING: f64 = 0.05;
const FOREIGN_FAILED: f64 = 0.10;
/// The share of failed requests that a measurement may have.
const ERRORS: f64 = 0.001;

/// Whether this build may speak about speed at all.
pub(in crate::cli) fn optimised() -> Check {
    let (outcome, detail) = if cfg!(debug_assertions) {
        (Outcome::Failed, "a debug build says nothing about speed: build with --release")
    } else {
        (Outcome::Passed, "a release build")
    };
    Check { name: "build".into(), outcome, detail: detail.to_owned() }
}

/// What used up its CPU, by the median over the runs; or the server, where neither more generator cores nor more
/// connections change anything.
///
/// With connections that the claim states there is no need to try more of them. Those that we chose may be what keeps a
/// server from more: one that sleeps for 20 ms in each request answers 50 in a second on each.
pub(super) fn limit(runs: &[RunResult], measured: &[Measured], connections_stated: bool) -> Limit {
    let flat = |run: &Measured| {
        let (record, rate) = (&run.record, run.record.rate().max(f64::MIN_POSITIVE));
        let doubling = record.probes.doubling.filter(|other| other.cores > record.conditions.threads);
        let by_cores = doubling.map(|other| other.rate / rate - 1.0);
        is_flat(by_cores, run.widened.map(|other| other / rate - 1.0), connections_stated)
    };
    let median = |of: fn(&RunResult) -> Option<f64>| {
        spread::median(&runs.iter().filter_map(of).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    if median(|run| run.server_busy) >= USED_UP || measured.iter().any(flat) {
        Limit::Subject
    } else if median(|run| run.generator_busy) >= USED_UP {
        Limit::Generator
    } else {
        Limit::Unknown
    }
}

/// Whether the rate changes with neither the generator's cores nor the connections; what was not tried shows nothing.
fn is_flat(by_cores: Option<f64>, by_connections: Option<f64>, connections_stated: bool) -> bool {
    let no_faster = connections_stated || by_connections.is_some_and(|change| change < FLAT);
    by_cores.is_some_and(|change| change.abs() < FLAT) && no_faster
}

/// The guards of all runs, each with its worst outcome.
pub(in crate::cli) fn guards(records: &[&RunRecord]) -> Vec<Check> {
    let mut checks: Vec<(Check, usize)> = Vec::new();
    for check in records.iter().flat_map(|record| record.guards()).filter_map(Check::of) {
        let outcome = check.outcome;
        match checks.iter_mut().find(|(known, _)| known.name == check.name) {
            None => checks.push((check, 1)),
            Some((known, count)) if known.outcome < outcome => (*known, *count) = (check, 1),
            Some((known, count)) => *count += usize::from(known.outcome == outcome),
        }
    }
    let of = records.len();
    checks
        .into_iter()
        .map(|(check, count)| Check { detail: format!("{} ({count} of {of} runs)", check.detail), ..check })
        .collect()
}

pub(super) fn errors(records: &[&RunRecord]) -> Check {
    let failed: u64 = records.iter().map(|record| record.errors.total()).sum();
    let completed: u64 = records.iter().map(|record| record.completed).sum();
    let share = failed as f64 / (completed + failed).max(1) as f64;
    let outcome = if share > ERRORS { Outcome::Failed } else { Outcome::Passed };
    let first = records.iter().find_map(|record| record.errors.first.clone());
    let first = first.map_or(String::new(), |first| format!("; the first: {first}"));
    Check {
        name: "errors".into(),
        outcome,
        detail: format!("{failed} of {}{first}", grouped((completed + failed) as f64)),
    }
}

/// Whether others left the cores alone, by the median over the runs.
pub(in crate::cli) fn quiet<'a>(runs: impl IntoIterator<Item = &'a Measured>) -> Option<Check> {
    let foreign = spread::median(&runs.into_iter().filter_map(|run| run.foreign).collect::<Vec<_>>())?;
    let outcome = match foreign {
        share if share > FOREIGN_FAILED => Outcome::Failed,
        share if share > FOREIGN_WARNING => Outcome::Warning,
        _ => Outcome::Passed,
    };
    let advice = if outcome == Outcome::Passed { "" } else { "; stop them and measure again" };
    let share = percent(foreign.min(1.0));
    let detail = format!("other processes took {share} of the cores' time (median of runs){advice}");
    Some(Check { name: "quiet machine".into(), outcome, detail })
}

/// Whether the generator could have gone faster, shown by a server that does nothing.
pub(super) fn ceiling(runs: &[RunResult], null: &Measured) -> Option<Check> {
    let rate =
        spread::median(&runs.iter().map(|run| run.rate).collect::<Vec<_>>()).filter(|rate| *rate > 0.0)?;
    let ratio = null.record.rate() / rate;
    let outcome = if ratio >= CEILING { Outcome::Passed } else { Outcome::Warning };
    let detail = format!(
        "the same load on a server that does nothing reaches {}/s, {ratio:.2} times as much",
        grouped(null.record.rate())
    );
    Some(Check { name: "null server".into(), outcome, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_more_connections_make_faster_is_not_at_its_limit() {
        let flat = Some(0.005);
        assert!(is_flat(flat, Some(0.01), false));
        assert!(is_flat(flat, Some(-0.2), false), "too many for it: the limit is its own");
        assert!(!is_flat(flat, Some(0.98), false), "it waits in each request");
        assert!(is_flat(flat, Some(0.98), true), "the claim is of that many connections");
        assert!(!is_flat(flat, None, false));
        assert!(!is_flat(None, flat, false));
        assert!(!is_flat(Some(0.3), flat, false));
    }
}
