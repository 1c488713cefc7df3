//! The record as JSON.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{GuardOutcome, Hist, REPORTED_QUANTILES, RunRecord};

/// The name and version of the JSON form; the number changes when a field changes its meaning or goes away.
pub const SCHEMA: &str = "covet-bench.run/1";

impl RunRecord {
    /// Everything in the record as one JSON object: times in seconds, latencies in nanoseconds, histograms also in
    /// the HdrHistogram V2 encoding as base64.
    pub fn to_json(&self) -> Value {
        let guards: Vec<Value> = self
            .guards()
            .into_iter()
            .map(|guard| {
                let outcome = match guard.outcome {
                    GuardOutcome::Passed => "passed",
                    GuardOutcome::Warning => "warning",
                    GuardOutcome::Failed => "failed",
                    GuardOutcome::NotMeasured => "not measured",
                };
                json!({ "name": guard.name, "outcome": outcome, "detail": guard.detail })
            })
            .collect();
        let intervals: Vec<Value> = self
            .intervals
            .iter()
            .map(|interval| {
                json!({
                    "start_s": interval.start.as_secs_f64(),
                    "length_s": interval.length.as_secs_f64(),
                    "completed": interval.completed,
                    "failed": interval.failed,
                    "p50_ns": nanos(interval.p50),
                    "p99_ns": nanos(interval.p99),
                    "backlog": interval.backlog,
                })
            })
            .collect();
        json!({
            "schema": SCHEMA,
            "valid": self.is_valid(),
            "guards": guards,
            "conditions": self.conditions,
            "aborted": self.aborted,
            "warm_up": self.warmed_up.map(|end| json!({
                "took_s": end.took.as_secs_f64(),
                "steady": end.steady,
                "known": end.known,
                "transient_s": end.transient.as_secs_f64(),
            })),
            "elapsed_s": self.elapsed.as_secs_f64(),
            "rate": self.rate(),
            "requests": {
                "in_flight_at_start": self.in_flight_at_start,
                "sent": self.sent,
                "completed": self.completed,
                "failed": self.failed,
                "in_flight_at_end": self.in_flight_at_end,
                "queued_at_start": self.queued_at_start,
                "queued_at_end": self.queued_at_end,
                "max_queued": self.max_queued,
            },
            "bytes": { "in": self.bytes_in, "out": self.bytes_out },
            "status": {
                "1xx": self.status[1], "2xx": self.status[2], "3xx": self.status[3],
                "4xx": self.status[4], "5xx": self.status[5], "other": self.status[0],
            },
            "errors": self.errors,
            "errors_total": self.errors.total(),
            "reconnects": self.reconnects,
            "connections_opened": self.opened,
            "cut_off": self.cut_off,
            "response": hist(&self.response),
            "within_run": self.within_run(),
            "service": hist(&self.service),
            "lateness": self.lateness.as_ref().map(hist),
            "generator_lateness": self.generator_lateness.as_ref().map(hist),
            "first_byte": hist(&self.first_byte),
            "connect": hist(&self.connect),
            "tls": self.tls.as_ref().map(|tls| json!({
                "verified": tls.verified,
                "agreed": tls.agreed,
                "full_handshakes": tls.full(),
                "resumed_handshakes": tls.resumed(),
                "handshake": hist(&tls.times),
            })),
            "censored": hist(&self.censored),
            "workers": self.workers.iter().map(hist).collect::<Vec<_>>(),
            "platform": self.platform.as_ref().map(|platform| json!({
                "hiccups": hist(&platform.hiccups),
                "kernel": platform.kernel,
            })),
            "probes": {
                "ceiling_rate": self.probes.ceiling,
                "doubling": self.probes.doubling,
                "canary": self.probes.canary.as_ref().map(hist),
            },
            "generator": {
                "cpu_s": self.generator_cpu.as_secs_f64(),
                "cpu_us_per_request": self.cpu_per_request().as_secs_f64() * 1e6,
                "busy": self.busy,
                "waited": self.waited,
                "preemptions": self.preemptions,
                "longest_pause_ns": nanos(self.longest_pause),
            },
            "little_closure": self.little_closure,
            "slots_in_use": self.slots_in_use,
            "intervals": intervals,
        })
    }
}

impl RunRecord {
    /// What this run alone says of each quantile of the response time.
    fn within_run(&self) -> Value {
        let of = |q: f64| {
            let interval = self.interval_within(q);
            json!({
                "dispersion": self.dispersion(q),
                "effective_requests": self.effective(q),
                "borne": self.bears_alone(q),
                "lower_ns": interval.map(|interval| nanos(interval.0)),
                "upper_ns": interval.map(|interval| nanos(interval.1)),
            })
        };
        REPORTED_QUANTILES.iter().map(|(q, name)| ((*name).to_owned(), of(*q))).collect::<Map<_, _>>().into()
    }
}

fn hist(hist: &Hist) -> Value {
    let count = hist.len();
    let mut quantiles = Map::new();
    for (q, name) in REPORTED_QUANTILES {
        if count as f64 * (1.0 - q) >= 10.0 - 1e-6 {
            quantiles.insert(name.to_owned(), json!(nanos(hist.quantile(q))));
        }
    }
    json!({
        "count": count,
        "overflow": hist.overflow(),
        "min_ns": if count == 0 { 0 } else { hist.min() },
        "mean_ns": hist.mean(),
        "max_ns": hist.max(),
        "quantiles_ns": quantiles,
        "hdr_v2_base64": STANDARD.encode(hist.to_v2()),
    })
}

fn nanos(value: Duration) -> u64 {
    u64::try_from(value.as_nanos()).unwrap_or(u64::MAX)
}
