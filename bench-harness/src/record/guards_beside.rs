//! The checks that rest on what was watched and measured beside the run.

use std::time::Duration;

use super::{Guard, GuardOutcome, RunRecord};
use crate::quantity::{seconds, time};

/// The null responder must be this much faster than the server for the generator to be out of the question.
const CEILING_CLEAR: f64 = 1.5;
/// Below this the rate is as much the generator's as the server's.
const CEILING_REACHED: f64 = 1.1;
/// A change of the rate with the generator's cores that is no change.
const FLAT: f64 = 0.02;
/// A change that shows the generator to be the limit.
const STEEP: f64 = 0.10;
/// How far the 99th percentile of one generator core may be from that of all.
const WORKER_TOLERANCE: f64 = 0.10;
/// Responses of a generator core below which its percentile says nothing.
const WORKER_SAMPLES: u64 = 1000;
/// Lost CPUs per second of one thread that are nothing special.
const PREEMPTIONS_PER_SECOND: f64 = 50.0;

impl RunRecord {
    pub(super) fn guards_beside(&self) -> Vec<Guard> {
        vec![
            self.ceiling(),
            self.doubling(),
            self.canary(),
            self.hiccups(),
            self.preempted(),
            self.throttling(),
            self.network(),
            self.workers_agree(),
        ]
    }

    fn ceiling(&self) -> Guard {
        let name = "ceiling";
        let Some(ceiling) = self.probes.ceiling else {
            return not_measured(name, "the null responder's rate");
        };
        let offered = self.conditions.loop_model.rate().unwrap_or(0.0);
        let ratio = ceiling / self.rate().max(offered).max(f64::MIN_POSITIVE);
        let server_limited = self.probes.doubling.is_some_and(|other| self.change(other.rate).abs() < FLAT);
        let (outcome, note) = match ratio {
            r if r >= CEILING_CLEAR => (GuardOutcome::Passed, ""),
            r if r >= CEILING_REACHED || server_limited => {
                (GuardOutcome::Warning, ": weak proof that the server was the limit")
            }
            _ if offered == 0.0 && self.busiest() < 0.85 => {
                (GuardOutcome::Warning, ": the server is about as cheap as one that does nothing")
            }
            _ => (GuardOutcome::Failed, ": this is the rate of the generator, and not of the server"),
        };
        let detail = format!("the null responder takes {ceiling:.0} requests/s, x{ratio:.2} of this{note}");
        Guard { name, outcome, detail }
    }

    fn change(&self, rate: f64) -> f64 {
        rate / self.rate().max(f64::MIN_POSITIVE) - 1.0
    }

    fn doubling(&self) -> Guard {
        let name = "doubling";
        let Some(other) = self.probes.doubling else {
            return not_measured(name, "the rate with another number of generator cores");
        };
        let (change, more) = (self.change(other.rate), other.cores > self.conditions.threads);
        let (outcome, note) = match (change, more) {
            (c, _) if c.abs() < FLAT => (GuardOutcome::Passed, ": the server is the limit"),
            (c, true) if c > STEEP => (GuardOutcome::Failed, ": the generator is the limit"),
            (c, false) if c > -FLAT => (GuardOutcome::Passed, ": the server is the limit"),
            _ => (GuardOutcome::Warning, ""),
        };
        let detail = format!(
            "with {} generator core(s) the rate changes by {:+.1} %{note}",
            other.cores,
            change * 100.0
        );
        Guard { name, outcome, detail }
    }

    fn canary(&self) -> Guard {
        let name = "canary";
        let Some(canary) = self.probes.canary.as_ref().filter(|canary| !canary.is_empty()) else {
            return not_measured(name, "a connection with a thread of its own");
        };
        let (alone, bulk) = (canary.quantile(0.5), self.service.quantile(0.5));
        let excess = bulk.saturating_sub(alone);
        let outcome = match bulk.as_secs_f64() / alone.as_secs_f64().max(1e-9) {
            ratio if ratio > 5.0 && excess > Duration::from_millis(1) => GuardOutcome::Failed,
            ratio if ratio > 1.5 && excess > Duration::from_micros(200) => GuardOutcome::Warning,
            _ => GuardOutcome::Passed,
        };
        let note = match outcome {
            GuardOutcome::Failed => ": the rest waited in the generator, or behind one another",
            GuardOutcome::Warning => ": part of the latency is the load's own queue",
            GuardOutcome::Passed | GuardOutcome::NotMeasured => "",
        };
        let detail = format!(
            "one connection apart saw p50 {}, the load {} ({} requests){note}",
            time(alone),
            time(bulk),
            canary.len()
        );
        Guard { name, outcome, detail }
    }

