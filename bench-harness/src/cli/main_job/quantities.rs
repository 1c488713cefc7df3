//! Claims of other quantities than a rate: latency, errors, memory.

use super::checks::{errors, guards, optimised, quiet};
use super::http::Measured;
use super::results::{Figures, Parts, Setting, conditions, service_clock};
use crate::experiment::Memory;
use crate::experiment::memory::SHARED_OFTEN;
use crate::record::RunRecord;
use crate::report::model::RunResult;
use crate::report::quantity::{grouped, percentile};
use crate::report::{Check, Clock, Condition, LayerResult, Outcome};
use crate::stats::{Interval, LEVEL};
use crate::verdict::judge::Unproven;
use crate::verdict::quantity::bytes;
use crate::verdict::{Claim, Limit, Reading};

/// From this share of failed requests on, Little's law cannot close: their time is in no latency.
const UNCLOSED: f64 = 0.01;

/// Runs at one rate and depth on the server that is judged, and one on the server that does nothing.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Pipelining depth.
    pub(super) depth: usize,
    /// Requests per second of the open loop, and how it was chosen; `None` in a closed loop.
    pub(super) rate: Option<(f64, String)>,
    /// The runs.
    pub(super) runs: Vec<Measured>,
    /// The same load on the null responder.
    pub(super) null: Measured,
}

impl Loaded {
    fn model(&self) -> String {
        match &self.rate {
            Some((rate, how)) => format!("open, {}/s at constant intervals ({how})", grouped(*rate)),
            None => "closed".to_owned(),
        }
    }

    fn records(&self) -> Vec<&RunRecord> {
        self.runs.iter().map(|run| &run.record).collect()
    }

    fn results(&self, setting: Setting<'_>) -> Vec<RunResult> {
        self.runs.iter().map(|run| run.result(setting.layout.server.len())).collect()
    }

    fn conditions(&self, setting: Setting<'_>) -> Vec<Condition> {
        let pace = setting.pace;
        let (runs, length) = match self.rate {
            Some(_) => (self.runs.len(), pace.open_time),
            None => (self.runs.len(), pace.closed_time),
        };
        conditions(&self.model(), self.depth, setting, runs, length)
    }

    /// The result that these runs make, whatever is claimed of them.
    fn parts(&self, reading: Reading, seen: Seen, setting: Setting<'_>) -> Parts {
        Parts {
            reading,
            subject: setting.subject.to_owned(),
            figures: seen.figures,
            floor: seen.floor,
            limit: seen.limit,
            feasibility: None,
            conditions: self.conditions(setting),
            runs: self.results(setting),
            checks: seen.checks,
            clock: Some(seen.clock),
            unproven: seen.unproven,
        }
    }
}

/// What of some runs depends on the quantity.
struct Seen {
    figures: Figures,
    floor: Option<f64>,
    limit: Limit,
    checks: Vec<Check>,
    clock: Clock,
    unproven: Unproven,
}

/// The result of a claim about a quantile of the response time.
pub(super) fn latency(claim: &Claim, reading: Reading, load: &Loaded, setting: Setting<'_>) -> LayerResult {
    let q = reading.quantile.unwrap_or(0.99);
    let records = load.records();
    // Requests that were given up, and those that wait still, count with the time that they had waited.
    let of = |record: &RunRecord| record.quantile_bounds(q).0.as_secs_f64();
    let at_most = |record: &&RunRecord| record.quantile_bounds(q).1.map(|bound| bound.as_secs_f64());
    let borne = records.iter().all(|record| record.bears(q));
    let values = if borne { records.iter().map(|record| of(record)).collect() } else { Vec::new() };
    let floor = load.null.record.bears(q).then(|| of(&load.null.record));
    let mut checks = guards(&records);
    checks.push(errors(&records));
    checks.extend(quiet(&load.runs));
    checks.push(optimised());
    checks.push(bearing(q, borne));
    checks.push(floor_check(claim, floor, &percentile(q)));
    let histograms: Vec<_> = records.iter().map(|record| &*record.response).collect();
    let mut unproven = setting.unproven.clone();
    unproven.good.extend(unanswered(claim, records.iter().map(at_most).collect()).filter(|_| borne));
    unproven.good.extend(overloaded(&checks));
    let seen = Seen {
        figures: Figures::Values(values),
        floor,
        limit: limit(claim, floor),
        checks,
        clock: Clock::over("response", "from the intended start to the answer", &histograms),
        unproven,
    };
    load.parts(reading, seen, setting).judge(claim)
}

/// Says so where the claim is missed once requests without an answer count as endless.
fn unanswered(claim: &Claim, bounds: Option<Vec<f64>>) -> Option<String> {
    let most = bounds.map(|bounds| Interval::of_runs(&bounds, LEVEL).ok());
    let kept = match most {
        Some(Some(interval)) => interval.upper <= claim.threshold(),
        // Too few runs: nothing is judged.
        Some(None) => true,
        None => false,
    };
    let words = "Requests that have had no answer lie beyond the quantile, and if they count as endless it is missed.";
    (!kept).then(|| words.to_owned())
}

