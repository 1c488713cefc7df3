//! Runs for tests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{Bundle, BundleWriter, RunDocument, Series};
use crate::record::Hist;

/// A closed run of one second with `rate` requests, spread evenly between half and one and a half of `nanos`.
pub(crate) fn hist(rate: u64, nanos: u64) -> Hist {
    let mut hist = Hist::new();
    (0..rate).for_each(|i| hist.record(Duration::from_nanos(nanos / 2 + nanos * i / rate), 1));
    hist
}

/// A run whose times all lie within 1 % of `nanos`.
pub(crate) fn run(rate: u64, nanos: u64) -> RunDocument {
    let mut hist = Hist::new();
    (0..rate).for_each(|i| hist.record(Duration::from_nanos(nanos + nanos * (i % 100) / 10_000), 1));
    of(rate, &hist)
}

/// A run of one second with these times.
pub(crate) fn of(rate: u64, hist: &Hist) -> RunDocument {
    serde_json::from_value(json!({
        "schema": "covet-bench.run/1",
        "valid": true,
        "guards": [{ "name": "responses", "outcome": "passed", "detail": "all valid" }],
        "conditions": {
            "url": "http://127.0.0.1:8080/plaintext", "method": "GET", "loop": { "model": "closed" },
            "connections": 8, "threads": 1, "pipeline": 1, "protocol": "HTTP/1.1", "duration": 1.0,
            "generator_cpus": [1], "kernel": "6.1.0", "cpu_model": "a CPU",
        },
        "elapsed_s": 1.0,
        "rate": rate as f64,
        "requests": { "sent": rate, "completed": rate, "failed": 0 },
        "bytes": { "in": rate * 100, "out": rate * 50 },
        "status": { "2xx": rate },
        "errors": { "timeout": 0, "first": null },
        "errors_total": 0,
        "response": Series::of(hist),
        "service": Series::of(hist),
        "generator": { "cpu_s": 0.5 },
        "little_closure": 1.0,
    }))
    .unwrap()
}

/// A path in the folder for temporary files that nothing else uses.
pub(crate) fn place(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("covet-bundle-{}-{number}-{name}", std::process::id()))
}

/// A bundle on disk of runs with the given rates and times, each with a log of two workers.
pub(crate) fn bundle(name: &str, runs: &[(u64, u64)]) -> Bundle {
    let folder = place(name);
    let mut writer = BundleWriter::create(&folder).unwrap();
    let mut documents = Vec::new();
    for (index, &(rate, nanos)) in runs.iter().enumerate() {
        let half = hist(rate / 2, nanos);
        let mut both = half.clone();
        both.add(&half);
        let mut logs = writer.logs(index + 1);
        for worker in 0..2 {
            logs.add("response", worker, Duration::ZERO, Duration::from_secs(1), &half);
        }
        writer.add(logs.finish().unwrap());
        documents.push(of(rate, &both));
    }
    writer.finish(documents).unwrap();
    Bundle::read(&folder).unwrap()
}

/// A run of which so many requests failed.
pub(crate) fn with_errors(completed: u64, failed: u64) -> RunDocument {
    let mut run = run(completed, 1_000_000);
    run.requests.insert("failed".to_owned(), failed);
    run.errors_total = failed;
    run
}
