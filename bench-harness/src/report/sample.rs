//! A report with invented numbers, for the tests of every form.

use std::sync::OnceLock;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Environment;
use super::model::{Check, Clock, Condition, Latency, LayerResult, Outcome, Report, RunResult, SCHEMA};
use crate::stats::Interval;
use crate::verdict::judge::{self, Evidence, Unproven};
use crate::verdict::{Claim, Feasibility, Limit, Reading};

fn histogram(run: u64, scale: u64) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, crate::record::MAX_NANOS, 3).unwrap();
    let mut state = 88_172_645_463_325_252 + run;
    for _ in 0..60_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
        let tail = -(1.0 - uniform).ln();
        histogram.record(scale * 20 + (scale as f64 * (tail + tail.powi(3) * 0.3) * 9.0) as u64).unwrap();
    }
    histogram
}

fn conditions(depth: usize) -> Vec<Condition> {
    vec![
        Condition::new("loop", "closed"),
        Condition::new("connections", "64"),
        Condition::new("depth", depth.to_string()),
        Condition::new("protocol", "HTTP/1.1"),
        Condition::new("request", "GET /plaintext"),
        Condition::new("server core", "0"),
        Condition::new("generator core", "1"),
        Condition::new("warm-up", "300 ms"),
        Condition::new("runs", "5 x 1.50 s"),
    ]
}

fn check(name: &str, outcome: Outcome, detail: &str) -> Check {
    Check { name: name.into(), outcome, detail: detail.into() }
}

fn layer(claim: &Claim, reading: Reading, rates: &[f64]) -> LayerResult {
    let http = reading.depth;
    let rate = Interval::of_runs(rates, 0.95).ok();
    let feasibility = http.map(|depth| Feasibility {
        server_cpu: Duration::from_nanos(if depth == 1 { 2_800 } else { 202 }),
        generator_cpu: Duration::from_nanos(if depth == 1 { 1_900 } else { 410 }),
        cores: 2,
        traffic: None,
    });
    let evidence = Evidence {
        reading,
        figure: rate,
        runs: rates.to_vec(),
        holds: rate.and_then(|rate| rate.probability_at_least(claim.threshold())),
        failed_guards: Vec::new(),
        limit: Limit::Subject,
        feasibility,
        floor: None,
        unproven: Unproven::default(),
    };
    let histograms: Vec<_> = (0..if http.is_some() { 5 } else { 0 })
        .map(|i| histogram(i, 9_000 * http.unwrap_or(1) as u64 / 2))
        .collect();
    let clock = Clock::over("service", "", &histograms.iter().collect::<Vec<_>>());
    let runs = rates.iter().map(|&rate| RunResult {
        rate,
        figure: None,
        server_cpu_us: Some(0.98e6 / rate),
        generator_cpu_us: http.map(|_| 0.71e6 / rate),
        server_busy: Some(0.98),
        generator_busy: http.map(|_| 0.71),
        closure: http.map(|_| 0.998),
        record: None,
    });
    LayerResult {
        reading,
        subject: if http.is_some() {
            "Covet's reference service, GET /plaintext".into()
        } else {
            "covet-router: 61 routes, 24 paths in turn, each match validated".into()
        },
        judgement: judge::layer(claim, &evidence),
        rate,
        figure: rate,
        limit: evidence.limit,
        feasibility,
        conditions: http.map_or_else(|| vec![Condition::new("runs", "7 x 700 ms on core 1")], conditions),
        runs: runs.collect(),
        checks: vec![
            check("responses", Outcome::Passed, "2,604,551 valid responses, 0 errors"),
            check("closure", Outcome::Passed, "Little's law 0.998"),
            check(
                "ceiling",
                Outcome::Warning,
                "the generator reaches only 1.31 times this rate against a server that does nothing",
            ),
        ],
        curves: clock.runs,
        merged: http.map(|_| clock.merged),
    }
}

/// The report, made once; its environment holds what an attacker would put there.
pub(crate) fn report() -> Report {
    static MADE: OnceLock<Report> = OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> Report {
    let claim = Claim::parse("claims/covetpy.toml", include_str!("../../../claims/covetpy.toml")).unwrap();
    let rates: [&[f64]; 3] = [
        &[30.1e6, 30.4e6, 29.9e6, 30.2e6, 30.0e6, 30.3e6, 30.1e6],
        &[349_100.0, 351_900.0, 350_400.0, 347_800.0, 352_300.0],
        &[3.61e6, 3.66e6, 3.58e6, 3.63e6, 3.60e6],
    ];
    let layers: Vec<LayerResult> = claim
        .readings()
        .into_iter()
        .zip(rates)
        .map(|(reading, rates)| layer(&claim, reading, rates))
        .collect();
    let pairs: Vec<(Evidence, judge::Judgement)> = layers
        .iter()
        .map(|l| {
            let evidence = Evidence {
                reading: l.reading,
                figure: l.rate,
                runs: l.runs.iter().map(|run| run.rate).collect(),
                holds: None,
                failed_guards: Vec::new(),
                limit: l.limit,
                feasibility: l.feasibility,
                floor: None,
                unproven: Unproven::default(),
            };
            (evidence, l.judgement.clone())
        })
        .collect();
    let clocks = [
        ("response", "from the intended start to the answer", 2_000),
        ("service", "from the submission to the answer", 1_600),
        ("lateness", "from the intended start to the submission", 200),
    ]
    .map(|(name, meaning, scale)| {
        let runs: Vec<_> = (0..3).map(|i| histogram(i, scale)).collect();
        Clock::over(name, meaning, &runs.iter().collect::<Vec<_>>())
    });
    let mut rate = conditions(1);
    rate[0] = Condition::new("loop", "open, 175,000/s at constant intervals");
    Report {
        schema: SCHEMA,
        started: "2026-11-23T22:42:05Z".into(),
        elapsed_s: 31.4,
        overall: judge::overall(&claim, &pairs),
        claim,
        layers,
        latency: Some(Latency {
            title: "Latency at 175,000 requests per second".into(),
            conditions: rate,
            clocks: clocks.into(),
            checks: vec![check("punctuality", Outcome::Passed, "generator late by p99 9 µs")],
            runs: vec![RunResult { rate: 175_000.0, ..RunResult::default() }; 3],
        }),
        notes: Vec::new(),
        environment: Environment {
            facts: [
                ("kernel", "6.18.44"),
                ("CPU", "Intel(R) Xeon(R) Processor @ 2.10GHz"),
                ("cores", "0-1 online"),
                ("arguments", "covet-bench --out /tmp/<script>alert(1)</script>"),
            ]
            .into_iter()
            .map(|(name, value)| Condition::new(name, value))
            .collect(),
        },
    }
}
