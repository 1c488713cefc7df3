//! The checks that a run must pass before its numbers mean anything.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ErrorClass, LoopModel, REPORTED_QUANTILES, RunRecord};
use crate::quantity::time;

/// Above this the generator may have been the bottleneck.
const BUSY_LIMIT: f64 = 0.85;
/// Above this part of the time without the CPU that it was ready to use, the generator colours the latencies.
const WAIT_LIMIT: f64 = 0.05;
/// A pause of the generator longer than this belongs to no server.
const PAUSE_LIMIT: Duration = Duration::from_millis(100);
/// A pause longer than this colours the tail.
const PAUSE_NOTICE: Duration = Duration::from_millis(10);
/// A silence at the end of the window that is longer than this, where nobody takes connections, is a server that has gone.
const GONE: Duration = Duration::from_millis(900);
/// How far λ·W/c may be from 1.
const CLOSURE_TOLERANCE: f64 = 0.03;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardOutcome {
    /// Nothing speaks against the numbers.
    Passed,
    /// The numbers hold with the caveat in the detail.
    Warning,
    /// The numbers prove nothing: the run is invalid.
    Failed,
    /// The check was not made, and nothing follows.
    NotMeasured,
}

/// One check of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// A short name, stable for programs.
    pub name: &'static str,
    /// What it came to.
    pub outcome: GuardOutcome,
    /// What was found, in one phrase.
    pub detail: String,
}

impl RunRecord {
    /// All checks that apply to this run, passed or not.
    pub fn guards(&self) -> Vec<Guard> {
        let mut guards = vec![self.responses(), self.oversubscription(), self.interference(), self.pauses()];
        guards.extend(self.local_ports());
        match self.conditions.loop_model {
            LoopModel::Closed => guards.extend([self.closure(), self.saturation()]),
            LoopModel::Open { .. } | LoopModel::PartlyOpen { .. } => {
                guards.extend([self.open_closure(), self.saturation(), self.punctuality(), self.overload()]);
            }
        }
        guards.extend(self.warm_up());
        guards.extend(self.steadiness());
        guards.extend(self.guards_beside());
        guards
    }

    /// Whether no check failed.
    pub fn is_valid(&self) -> bool {
        self.failed_guards().is_empty()
    }

