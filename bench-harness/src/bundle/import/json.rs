//! What oha, k6 and vegeta write as JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Said;

/// oha: seconds, and `null` where nothing was measured.
pub(super) fn oha(json: &Value) -> Result<Said, String> {
    let summary = &json["summary"];
    let number = |name: &str| summary[name].as_f64();
    let missing = || "summary.requestsPerSec is missing".to_owned();
    let seconds = |value: &Value| value.as_f64().map(|seconds| (seconds * 1e9) as u64);
    let mut said = Said {
        elapsed_s: number("total"),
        bytes_in: summary["totalData"].as_u64(),
        min_ns: seconds(&summary["fastest"]).unwrap_or(0),
        max_ns: seconds(&summary["slowest"]).unwrap_or(0),
        mean_ns: number("average").map_or(0.0, |seconds| seconds * 1e9),
        ..Said::default()
    };
    for (name, value) in json["latencyPercentiles"].as_object().into_iter().flatten() {
        said.quantiles_ns.extend(seconds(value).map(|value| (name.clone(), value)));
    }
    (said.status, said.completed) = statuses(&json["statusCodeDistribution"], 0);
    for (name, count) in json["errorDistribution"].as_object().into_iter().flatten() {
        said.errors.insert(name.clone(), count.as_u64().unwrap_or(0));
    }
    let bad: u64 = said.status.iter().filter(|(class, _)| *class != "2xx").map(|(_, count)| count).sum();
    said.failed = Some(bad + said.errors.values().sum::<u64>());
    let rate = number("requestsPerSec").ok_or_else(missing)?;
    // Its rate counts errors and every status.
    said.rate = match (said.completed, said.elapsed_s.filter(|s| *s > 0.0)) {
        (Some(completed), Some(elapsed)) => Some(completed as f64 / elapsed),
        _ => Some(rate),
    };
    Ok(said)
}

/// k6: milliseconds; the numbers of a metric lie in it, or in its `values`.
pub(super) fn k6(json: &Value) -> Result<Said, String> {
    let metric = |name: &str| {
        let metric = &json["metrics"][name];
        if metric["values"].is_object() { &metric["values"] } else { metric }
    };
    let (requests, times, failed) =
        (metric("http_reqs"), metric("http_req_duration"), metric("http_req_failed"));
    let count = requests["count"].as_u64().ok_or("metrics.http_reqs.count is missing")?;
    let times = times.as_object().ok_or("metrics.http_req_duration is missing")?;
    let millis = |name: &str| times.get(name).and_then(Value::as_f64).map(|ms| ms * 1e6);
    // `passes` are the requests for which "failed" is true.
    let bad = failed["passes"].as_u64().unwrap_or(0).min(count);
    let rate = requests["rate"].as_f64();
    let mut said = Said {
        completed: Some(count - bad),
        failed: Some(bad),
        rate: rate.map(|rate| rate * (count - bad) as f64 / count.max(1) as f64),
        elapsed_s: rate.filter(|rate| *rate > 0.0).map(|rate| count as f64 / rate),
        bytes_in: metric("data_received")["count"].as_u64(),
        connections: metric("vus_max")["max"].as_u64().or_else(|| metric("vus_max")["value"].as_u64()),
        min_ns: millis("min").unwrap_or(0.0) as u64,
        mean_ns: millis("avg").unwrap_or(0.0),
        max_ns: millis("max").unwrap_or(0.0) as u64,
        ..Said::default()
    };
    said.quantiles_ns.extend(millis("med").map(|value| ("p50".to_owned(), value as u64)));
    for name in times.keys() {
        let percent = name.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')'));
        if let (Some(percent), Some(value)) = (percent, millis(name)) {
            said.quantiles_ns.insert(format!("p{percent}"), value as u64);
        }
    }
    Ok(said)
}

/// vegeta: nanoseconds.
pub(super) fn vegeta(json: &Value) -> Result<Said, String> {
    let times = json["latencies"].as_object().ok_or("latencies is missing")?;
    let requests = json["requests"].as_u64().ok_or("requests is missing")?;
    let nanos = |name: &str| times.get(name).and_then(Value::as_f64);
    let share = json["success"].as_f64().unwrap_or(1.0).clamp(0.0, 1.0);
    let completed = (requests as f64 * share).round() as u64;
    let elapsed = json["duration"].as_f64().map(|ns| (ns + json["wait"].as_f64().unwrap_or(0.0)) / 1e9);
    // Its older versions do not print the throughput, which is this.
    let answered = elapsed.filter(|seconds| *seconds > 0.0).map(|seconds| completed as f64 / seconds);
    let mut said = Said {
        completed: Some(completed),
        failed: Some(requests - completed.min(requests)),
        elapsed_s: elapsed,
        rate: json["throughput"].as_f64().or(answered),
        bytes_in: json["bytes_in"]["total"].as_u64(),
        min_ns: nanos("min").unwrap_or(0.0) as u64,
        mean_ns: nanos("mean").unwrap_or(0.0),
        max_ns: nanos("max").unwrap_or(0.0) as u64,
        ..Said::default()
    };
    for name in times.keys() {
        if let (Some(percent), Some(value)) = (name.strip_suffix("th"), nanos(name)) {
            said.quantiles_ns.insert(format!("p{percent}"), value as u64);
        }
    }
    // Status 0 is a request without an answer.
    said.status = statuses(&json["status_codes"], 1).0;
    Ok(said)
}

/// Statuses by class, and how many are 2xx; codes below `least` are none.
fn statuses(codes: &Value, least: u64) -> (BTreeMap<String, u64>, Option<u64>) {
    let mut classes = BTreeMap::new();
    for (code, count) in codes.as_object().into_iter().flatten() {
        let Ok(code) = code.parse::<u64>() else { continue };
        if code >= least {
            *classes.entry(format!("{}xx", code / 100)).or_default() += count.as_u64().unwrap_or(0);
        }
    }
    let good = codes.is_object().then(|| classes.get("2xx").copied().unwrap_or(0));
    (classes, good)
}
