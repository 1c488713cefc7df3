//! From runs to the results of layers.

use std::time::Duration;

use super::http::{Measured, PATH};
use super::layout::Layout;
use super::pace::Pace;
use super::route_match::{self, Matching};
use crate::record::{GuardOutcome, Hist, RunRecord};
use crate::report::model::RunResult;
use crate::report::quantity::{grouped, percent, time};
use crate::report::{Check, Clock, Condition, Latency, LayerResult, Outcome};
use crate::stats::{Interval, LEVEL, spread};
use crate::verdict::judge::{self, Evidence};
use crate::verdict::{Claim, Feasibility, Judgement, Limit, Reading, Verdict};

/// From this share of its cores on, a server has used up its CPU.
const USED_UP: f64 = 0.95;
/// How much faster the generator must be against a server that does nothing.
const CEILING: f64 = 1.5;
/// The shares of the cores' time that others may take before it is said, and before nothing is proved.
const FOREIGN_WARNING: f64 = 0.05;
const FOREIGN_FAILED: f64 = 0.10;
/// From this share of its core on, the matching thread had it to itself.
const UNDISTURBED: f64 = 0.90;
/// The share of failed requests that a measurement may have.
const ERRORS: f64 = 0.001;

/// The result of route matching.
pub(super) fn matching(
    claim: &Claim,
    reading: Reading,
    subject: &Matching,
    runs: &[route_match::Run],
    cpu: usize,
    pace: &Pace,
) -> LayerResult {
    let wrong: u64 = runs.iter().map(|run| run.wrong).sum();
    let matches: u64 = runs.iter().map(|run| run.matches).sum();
    let outcome = if wrong == 0 { Outcome::Passed } else { Outcome::Failed };
    let detail = format!("{} matches checked, {wrong} wrong", grouped(matches as f64));
    let undisturbed = undisturbed(runs);
    let calm = undisturbed.outcome == Outcome::Passed;
    let result = Parts {
        reading,
        subject: subject.subject(),
        limit: if calm { Limit::Subject } else { Limit::Unknown },
        feasibility: None,
        conditions: vec![
            Condition::new("layer", "a function call, no socket, no HTTP"),
            Condition::new("cores", format!("1 (core {cpu})")),
            Condition::new("warm-up", time(pace.match_time / 5)),
            Condition::new("runs", format!("{} x {}", pace.match_runs, time(pace.match_time))),
        ],
        runs: runs
            .iter()
            .map(|run| RunResult {
                rate: run.rate,
                server_cpu_us: Some(run.cpu.as_secs_f64() * 1e6),
                server_busy: Some(run.busy),
                ..RunResult::default()
            })
            .collect(),
        checks: vec![Check { name: "matches".into(), outcome, detail }, undisturbed, optimised()],
        clock: None,
    };
    result.judge(claim)
}

/// Whether the matching thread had its core to itself; where not, the rate is too low and never too high.
fn undisturbed(runs: &[route_match::Run]) -> Check {
    let busy = spread::median(&runs.iter().map(|run| run.busy).collect::<Vec<_>>()).unwrap_or(0.0);
    let outcome = if busy >= UNDISTURBED { Outcome::Passed } else { Outcome::Warning };
    let detail = format!("the thread had its core {} of the time (median of runs)", percent(busy));
    Check { name: "undisturbed".into(), outcome, detail }
}

/// Whether this build may speak about speed at all.
fn optimised() -> Check {
    let (outcome, detail) = if cfg!(debug_assertions) {
        (Outcome::Failed, "a debug build says nothing about speed: build with --release")
    } else {
        (Outcome::Passed, "a release build")
    };
    Check { name: "build".into(), outcome, detail: detail.to_owned() }
}

/// The result of a closed loop, given what the same load did to the null responder.
pub(super) fn closed(
    claim: &Claim,
    reading: Reading,
    runs: &[Measured],
    null: Option<&Measured>,
    layout: &Layout,
    pace: &Pace,
) -> LayerResult {
    let depth = reading.depth.unwrap_or(1);
    let records: Vec<&RunRecord> = runs.iter().map(|run| &run.record).collect();
    let results: Vec<RunResult> = runs.iter().map(|run| run.result(layout.server.len())).collect();
    let mut checks = guards(&records);
    checks.push(errors(&records));
    checks.extend(quiet(runs));
    checks.push(optimised());
    checks.extend(null.and_then(|null| ceiling(&results, null)));
    let feasibility = null.and_then(|null| {
        Some(Feasibility {
            server_cpu: null.server_cpu()?,
            generator_cpu: null.record.cpu_per_request(),
            cores: layout.cores(),
        })
    });
    let histograms: Vec<_> = records.iter().map(|record| &*record.response).collect();
    let result = Parts {
        reading,
        subject: format!("Covet's reference service, GET {PATH}"),
        limit: limit(&results),
        feasibility,
        conditions: conditions("closed", depth, layout, pace.closed_runs, pace.closed_time, pace.warmup),
        runs: results,
        checks,
        clock: Some(Clock::over("service", "from the submission to the answer", &histograms)),
    };
    result.judge(claim)
}

/// The result for a layer that was not measured.
pub(super) fn absent(reading: Reading, why: &str) -> LayerResult {
    LayerResult {
        reading,
        subject: "nothing".to_owned(),
        judgement: Judgement { verdict: Verdict::Inconclusive, reason: format!("Not measured: {why}.") },
        rate: None,
        limit: Limit::Unknown,
        feasibility: None,
        conditions: Vec::new(),
        runs: Vec::new(),
        checks: Vec::new(),
        curves: Vec::new(),
        merged: None,
    }
}