    fn hiccups(&self) -> Guard {
        let name = "hiccups";
        let Some(platform) = &self.platform else { return not_measured(name, "the machine's own pauses") };
        let (tail, seen) = (platform.hiccups.quantile(0.999), self.response.quantile(0.999));
        let (outcome, note) = if !self.response.is_empty() && self.bears(0.999) && tail * 2 > seen {
            (GuardOutcome::Warning, ": the tail may be the machine's")
        } else {
            (GuardOutcome::Passed, "")
        };
        let longest = Duration::from_nanos(platform.hiccups.max());
        let detail = format!(
            "sleeps of 1 ms were too long by p50 {}, p99.9 {}, max {}{note}",
            time(platform.hiccups.quantile(0.5)),
            time(tail),
            time(longest)
        );
        Guard { name, outcome, detail }
    }

    fn preempted(&self) -> Guard {
        let name = "preemption";
        let Some(count) = self.preemptions else { return not_measured(name, "involuntary context switches") };
        let threads = self.conditions.threads.max(1) as f64;
        let rate = count as f64 / threads / self.elapsed.as_secs_f64().max(1e-9);
        let outcome =
            if rate > PREEMPTIONS_PER_SECOND { GuardOutcome::Warning } else { GuardOutcome::Passed };
        let detail = format!("the generator lost its CPU {count} times, {rate:.1} per second and thread");
        Guard { name, outcome, detail }
    }

    fn throttling(&self) -> Guard {
        let name = "throttling";
        let kernel = self.platform.as_ref().map(|platform| platform.kernel).unwrap_or_default();
        let Some((periods, stopped)) = kernel.throttled_periods.zip(kernel.throttled) else {
            return Guard {
                name,
                outcome: GuardOutcome::Passed,
                detail: "no control group to limit the CPU".to_owned(),
            };
        };
        let outcome = match stopped {
            _ if periods == 0 => GuardOutcome::Passed,
            _ if stopped > self.elapsed.mul_f64(0.01) => GuardOutcome::Failed,
            _ => GuardOutcome::Warning,
        };
        let detail = format!("the control group was stopped {periods} times for {}", time(stopped));
        Guard { name, outcome, detail }
    }

    fn network(&self) -> Guard {
        let name = "network";
        let kernel = self.platform.as_ref().map(|platform| platform.kernel).unwrap_or_default();
        let Some((overflows, resent)) = kernel.listen_overflows.zip(kernel.retransmits) else {
            return not_measured(name, "listen overflows and retransmitted segments");
        };
        let often = resent as f64 > 0.001 * self.sent as f64;
        let outcome = if overflows > 0 || often { GuardOutcome::Warning } else { GuardOutcome::Passed };
        let note = match (overflows, often) {
            (0, false) => "",
            (0, true) => ": each costs its request 200 ms or more",
            _ => ": connections waited a second for their second SYN",
        };
        let detail =
            format!("{overflows} listen overflows, {resent} segments sent again on this machine{note}");
        Guard { name, outcome, detail }
    }

    fn workers_agree(&self) -> Guard {
        let name = "workers";
        let all = self.response.quantile(0.99).as_secs_f64();
        let counted: Vec<(usize, f64)> = self
            .workers
            .iter()
            .enumerate()
            .filter(|(_, worker)| worker.len() >= WORKER_SAMPLES)
            .map(|(core, worker)| (core, worker.quantile(0.99).as_secs_f64()))
            .collect();
        if counted.len() < 2 || all <= 0.0 {
            let detail = "one generator core has nothing to differ from".to_owned();
            return Guard { name, outcome: GuardOutcome::Passed, detail };
        }
        let off = |p99: f64| (p99 / all).ln().abs();
        let strays: Vec<String> = counted
            .iter()
            .filter(|(_, p99)| off(*p99) > WORKER_TOLERANCE)
            .map(|(core, p99)| format!("core {core} p99 {}", seconds(*p99)))
            .collect();
        match strays.is_empty() {
            true => Guard {
                name,
                outcome: GuardOutcome::Passed,
                detail: format!("the p99 of {} generator cores agree within 10 %", counted.len()),
            },
            false => Guard {
                name,
                outcome: GuardOutcome::Warning,
                detail: format!("{}, all together {}", strays.join(", "), seconds(all)),
            },
        }
    }

    /// Whether no time escaped an open loop: the clocks of the requests against their number in flight.
    pub(super) fn open_closure(&self) -> Guard {
        let at_edges = self.in_flight_at_start.max(self.in_flight_at_end) as f64;
        let tolerance = 0.03_f64.max(2.0 * at_edges / self.completed.max(1) as f64);
        // What a stall leaves in flight at an edge of the window counts on one side only.
        let edge = self.censored.max() as f64 / 1e9 > 0.03 * self.elapsed.as_secs_f64();
        let off = (self.little_closure - 1.0).abs();
        let outcome = match () {
            () if self.completed == 0 || off <= tolerance => GuardOutcome::Passed,
            () if edge => GuardOutcome::Warning,
            () => GuardOutcome::Failed,
        };
        let detail = format!(
            "Little's law: rate x mean service time / mean in flight = {:.3}, allowed 1 ± {tolerance:.3}",
            self.little_closure
        );
        Guard { name: "closure", outcome, detail }
    }
}

fn not_measured(name: &'static str, what: &str) -> Guard {
    Guard { name, outcome: GuardOutcome::NotMeasured, detail: what.to_owned() }
}
