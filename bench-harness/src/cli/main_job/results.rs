//! From runs to the results of layers.

use std::time::Duration;

use super::checks::{ceiling, errors, guards, limit, optimised, quiet};
use super::http::Measured;
use super::layout::Layout;
use super::pace::Pace;
use super::route_match::{self, Matching};
use crate::record::{Hist, RunRecord};
use crate::report::model::RunResult;
use crate::report::quantity::{grouped, percent, time};
use crate::report::{Check, Clock, Condition, Latency, LayerResult, Outcome};
use crate::stats::{Interval, LEVEL, Share, spread};
use crate::verdict::judge::{self, Evidence, Unproven};
use crate::verdict::{Claim, Feasibility, Judgement, Limit, Quantity, Reading, Traffic, Verdict};

/// From this share of its core on, the matching thread had it to itself.
const UNDISTURBED: f64 = 0.90;

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
        figures: Figures::Rates,
        floor: None,
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
        // Stated cores and protocols are those of a server.
        unproven: Unproven::default(),
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

/// How the servers were set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// What is judged, in words.
    pub(super) subject: &'a str,
    /// The path that is asked for.
    pub(super) path: &'a str,
    /// On which cores.
    pub(super) layout: &'a Layout,
    /// Connections.
    pub(super) connections: usize,
    /// Whether it is spoken to over TLS.
    pub(super) secure: bool,
    /// Bits per second of the link to it; `None` for loopback, and where it is not known.
    pub(super) link: Option<f64>,
    /// How often and how long.
    pub(super) pace: &'a Pace,
    /// In what that differs from the conditions of the claim.
    pub(super) unproven: &'a Unproven,
}

/// The result of a closed loop, given what the same load did to the null responder.
pub(super) fn closed(
    claim: &Claim,
    reading: Reading,
    runs: &[Measured],
    null: Option<&Measured>,
    setting: Setting<'_>,
) -> LayerResult {
    let depth = reading.depth.unwrap_or(1);
    let (layout, pace) = (setting.layout, setting.pace);
    let records: Vec<&RunRecord> = runs.iter().map(|run| &run.record).collect();
    let results: Vec<RunResult> = runs.iter().map(|run| run.result(layout.server.len())).collect();
    let mut checks = guards(&records);
    // A generator at its limit makes the rate a lower bound: enough to confirm a claim, and `limit` keeps it from
    // refuting one.
    for check in checks.iter_mut().filter(|check| ["ceiling", "doubling"].contains(&check.name.as_str())) {
        check.outcome = check.outcome.min(Outcome::Warning);
    }
    checks.push(errors(&records));
    checks.extend(quiet(runs));
    checks.push(optimised());
    checks.extend(null.and_then(|null| ceiling(&results, null)));
    let result = Parts {
        reading,
        subject: setting.subject.to_owned(),
        figures: Figures::Rates,
        floor: None,
        limit: limit(&results, runs, claim.stated.connections.is_some()),
        feasibility: null.and_then(|null| feasibility(null, depth, setting)),
        conditions: conditions("closed", depth, setting, pace.closed_runs, pace.closed_time),
        runs: results,
        checks,
        clock: Some(service_clock(&records)),
        unproven: setting.unproven.clone(),
    };
    result.judge(claim)
}

/// What a rate costs, from what the same request cost the server that does nothing.
pub(super) fn feasibility(null: &Measured, depth: usize, setting: Setting<'_>) -> Option<Feasibility> {
    let record = &null.record;
    let each = |bytes: u64| bytes as f64 / record.completed.max(1) as f64;
    let elsewhere = setting.layout.server.is_empty();
    Some(Feasibility {
        server_cpu: if elsewhere { Duration::ZERO } else { null.server_cpu()? },
        generator_cpu: record.cpu_per_request(),
        cores: setting.layout.cores(),
        traffic: (record.completed > 0).then(|| Traffic {
            request_bytes: each(record.bytes_out),
            response_bytes: each(record.bytes_in),
            depth,
            link_bits: setting.link,
        }),
    })
}

/// The latency of a load at which every connection waits for its answer.
pub(super) fn service_clock(records: &[&RunRecord]) -> Clock {
    let histograms: Vec<_> = records.iter().map(|record| &*record.response).collect();
    Clock::over("service", "from the submission to the answer", &histograms)
}