/// The quantiles of a server that does not keep up grow with the length of the run, so a good one is one of a short run.
fn overloaded(checks: &[Check]) -> Option<String> {
    let overload =
        checks.iter().find(|check| check.name == "overload" && check.outcome != Outcome::Passed)?;
    Some(format!(
        "The server did not keep up, and its latency grows with the length of the run: {}.",
        overload.detail
    ))
}

fn bearing(q: f64, borne: bool) -> Check {
    let (outcome, detail) = match borne {
        true => (Outcome::Passed, "ten requests or more lie above it in each run"),
        false => (Outcome::Warning, "fewer than ten requests lie above it in a run: make the runs longer"),
    };
    Check { name: format!("data for {}", percentile(q)), outcome, detail: detail.to_owned() }
}

/// The server is the limit where one that does nothing keeps the claim under the same load.
fn limit(claim: &Claim, floor: Option<f64>) -> Limit {
    match floor {
        Some(floor) if floor <= claim.threshold() => Limit::Subject,
        _ => Limit::Unknown,
    }
}

fn floor_check(claim: &Claim, floor: Option<f64>, what: &str) -> Check {
    let (outcome, detail) = match floor {
        Some(floor) if floor <= claim.threshold() => (
            Outcome::Passed,
            format!("a server that does nothing shows {what} {} under this load", claim.quantity.show(floor)),
        ),
        Some(floor) => (
            Outcome::Warning,
            format!("even a server that does nothing shows {what} {}", claim.quantity.show(floor)),
        ),
        None => (Outcome::Warning, "a server that does nothing was not measured long enough".to_owned()),
    };
    Check { name: "floor".to_owned(), outcome, detail }
}

/// The result of a claim about the share of requests without a valid answer.
pub(super) fn failures(claim: &Claim, reading: Reading, load: &Loaded, setting: Setting<'_>) -> LayerResult {
    let records = load.records();
    let failed = |record: &RunRecord| record.errors.total();
    let total = |record: &RunRecord| record.completed + record.errors.total();
    let null = &load.null.record;
    let floor = (total(null) > 0).then(|| failed(null) as f64 / total(null) as f64);
    let any = records.iter().any(|record| failed(record) > 0);
    let many = records.iter().any(|record| failed(record) as f64 > UNCLOSED * total(record) as f64);
    let mut checks = guards(&records);
    // These fail for want of answers, which is what is measured here.
    checks.retain(|check| !(any && check.name == "responses" || many && check.name == "closure"));
    checks.extend(quiet(&load.runs));
    checks.push(floor_check(claim, floor, "errors of"));
    let first = records.iter().find_map(|record| record.errors.first.clone());
    checks.extend(first.map(|first| Check {
        name: "first error".to_owned(),
        outcome: Outcome::Warning,
        detail: first,
    }));
    let seen = Seen {
        figures: Figures::Shares {
            failed: records.iter().map(|record| failed(record)).collect(),
            total: records.iter().map(|record| total(record)).collect(),
        },
        floor,
        limit: limit(claim, floor),
        checks,
        clock: service_clock(&records),
        unproven: setting.unproven.clone(),
    };
    load.parts(reading, seen, setting).judge(claim)
}

/// The result of a claim about memory with connections open.
pub(super) fn memory(
    claim: &Claim,
    reading: Reading,
    measured: &[Memory],
    restarted: bool,
    setting: Setting<'_>,
) -> LayerResult {
    let mean = |of: fn(&Memory) -> f64| measured.iter().map(of).sum::<f64>() / measured.len().max(1) as f64;
    let runs = measured.iter().map(|_| RunResult::default()).collect();
    let subject = format!(
        "{}: {} before the connections, {} with them, {} after: {} a connection",
        setting.subject,
        bytes(mean(|memory| memory.before as f64)),
        bytes(mean(|memory| memory.with_connections as f64)),
        bytes(mean(|memory| memory.after as f64)),
        bytes(mean(Memory::per_connection)),
    );
    let mut checks = vec![fresh(restarted)];
    let mut unproven = setting.unproven.clone();
    if !measured.iter().all(|memory| memory.shared_pages_once) {
        checks.push(Check {
            name: "shared pages".to_owned(),
            outcome: Outcome::Warning,
            detail: SHARED_OFTEN.to_owned(),
        });
        // An upper bound that keeps the claim confirms it.
        unproven.bad.push(format!("It is an upper bound only: {SHARED_OFTEN}."));
    }
    let parts = Parts {
        reading,
        subject,
        figures: Figures::Values(
            measured.iter().map(|memory| memory.with_connections as f64).collect::<Vec<f64>>(),
        ),
        floor: None,
        limit: Limit::Subject,
        feasibility: None,
        conditions: vec![
            Condition::new("memory", "resident, of the process and its descendants"),
            Condition::new("connections", format!("{}, idle", setting.connections)),
            Condition::new("request", format!("GET {}, one on each connection", setting.path)),
            Condition::new("protocol", "HTTP/1.1, keep-alive, loopback"),
            Condition::new("server cores", setting.layout.server_list()),
            Condition::new("runs", measured.len().to_string()),
        ],
        runs,
        checks,
        clock: None,
        unproven,
    };
    parts.judge(claim)
}

