//! Several bundles into one: generators that ran at the same time, or repeats.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::document::nanos;
use super::hlog::LogInterval;
use super::{Bundle, BundleError, BundleWriter, GuardDocument, RunDocument, Series};
use crate::record::Hist;

/// Conditions that generators of one load may differ in, and that are added up or listed.
const ADDED: [&str; 2] = ["connections", "threads"];
/// Conditions that belong to a generator, of which the merged run keeps a list where they differ.
const LISTED: [&str; 5] = ["generator_cpus", "kernel", "cpu_model", "seed", "server_cpus"];

/// Why bundles cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A bundle cannot be read or written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Fewer than two.
    #[error("there is nothing to merge with")]
    TooFew,
    /// They hold different things.
    #[error("the runs were made under different conditions: {0}")]
    Conditions(String),
    /// Different numbers of repeats.
    #[error("{0} has {1} runs and {2} has {3}: run N of each is merged with run N of the others")]
    Repeats(String, usize, String, usize),
    /// Numbers without a histogram.
    #[error("{0} has no histogram of its response times, and percentiles cannot be merged")]
    NoHistogram(String),
}

/// Merges generators that loaded the same server at the same time, exactly: run N of the result is the sum of run N of
/// each.
///
/// # Errors
/// When the bundles were made under different conditions, differ in their number of runs, or have no histograms; and when
/// the result cannot be written.
pub fn merge(bundles: &[Bundle], mut out: BundleWriter) -> Result<(Vec<RunDocument>, String), MergeError> {
    let [first, rest @ ..] = bundles else { return Err(MergeError::TooFew) };
    if rest.is_empty() {
        return Err(MergeError::TooFew);
    }
    for other in rest {
        if other.runs.len() != first.runs.len() {
            let name = |bundle: &Bundle| bundle.folder.display().to_string();
            return Err(MergeError::Repeats(name(first), first.runs.len(), name(other), other.runs.len()));
        }
    }
    let mut merged = Vec::new();
    for index in 0..first.runs.len() {
        let runs: Vec<&RunDocument> = bundles.iter().map(|bundle| &bundle.runs[index]).collect();
        let mut run = merge_runs(&runs)?;
        let mut logs = out.logs(index + 1);
        let mut worker = 0;
        let mut seconds = Vec::new();
        for bundle in bundles {
            let mut last = worker;
            for series in bundle.series(index + 1) {
                let Some(intervals) = bundle.log(index + 1, &series)? else { continue };
                let names = tags(&intervals);
                last = last.max(worker + names.len());
                for interval in &intervals {
                    let place = names.iter().position(|name| *name == interval.tag.as_deref().unwrap_or(""));
                    let number = worker + place.unwrap_or(0);
                    logs.add(&series, number, interval.start, interval.length, &interval.hist);
                }
                if series == "response" {
                    seconds.extend(intervals);
                }
            }
            worker = last;
        }
        out.add(logs.finish()?);
        run.other.insert("intervals".to_owned(), intervals(seconds));
        merged.push(run);
    }
    let hash = out.finish(merged.clone())?;
    Ok((merged, hash))
}

/// Puts repeats of one measurement into one bundle: its runs are those of all, in order.
///
/// # Errors
/// When the bundles were made under different conditions, and when the result cannot be written.
pub fn join(bundles: &[Bundle], mut out: BundleWriter) -> Result<(Vec<RunDocument>, String), MergeError> {
    let [first, rest @ ..] = bundles else { return Err(MergeError::TooFew) };
    if rest.is_empty() {
        return Err(MergeError::TooFew);
    }
    let mut runs: Vec<RunDocument> = Vec::new();
    for bundle in bundles {
        for (index, run) in bundle.runs.iter().enumerate() {
            for name in first.runs[0].conditions.keys().chain(run.conditions.keys()) {
                if !LISTED.contains(&name.as_str()) && condition(run, name) != condition(&first.runs[0], name)
                {
                    return Err(MergeError::Conditions(name.clone()));
                }
            }
            runs.push(run.clone());
            let mut logs = out.logs(runs.len());
            for series in bundle.series(index + 1) {
                let Some(intervals) = bundle.log(index + 1, &series)? else { continue };
                let names = tags(&intervals);
                for interval in &intervals {
                    let place = names.iter().position(|name| *name == interval.tag.as_deref().unwrap_or(""));
                    logs.add(&series, place.unwrap_or(0), interval.start, interval.length, &interval.hist);
                }
            }
            out.add(logs.finish()?);
        }
    }
    let hash = out.finish(runs.clone())?;
    Ok((runs, hash))
}