/// The result for a layer that was not measured.
pub(super) fn absent(reading: Reading, why: &str) -> LayerResult {
    LayerResult {
        reading,
        subject: "nothing".to_owned(),
        judgement: Judgement::new(Verdict::Inconclusive, format!("Not measured: {why}.")),
        rate: None,
        figure: None,
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
pub(super) fn latency(rate: f64, share: f64, runs: &[Measured], setting: Setting<'_>) -> Latency {
    let (layout, pace) = (setting.layout, setting.pace);
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
        conditions: conditions(&model, 1, setting, pace.open_runs, pace.open_time),
        clocks: vec![
            clock("response", "from the intended start to the answer", |record| Some(&record.response)),
            clock("service", "from the submission to the answer", |record| Some(&record.service)),
            clock("lateness", "from the intended start to the submission", |record| record.lateness.as_ref()),
        ],
        checks,
        runs: runs.iter().map(|run| run.result(layout.server.len())).collect(),
    }
}

/// What is judged of the runs.
pub(super) enum Figures {
    /// Their rates.
    Rates,
    /// A value of each in the claim's base unit; none where the data do not bear it.
    Values(Vec<f64>),
    /// The requests that failed, and all of them.
    Shares { failed: Vec<u64>, total: Vec<u64> },
}

/// A layer's result before it is judged.
pub(super) struct Parts {
    pub(super) reading: Reading,
    pub(super) subject: String,
    pub(super) figures: Figures,
    pub(super) floor: Option<f64>,
    pub(super) limit: Limit,
    pub(super) feasibility: Option<Feasibility>,
    pub(super) conditions: Vec<Condition>,
    pub(super) runs: Vec<RunResult>,
    pub(super) checks: Vec<Check>,
    pub(super) clock: Option<Clock>,
    pub(super) unproven: Unproven,
}

impl Parts {
    pub(super) fn judge(mut self, claim: &Claim) -> LayerResult {
        let rates: Vec<f64> = self.runs.iter().map(|run| run.rate).collect();
        let rate = Interval::of_runs(&rates, LEVEL).ok();
        let (figure, holds) = figure(claim, &self.figures, rate);
        let values = match &self.figures {
            Figures::Rates => rates,
            Figures::Values(values) => values.clone(),
            Figures::Shares { failed, total } => failed
                .iter()
                .zip(total)
                .map(|(failed, total)| *failed as f64 / (*total).max(1) as f64)
                .collect(),
        };
        if claim.quantity != Quantity::Rate {
            self.runs.iter_mut().zip(&values).for_each(|(run, value)| run.figure = Some(*value));
        }
        let failed = self.checks.iter().filter(|check| check.outcome == Outcome::Failed);
        let evidence = Evidence {
            reading: self.reading,
            figure,
            // A share of zero has no logarithm, and its spread is in the interval already.
            runs: if matches!(self.figures, Figures::Shares { .. }) { Vec::new() } else { values },
            holds,
            failed_guards: failed.map(|check| format!("{}: {}", check.name, check.detail)).collect(),
            limit: self.limit,
            feasibility: self.feasibility,
            floor: self.floor,
            unproven: self.unproven,
        };
        let (curves, merged) =
            self.clock.map_or((Vec::new(), None), |clock| (clock.runs, Some(clock.merged)));
        LayerResult {
            reading: self.reading,
            subject: self.subject,
            judgement: judge::layer(claim, &evidence),
            rate,
            figure,
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

/// The value that is judged, with its interval, and the probability that it keeps the claim.
fn figure(claim: &Claim, figures: &Figures, rate: Option<Interval>) -> (Option<Interval>, Option<f64>) {
    let bar = claim.threshold();
    let with = |interval: Option<Interval>| {
        let above = interval.and_then(|interval| interval.probability_at_least(bar));
        (interval, if claim.quantity.is_at_least() { above } else { above.map(|above| 1.0 - above) })
    };
    match figures {
        Figures::Rates => with(rate),
        Figures::Values(values) => with(Interval::of_runs(values, LEVEL).ok()),
        Figures::Shares { failed, total } => {
            let share = Share::of(failed, total, LEVEL);
            (share.map(|share| share.interval), share.map(|share| share.probability_at_most(bar)))
        }
    }
}

pub(super) fn conditions(
    model: &str,
    depth: usize,
    setting: Setting<'_>,
    runs: usize,
    length: Duration,
) -> Vec<Condition> {
    let layout = setting.layout;
    let elsewhere = layout.server.is_empty();
    let cores = if elsewhere { "not of this machine".to_owned() } else { layout.server_list() };
    let tls = if setting.secure { " over TLS" } else { "" };
    let way = if elsewhere { "network" } else { "loopback" };
    vec![
        Condition::new("loop", model),
        Condition::new("connections", setting.connections.to_string()),
        Condition::new("depth", depth.to_string()),
        Condition::new("protocol", format!("HTTP/1.1{tls}, keep-alive, {way}")),
        Condition::new("request", format!("GET {}", setting.path)),
        Condition::new("server cores", cores),
        Condition::new("generator cores", layout.generator_list()),
        Condition::new("warm-up", time(setting.pace.warmup)),
        Condition::new("runs", format!("{runs} x {}", time(length))),
    ]
}
