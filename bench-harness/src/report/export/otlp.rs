//! OTLP as JSON, the body of a POST to a collector's `/v1/metrics`.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Exported, SERIES, bounds, max_queued, outcomes};
use crate::bundle::RunDocument;

/// The aggregation temporality of a run: it begins at zero.
const DELTA: u8 = 1;

/// The runs as an ExportMetricsServiceRequest, with 64-bit numbers as text as the mapping wants it. `end` is the time
/// that all points bear.
///
/// Source: opentelemetry-proto 1, `metrics.proto`; protobuf's JSON mapping.
pub fn otlp(exported: &Exported<'_>, end: SystemTime) -> Value {
    let nanos = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
    };
    let runs: Vec<(usize, &RunDocument)> =
        exported.bundle.runs.iter().enumerate().map(|(index, run)| (index + 1, run)).collect();
    let times = |run: &RunDocument| {
        let length = Duration::try_from_secs_f64(run.elapsed_s.unwrap_or(0.0)).unwrap_or_default();
        (nanos(end.checked_sub(length).unwrap_or(end)), nanos(end))
    };
    let mut metrics = vec![
        gauge("covet_bench.rate", "{response}/s", &runs, |run| run.rate, &times),
        gauge("covet_bench.valid", "1", &runs, |run| Some(f64::from(u8::from(run.valid))), &times),
        gauge("covet_bench.max_queued", "{request}", &runs, max_queued, &times),
    ];
    let requests: Vec<Value> = runs
        .iter()
        .flat_map(|(number, run)| {
            outcomes(run).map(|(outcome, count)| {
                let (start, end) = times(run);
                json!({
                    "attributes": [attribute("run", &number.to_string()), attribute("outcome", outcome)],
                    "startTimeUnixNano": start, "timeUnixNano": end, "asInt": count.to_string(),
                })
            })
        })
        .collect();
    metrics.push(json!({
        "name": "covet_bench.requests", "unit": "{request}",
        "sum": { "aggregationTemporality": DELTA, "isMonotonic": true, "dataPoints": requests },
    }));
    for (series, help) in SERIES {
        let points: Vec<Value> =
            runs.iter().filter_map(|(number, run)| histogram(*number, run, series, times(run))).collect();
        if !points.is_empty() {
            metrics.push(json!({
                "name": format!("covet_bench.{series}"), "description": help, "unit": "s",
                "histogram": { "aggregationTemporality": DELTA, "dataPoints": points },
            }));
        }
    }
    let url = exported.bundle.manifest.conditions.get("url").and_then(Value::as_str).unwrap_or("");
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [
            attribute("service.name", "covet-bench"),
            attribute("covet_bench.bundle", &exported.name),
            attribute("url.full", url),
        ] },
        "scopeMetrics": [{
            "scope": { "name": "covet-bench", "version": exported.bundle.manifest.version },
            "metrics": metrics,
        }],
    }] })
}

fn gauge(
    name: &str,
    unit: &str,
    runs: &[(usize, &RunDocument)],
    value: fn(&RunDocument) -> Option<f64>,
    times: &dyn Fn(&RunDocument) -> (String, String),
) -> Value {
    let points: Vec<Value> = runs
        .iter()
        .filter_map(|(number, run)| {
            let (start, end) = times(run);
            Some(json!({
                "attributes": [attribute("run", &number.to_string())],
                "startTimeUnixNano": start, "timeUnixNano": end, "asDouble": value(run)?,
            }))
        })
        .collect();
    json!({ "name": name, "unit": unit, "gauge": { "dataPoints": points } })
}

fn histogram(
    number: usize,
    run: &RunDocument,
    series: &str,
    (start, end): (String, String),
) -> Option<Value> {
    let hist = run.series(series)?.histogram().ok()??;
    let bounds = bounds();
    let mut counts: Vec<String> = Vec::with_capacity(bounds.len() + 1);
    let mut below = 0;
    for bound in &bounds {
        let at_most = hist.count_between(0, *bound);
        counts.push((at_most - below).to_string());
        below = at_most;
    }
    counts.push((hist.len() - below).to_string());
    let seconds: Vec<f64> = bounds.iter().map(|bound| *bound as f64 / 1e9).collect();
    Some(json!({
        "attributes": [attribute("run", &number.to_string())],
        "startTimeUnixNano": start, "timeUnixNano": end,
        "count": hist.len().to_string(),
        "sum": hist.mean() * hist.len() as f64 / 1e9,
        "min": if hist.is_empty() { 0.0 } else { hist.min() as f64 / 1e9 },
        "max": hist.max() as f64 / 1e9,
        "explicitBounds": seconds,
        "bucketCounts": counts,
    }))
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}