/// The tags of a log, each once, in the order in which they appear.
fn tags(intervals: &[LogInterval]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for interval in intervals {
        let name = interval.tag.as_deref().unwrap_or("");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// One run from those of several generators.
fn merge_runs(runs: &[&RunDocument]) -> Result<RunDocument, MergeError> {
    let mut merged = runs[0].clone();
    merged.conditions = conditions(runs)?;
    merged.valid = runs.iter().all(|run| run.valid);
    merged.guards = guards(runs);
    merged.elapsed_s = runs.iter().filter_map(|run| run.elapsed_s).reduce(f64::max);
    merged.requests = sum(runs, |run| &run.requests);
    merged.bytes = sum(runs, |run| &run.bytes);
    merged.status = sum(runs, |run| &run.status);
    merged.errors = errors(runs);
    merged.errors_total = runs.iter().map(|run| run.errors_total).sum();
    merged.rate = merged.elapsed_s.filter(|s| *s > 0.0).map(|s| merged.count("completed") as f64 / s);
    merged.response = series(runs, "response")?
        .ok_or_else(|| MergeError::NoHistogram(format!("a run of {}", text(&merged.conditions, "url"))))?;
    merged.other = Map::new();
    // What is a series in one is one in all, or is left out: half of the workers' times mean nothing.
    for name in runs[0].other.keys() {
        if let Some(series) = series(runs, name)? {
            merged.other.insert(name.clone(), json!(series));
        }
    }
    let generators: Vec<Value> = runs.iter().filter_map(|run| run.other.get("generator").cloned()).collect();
    merged.other.insert("generators".to_owned(), Value::Array(generators));
    Ok(merged)
}

fn sum(runs: &[&RunDocument], field: fn(&RunDocument) -> &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (name, count) in runs.iter().flat_map(|run| field(run)) {
        *sum.entry(name.clone()).or_default() += count;
    }
    sum
}

fn errors(runs: &[&RunDocument]) -> Map<String, Value> {
    let mut merged: Map<String, Value> = Map::new();
    for (name, value) in runs.iter().flat_map(|run| &run.errors) {
        let before = merged.get(name).cloned().unwrap_or(Value::Null);
        let value = match (before.as_u64(), value.as_u64()) {
            (Some(before), Some(count)) => json!(before + count),
            _ if before.is_null() => value.clone(),
            _ => before,
        };
        merged.insert(name.clone(), value);
    }
    merged
}

/// Each guard at its worst.
fn guards(runs: &[&RunDocument]) -> Vec<GuardDocument> {
    let mut merged: Vec<GuardDocument> = Vec::new();
    for guard in runs.iter().flat_map(|run| &run.guards) {
        match merged.iter_mut().find(|other| other.name == guard.name) {
            Some(other) if other.severity() >= guard.severity() => {}
            Some(other) => *other = guard.clone(),
            None => merged.push(guard.clone()),
        }
    }
    merged
}

/// The sum of a series, where all runs have it with its histogram.
fn series(runs: &[&RunDocument], name: &str) -> Result<Option<Series>, MergeError> {
    let mut sum = Hist::new();
    let mut overflow = 0;
    for run in runs {
        let Some(series) = run.series(name) else { return Ok(None) };
        let hist = series.histogram().map_err(|error| {
            MergeError::NoHistogram(format!("{name} of {}: {error}", text(&run.conditions, "url")))
        })?;
        let Some(hist) = hist else { return Ok(None) };
        sum.add(&hist);
        overflow += series.overflow;
    }
    Ok(Some(Series { overflow, ..Series::of(&sum) }))
}

fn conditions(runs: &[&RunDocument]) -> Result<Map<String, Value>, MergeError> {
    let mut merged = runs[0].conditions.clone();
    for name in runs.iter().flat_map(|run| run.conditions.keys()) {
        let first = condition(runs[0], name);
        let values: Vec<Value> = runs.iter().map(|run| condition(run, name).clone()).collect();
        let value = if ADDED.contains(&name.as_str()) {
            json!(values.iter().filter_map(Value::as_u64).sum::<u64>())
        } else if name == "loop" {
            added_loop(&values)?
        } else if name == "connection_rate" && values.iter().all(Value::is_number) {
            json!(values.iter().filter_map(Value::as_f64).sum::<f64>())
        } else if values.iter().all(|value| value == first) {
            first.clone()
        } else if LISTED.contains(&name.as_str()) {
            Value::Array(values)
        } else {
            return Err(MergeError::Conditions(name.clone()));
        };
        merged.insert(name.clone(), value);
    }
    merged.insert("generators".to_owned(), json!(runs.len()));
    Ok(merged)
}

/// The loop of all generators: their rates add up.
fn added_loop(values: &[Value]) -> Result<Value, MergeError> {
    let mut merged = values[0].clone();
    let without_rate = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("rate");
        }
        value
    };
    if values.iter().any(|value| without_rate(value) != without_rate(&values[0])) {
        return Err(MergeError::Conditions("loop".to_owned()));
    }
    if merged.get("rate").is_some() {
        merged["rate"] = json!(values.iter().filter_map(|value| value["rate"].as_f64()).sum::<f64>());
    }
    Ok(merged)
}