/// Latency at a constant rate.
pub(super) fn latency(rate: f64, share: f64, runs: &[Measured], layout: &Layout, pace: &Pace) -> Latency {
    let records: Vec<&RunRecord> = runs.iter().map(|run| &run.record).collect();
    let clock = |name, meaning, of: fn(&RunRecord) -> Option<&Hist>| {
        let histograms: Vec<_> = records.iter().filter_map(|record| of(record)).map(|hist| &**hist).collect();
        Clock::over(name, meaning, &histograms)
    };
    let mut checks = guards(&records);
    checks.push(errors(&records));
    checks.extend(quiet(runs));
    let model =
        format!("open, {}/s at constant intervals ({} of the closed loop)", grouped(rate), percent(share));
    Latency {
        title: format!("Latency at {} requests per second", grouped(rate)),
        conditions: conditions(&model, 1, layout, pace.open_runs, pace.open_time, pace.warmup),
        clocks: vec![
            clock("response", "from the intended start to the answer", |record| Some(&record.response)),
            clock("service", "from the submission to the answer", |record| Some(&record.service)),
            clock("lateness", "from the intended start to the submission", |record| record.lateness.as_ref()),
        ],
        checks,
        runs: runs.iter().map(|run| run.result(layout.server.len())).collect(),
    }
}

/// A layer's result before it is judged.
struct Parts {
    reading: Reading,
    subject: String,
    limit: Limit,
    feasibility: Option<Feasibility>,
    conditions: Vec<Condition>,
    runs: Vec<RunResult>,
    checks: Vec<Check>,
    clock: Option<Clock>,
}

impl Parts {
    fn judge(self, claim: &Claim) -> LayerResult {
        let rates: Vec<f64> = self.runs.iter().map(|run| run.rate).collect();
        let rate = Interval::of_runs(&rates, LEVEL).ok();
        let failed = self.checks.iter().filter(|check| check.outcome == Outcome::Failed);
        let evidence = Evidence {
            reading: self.reading,
            rate,
            strays: spread::strays(&rates).len(),
            failed_guards: failed.map(|check| format!("{}: {}", check.name, check.detail)).collect(),
            limit: self.limit,
            feasibility: self.feasibility,
        };
        let (curves, merged) =
            self.clock.map_or((Vec::new(), None), |clock| (clock.runs, Some(clock.merged)));
        LayerResult {
            reading: self.reading,
            subject: self.subject,
            judgement: judge::layer(claim, &evidence),
            rate,
            limit: self.limit,
            feasibility: self.feasibility,
            conditions: self.conditions,
            runs: self.runs,
            checks: self.checks,
            curves,
            merged,
        }
    }
}

fn conditions(
    model: &str,
    depth: usize,
    layout: &Layout,
    runs: usize,
    length: Duration,
    warmup: Duration,
) -> Vec<Condition> {
    vec![
        Condition::new("loop", model),
        Condition::new("connections", layout.connections().to_string()),
        Condition::new("depth", depth.to_string()),
        Condition::new("protocol", "HTTP/1.1, keep-alive, loopback"),
        Condition::new("request", format!("GET {PATH}")),
        Condition::new("server cores", layout.server_list()),
        Condition::new("generator cores", layout.generator_list()),
        Condition::new("warm-up", time(warmup)),
        Condition::new("runs", format!("{runs} x {}", time(length))),
    ]
}

/// What used up its CPU, by the median over the runs.
fn limit(runs: &[RunResult]) -> Limit {
    let median = |of: fn(&RunResult) -> Option<f64>| {
        spread::median(&runs.iter().filter_map(of).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    if median(|run| run.server_busy) >= USED_UP {
        Limit::Subject
    } else if median(|run| run.generator_busy) >= USED_UP {
        Limit::Generator
    } else {
        Limit::Unknown
    }
}

/// The guards of all runs, each with its worst outcome.
fn guards(records: &[&RunRecord]) -> Vec<Check> {
    let mut checks: Vec<(Check, usize)> = Vec::new();
    for guard in records.iter().flat_map(|record| record.guards()) {
        let outcome = match guard.outcome {
            GuardOutcome::Passed => Outcome::Passed,
            GuardOutcome::Warning => Outcome::Warning,
            GuardOutcome::Failed => Outcome::Failed,
            GuardOutcome::NotMeasured => continue,
        };
        let check = Check { name: guard.name.to_owned(), outcome, detail: guard.detail };
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

fn errors(records: &[&RunRecord]) -> Check {
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
fn quiet(runs: &[Measured]) -> Option<Check> {
    let foreign = spread::median(&runs.iter().filter_map(|run| run.foreign).collect::<Vec<_>>())?;
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
fn ceiling(runs: &[RunResult], null: &Measured) -> Option<Check> {
    let rate =
        spread::median(&runs.iter().map(|run| run.rate).collect::<Vec<_>>()).filter(|rate| *rate > 0.0)?;
    let ratio = null.record.rate() / rate;
    let outcome = if ratio >= CEILING { Outcome::Passed } else { Outcome::Warning };
    let detail = format!(
        "the same load on a server that does nothing reaches {}/s, {ratio:.2} times as much",
        grouped(null.record.rate())
    );
    Some(Check { name: "ceiling".into(), outcome, detail })
}