    /// The checks that failed, by name.
    pub fn failed_guards(&self) -> Vec<&'static str> {
        let failed = self.guards().into_iter().filter(|guard| guard.outcome == GuardOutcome::Failed);
        failed.map(|guard| guard.name).collect()
    }

    fn responses(&self) -> Guard {
        let errors = self.errors.total();
        if let Some(silence) = self.gone() {
            let detail = format!(
                "the server has gone: the last {} of the window had no valid response, and no connection could be opened \
                 ({} valid responses, {errors} errors)",
                time(silence),
                self.completed
            );
            return Guard { name: "responses", outcome: GuardOutcome::Failed, detail };
        }
        let outcome = match (self.completed, errors) {
            (0, _) => GuardOutcome::Failed,
            (_, 0) => GuardOutcome::Passed,
            _ => GuardOutcome::Warning,
        };
        let detail = if self.completed == 0 {
            format!(
                "no valid response, {errors} errors, {} requests without an answer",
                self.in_flight_at_end
            )
        } else {
            format!("{} valid responses, {errors} errors", self.completed)
        };
        Guard { name: "responses", outcome, detail }
    }

    /// How long the end of the window had no valid response, where the server has gone: nothing is in flight, and
    /// connections could not be opened.
    ///
    /// A silence of at most twice the longest one before it is how this load goes.
    fn gone(&self) -> Option<Duration> {
        let refused = self.errors.count(ErrorClass::Connect) > 0 && self.in_flight_at_end == 0;
        let (mut longest, mut silence) = (Duration::ZERO, Duration::ZERO);
        for second in &self.intervals {
            silence += second.length;
            if second.completed > 0 {
                longest = longest.max(silence - second.length);
                silence = Duration::ZERO;
            }
        }
        (refused && self.completed > 0 && silence > GONE.max(2 * longest)).then_some(silence)
    }

    /// A run that waits for ports of its own machine measures how fast they come back.
    fn local_ports(&self) -> Option<Guard> {
        let failed = self.errors.count(ErrorClass::LocalPorts);
        let detail = format!(
            "{failed} connections found no local port, and their load was not made: keep connections for longer, widen \
             net.ipv4.ip_local_port_range, or connect from several addresses with --bind"
        );
        (failed > 0).then_some(Guard { name: "local ports", outcome: GuardOutcome::Failed, detail })
    }

    fn oversubscription(&self) -> Guard {
        let cpus: BTreeSet<usize> = self.conditions.generator_cpus.iter().copied().collect();
        let threads = self.conditions.threads;
        let outcome = if threads > cpus.len() { GuardOutcome::Failed } else { GuardOutcome::Passed };
        let detail = format!("{threads} generator thread(s) on {} CPU(s)", cpus.len());
        Guard { name: "oversubscription", outcome, detail }
    }

    fn interference(&self) -> Guard {
        let waited = self.waited.iter().copied().fold(0.0, f64::max);
        let (outcome, note) = if waited > WAIT_LIMIT {
            (GuardOutcome::Warning, ": something else ran on it, and the latencies include the wait")
        } else {
            (GuardOutcome::Passed, "")
        };
        let detail = format!("the generator waited for its CPU {:.1} % of the time{note}", waited * 100.0);
        Guard { name: "interference", outcome, detail }
    }

    fn pauses(&self) -> Guard {
        let longest = self.longest_pause;
        // In a long run one pause is a small part of what was measured, and a warning will do.
        let outcome = match longest {
            _ if longest > PAUSE_LIMIT.max(self.elapsed.mul_f64(0.02)) => GuardOutcome::Failed,
            _ if longest > PAUSE_NOTICE => GuardOutcome::Warning,
            _ => GuardOutcome::Passed,
        };
        let detail = format!("the generator's longest pause was {}", time(longest));
        Guard { name: "pauses", outcome, detail }
    }

    fn closure(&self) -> Guard {
        let slots = (self.conditions.connections * self.conditions.pipeline) as f64;
        // A request counts where it ends, so a window that holds few requests per slot is off by up to one.
        let granularity = slots / self.completed.max(1) as f64;
        let tolerance = CLOSURE_TOLERANCE.max(granularity);
        let off = (self.little_closure - 1.0).abs();
        let outcome =
            if self.completed > 0 && off > tolerance { GuardOutcome::Failed } else { GuardOutcome::Passed };
        let detail = format!(
            "Little's law: rate x mean latency / slots = {:.3}, allowed 1 ± {tolerance:.3}",
            self.little_closure
        );
        Guard { name: "closure", outcome, detail }
    }

    fn saturation(&self) -> Guard {
        let busiest = self.busiest();
        let (outcome, detail) = if busiest > BUSY_LIMIT {
            let detail = format!(
                "the generator was {:.0} % busy, so the rate may be its limit and not the server's",
                busiest * 100.0
            );
            (GuardOutcome::Warning, detail)
        } else {
            (GuardOutcome::Passed, format!("the generator was {:.0} % busy", busiest * 100.0))
        };
        Guard { name: "saturation", outcome, detail }
    }

    fn punctuality(&self) -> Guard {
        let Some(late) = &self.generator_lateness else {
            return Guard {
                name: "punctuality",
                outcome: GuardOutcome::Passed,
                detail: "no request was due".to_owned(),
            };
        };
        let (late_p99, late_tail) = (late.quantile(0.99), late.quantile(0.999));
        // Of few requests one that was late is the p99, and of a time that they do not bear nothing is claimed.
        let borne = REPORTED_QUANTILES.into_iter().rev().find(|&(q, _)| q <= 0.99 && self.bears(q));
        let (q, name) = borne.unwrap_or(REPORTED_QUANTILES[0]);
        let late_borne = late.quantile(q);
        let dominated = late_borne > Duration::from_millis(1) && late_borne * 2 > self.quantile(q);
        let coloured = late_p99 * 20 > self.quantile(0.5) || late_tail * 10 > self.quantile(0.999);
        let (outcome, note) = match (dominated, coloured) {
            (true, _) => (GuardOutcome::Failed, ": the latency is mostly the generator's own"),
            (_, true) => {
                (GuardOutcome::Warning, ": compare it with the percentiles before trusting their tail")
            }
            _ => (GuardOutcome::Passed, ""),
        };
        let detail =
            format!("generator late by {name} {}, p99.9 {}{note}", time(late_borne), time(late_tail));
        Guard { name: "punctuality", outcome, detail }
    }

    fn overload(&self) -> Guard {
        let due = self.due() as f64;
        let rate = self.conditions.loop_model.rate().unwrap_or(0.0);
        let growing = self.intervals.windows(2).filter(|pair| pair[1].backlog > pair[0].backlog).count();
        let overloaded = self.queued_at_end as f64 > 0.005 * due && growing * 2 >= self.intervals.len();
        let (outcome, detail) = if overloaded {
            let detail = format!(
                "{} requests were due and unsent at the end: {:.0}/s of {rate:.0}/s were sustained, and the \
                 percentiles grow with the length of the run",
                self.queued_at_end,
                self.rate()
            );
            (GuardOutcome::Warning, detail)
        } else {
            (GuardOutcome::Passed, format!("{} requests due and unsent at the end", self.queued_at_end))
        };
        Guard { name: "overload", outcome, detail }
    }
}