/// The seconds of all workers, put together by when they began.
fn intervals(parts: Vec<LogInterval>) -> Value {
    let mut seconds: BTreeMap<u128, (Duration, Hist)> = BTreeMap::new();
    for part in parts {
        let (length, hist) = seconds.entry(part.start.as_millis()).or_default();
        *length = (*length).max(part.length);
        hist.add(&part.hist);
    }
    let rows = seconds.into_iter().map(|(start, (length, hist))| {
        json!({
            "start_s": start as f64 / 1e3,
            "length_s": length.as_secs_f64(),
            "completed": hist.len(),
            "p50_ns": nanos(hist.quantile(0.5)),
            "p99_ns": nanos(hist.quantile(0.99)),
            "backlog": 0,
        })
    });
    rows.collect()
}

/// A condition of a run; null where its bundle does not have it, as one that an older version wrote.
fn condition<'a>(run: &'a RunDocument, name: &str) -> &'a Value {
    run.conditions.get(name).unwrap_or(&Value::Null)
}

fn text(conditions: &Map<String, Value>, name: &str) -> String {
    conditions.get(name).and_then(Value::as_str).unwrap_or("an unknown target").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::sample;

    #[test]
    fn a_condition_that_one_run_lacks_differs_unless_it_is_nothing() {
        let older = sample::run(100, 1_000_000);
        let mut newer = older.clone();
        newer.conditions.insert("request".to_owned(), Value::Null);
        for runs in [[&older, &newer], [&newer, &older]] {
            assert!(conditions(&runs).is_ok());
        }
        newer.conditions.insert("request".to_owned(), json!("1 field (0a)"));
        for runs in [[&older, &newer], [&newer, &older]] {
            let error = conditions(&runs).unwrap_err().to_string();
            assert!(error.ends_with(": request"), "{error}");
        }
    }
}