fn fresh(restarted: bool) -> Check {
    let (outcome, detail) = match restarted {
        true => (Outcome::Passed, "a new process for each run"),
        false => (Outcome::Warning, "one process for all runs, which may keep what the first of them took"),
    };
    Check { name: "fresh process".to_owned(), outcome, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::super::pace::Pace;
    use super::*;
    use crate::verdict::Verdict;

    fn claim(text: &str) -> Claim {
        Claim::parse("x.toml", text).unwrap()
    }

    fn latency_claim() -> Claim {
        claim(include_str!("../../../../claims/latency-10ms.toml"))
    }

    #[test]
    fn requests_without_an_answer_keep_a_latency_from_being_proved() {
        let claim = latency_claim();
        assert_eq!(unanswered(&claim, Some(vec![0.004, 0.0041, 0.0039])), None);
        assert_eq!(unanswered(&claim, Some(vec![0.004])), None, "one run is not judged");
        let endless = unanswered(&claim, None).unwrap();
        assert!(endless.starts_with("Requests that have had no answer"), "{endless}");
        assert_eq!(unanswered(&claim, Some(vec![0.004, 0.030, 0.029])), Some(endless));
    }

    #[test]
    fn a_server_that_does_not_keep_up_has_no_latency_to_quote() {
        let check =
            |outcome| Check { name: "overload".to_owned(), outcome, detail: "90/s of 100/s".to_owned() };
        assert_eq!(overloaded(&[check(Outcome::Passed)]), None);
        assert_eq!(overloaded(&[]), None);
        let told = overloaded(&[check(Outcome::Warning)]).unwrap();
        assert!(told.contains("did not keep up") && told.ends_with("90/s of 100/s."), "{told}");
    }

    #[test]
    fn the_floor_decides_whose_limit_a_latency_is() {
        let claim = latency_claim();
        for (floor, limit_of, outcome, words) in [
            (Some(0.001), Limit::Subject, Outcome::Passed, "does nothing shows p99 1.00 ms"),
            (
                Some(0.020),
                Limit::Unknown,
                Outcome::Warning,
                "even a server that does nothing shows p99 20.0 ms",
            ),
            (None, Limit::Unknown, Outcome::Warning, "not measured long enough"),
        ] {
            let check = floor_check(&claim, floor, "p99");
            assert_eq!((limit(&claim, floor), check.outcome), (limit_of, outcome), "{floor:?}");
            assert!(check.detail.contains(words), "{}", check.detail);
        }
        assert_eq!(bearing(0.99, true).outcome, Outcome::Passed);
        let short = bearing(0.99, false);
        assert_eq!((short.name.as_str(), short.outcome), ("data for p99", Outcome::Warning));
    }

    fn judged(megabytes: f64, shared_pages_once: bool) -> LayerResult {
        let claim = claim(include_str!("../../../../claims/memory-200mb.toml"));
        let held = |spread: f64| Memory {
            connections: 10_000,
            before: 1_000_000,
            with_connections: (megabytes * spread * 1e6) as u64,
            after: 1_000_000,
            shared_pages_once,
        };
        let layout = Layout { server: vec![0], generator: vec![1] };
        let unproven = Unproven::default();
        let setting = Setting {
            subject: "a server",
            path: "/",
            layout: &layout,
            connections: 10_000,
            link: None,
            secure: false,
            pace: &Pace::SHORT,
            unproven: &unproven,
        };
        memory(&claim, claim.readings()[0], &[held(0.999), held(1.0), held(1.001)], true, setting)
    }

    #[test]
    fn memory_that_counts_shared_pages_often_confirms_and_does_not_refute() {
        assert_eq!(judged(100.0, true).judgement.verdict, Verdict::Confirmed);
        assert_eq!(judged(400.0, true).judgement.verdict, Verdict::Refuted);
        let bound = judged(100.0, false);
        assert_eq!(bound.judgement.verdict, Verdict::Confirmed);
        assert!(bound.checks.iter().any(|check| check.name == "shared pages"), "{:?}", bound.checks);
        let bound = judged(400.0, false).judgement;
        assert_eq!((bound.verdict, bound.probability), (Verdict::NotReproducibleHere, None));
        assert!(bound.reason.starts_with("It is an upper bound only"), "{}", bound.reason);
    }
}
