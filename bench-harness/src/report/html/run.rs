//! The page of runs: one of them, or repeats of one measurement.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Map, Value};

use super::parts::{conditions, document, number, tag};
use super::plots::{Curves, overlay, percentiles};
use super::seconds;
use crate::bundle::{GuardDocument, LogError, Manifest, Metric, RunDocument};
use crate::record::{Hist, REPORTED_QUANTILES};
use crate::report::heat::HeatMap;
use crate::report::model::{Clock, Condition};
use crate::report::quantity::{grouped, percent};
use crate::report::svg::escape;
use crate::report::svg::latency::Bounds;
use crate::stats::quantile::nines;
use crate::stats::{Interval, LEVEL};
use crate::verdict::threshold::ThresholdResult;

/// The clocks that a page shows, and from when to when each runs.
const CLOCKS: [(&str, &str); 3] = [
    ("response", "from the intended start to the end"),
    ("service", "from the submission to the end"),
    ("lateness", "from the intended start to the submission"),
];

/// Runs, and everything that belongs to them.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// The runs; at least one.
    pub runs: &'a [RunDocument],
    /// The response times of each run over time, where there are logs.
    pub heat: &'a [HeatMap],
    /// Command line, environment, and files where the runs are a bundle.
    pub manifest: &'a Manifest,
    /// The thresholds that the runs were held against.
    pub thresholds: &'a [ThresholdResult],
}

/// The page, which needs nothing else: inline charts, no script, for light and dark, under 300 KB however long the runs
/// are.
///
/// # Errors
/// When a histogram cannot be read.
pub fn page(measured: &Measured<'_>) -> Result<String, LogError> {
    let runs = measured.runs;
    let mut body = head(measured);
    let clocks = clocks(runs)?;
    // What proves nothing is shown grey.
    let valid = runs.iter().all(|run| run.valid);
    body.push_str(if valid { "<div>\n" } else { "<div class=\"void\">\n" });
    thresholds(&mut body, measured.thresholds);
    rates(&mut body, runs);
    let distinct: Vec<&Timed> = clocks.iter().filter(|clock| shown(clock, &clocks)).collect();
    let curves = |clock: &Timed| {
        let curves = Curves::of(&clock.hists.iter().collect::<Vec<_>>());
        if clock.name == "response" { curves.with(within(runs)) } else { curves }
    };
    overlay(&mut body, &distinct.iter().map(|clock| (clock.name, curves(clock))).collect::<Vec<_>>());
    let table = |clock: &Timed| {
        let hists: Vec<&Histogram<u64>> = clock.hists.iter().map(|hist| &**hist).collect();
        Clock::over(clock.name, clock.meaning, &hists)
    };
    let tables: Vec<Clock> = distinct.into_iter().map(table).collect();
    percentiles(&mut body, &tables);
    for clock in &tables {
        let _ = writeln!(body, "<p class=\"soft small\">{}: {}.</p>", clock.name, clock.meaning);
    }
    seconds::sections(&mut body, runs, measured.heat);
    body.push_str("</div>\n");
    guards(&mut body, runs);
    counts(&mut body, runs);
    facts(&mut body, measured.manifest);
    let title = format!("{}: {}", target(runs), if valid { "valid" } else { "INVALID" });
    Ok(document(&title, &body))
}

/// What was loaded.
fn target(runs: &[RunDocument]) -> String {
    let url = runs.first().and_then(|run| run.conditions.get("url"));
    url.map_or_else(|| "a run".to_owned(), text)
}

/// A value as people read it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            // What tells the kind needs no name of its own.
            let field = |(name, value): (&String, &Value)| match name.as_str() {
                "model" => text(value),
                _ => format!("{} {}", name.replace('_', " "), text(value)),
            };
            let (kind, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| *name == "model");
            kind.into_iter().chain(rest).map(field).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Conditions of a run, as its JSON has them.
pub(crate) fn conditions_of(conditions: &Map<String, Value>) -> Vec<Condition> {
    let known = conditions.iter().filter(|(_, value)| !value.is_null());
    known
        .map(|(name, value)| {
            let seconds = ["duration", "warmup", "timeout"].contains(&name.as_str());
            let unit = if seconds && value.is_number() { " s" } else { "" };
            Condition::new(name.replace('_', " "), format!("{}{unit}", text(value)))
        })
        .collect()
}

fn head(measured: &Measured<'_>) -> String {
    let runs = measured.runs;
    let failed = runs.iter().filter(|run| !run.valid).count();
    let objections: usize = runs.iter().map(|run| run.objections().len()).sum();
    let (class, label, reason) = match (failed, objections) {
        (0, 0) => ("good", "VALID", "No guard failed or warned.".to_owned()),
        (0, count) => (
            "warn",
            "VALID with warnings",
            format!("No guard failed; {count} warned, as the table below says."),
        ),
        (failed, _) => {
            let guards = runs.iter().flat_map(|run| &run.guards);
            let first = guards
                .filter(|guard| guard.severity() > 2)
                .map(|guard| format!(" {}: {}.", escape(&guard.name), escape(&guard.detail)));
            let reason = format!(
                "A guard failed in {failed} of {} runs: the numbers prove nothing.{}",
                runs.len(),
                first.take(1).collect::<String>()
            );
            ("bad", "INVALID", reason)
        }
    };
    let mut out = format!(
        "<h1>{}</h1>\n<p class=\"soft\">{} {}, {}, by covet-bench {}</p>\n\
         <div class=\"verdict {class}\"><strong>{label}</strong>{reason}</div>\n",
        escape(&target(runs)),
        runs.len(),
        if runs.len() == 1 { "run" } else { "runs" },
        escape(&measured.manifest.created),
        escape(&measured.manifest.version)
    );
    for bias in runs.first().and_then(|run| run.imported.as_ref()).iter().flat_map(|i| &i.biases) {
        let _ = writeln!(out, "<p>{} {}</p>", tag("warn", "bias"), escape(bias));
    }
    out
}

/// What the runs had to reach, and whether they did.
fn thresholds(out: &mut String, thresholds: &[ThresholdResult]) {
    if thresholds.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Thresholds</h2>\n<table class=\"stack\"><thead><tr><th>Threshold</th><th>Outcome</th><th>Found</th></tr></thead><tbody>\n",
    );
    for result in thresholds {
        let (class, label) = if result.passed { ("good", "passed") } else { ("bad", "missed") };
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td><td data-name=\"Outcome\">{}</td><td data-name=\"Found\">{}</td></tr>",
            escape(&result.threshold),
            tag(class, label),
            escape(&result.detail)
        );
    }
    out.push_str("</tbody></table>\n");
}

/// The histograms of a clock, one for each run.
struct Timed {
    name: &'static str,
    meaning: &'static str,
    hists: Vec<Hist>,
}

/// The clocks that every run has.
fn clocks(runs: &[RunDocument]) -> Result<Vec<Timed>, LogError> {
    let mut clocks = Vec::new();
    for (name, meaning) in CLOCKS {
        let mut hists = Vec::new();
        for run in runs {
            if let Some(series) = run.series(name) {
                hists.extend(series.histogram()?);
            }
        }
        if hists.len() == runs.len() && hists.iter().any(|hist| !hist.is_empty()) {
            clocks.push(Timed { name, meaning, hists });
        }
    }
    Ok(clocks)
}

/// What a run that has no others beside it says of the percentiles of its response times.
fn within(runs: &[RunDocument]) -> Vec<Bounds> {
    let [run] = runs else { return Vec::new() };
    let bounds = |(q, name): (f64, &str)| {
        let of = run.within(name).filter(|of| of.borne)?;
        Some((nines(q), of.lower_ns? as f64, of.upper_ns? as f64))
    };
    REPORTED_QUANTILES.into_iter().filter_map(bounds).collect()
}

/// Whether a clock says something of its own: in a closed loop the service times are the response times.
fn shown(clock: &Timed, all: &[Timed]) -> bool {
    clock.name != "service" || all.iter().any(|other| other.name == "lateness")
}

/// The rate and the response times of each run, and their means.
fn rates(out: &mut String, runs: &[RunDocument]) {
    let columns = [
        Metric::Rate,
        Metric::quantile(0.5),
        Metric::quantile(0.99),
        Metric::quantile(0.999),
        Metric::Errors,
    ];
    out.push_str("<h2>Result</h2>\n<table class=\"stack\"><thead><tr><th>Run</th>");
    for metric in &columns {
        let _ = write!(out, "<th class=\"n\">{metric}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    let value = |run: &RunDocument, metric: &Metric| {
        metric.of(run).map_or_else(|_| "-".to_owned(), |value| metric.format(value))
    };
    // The runs of a long series are in its bundle; its page has its first ones, and the means of all.
    for (index, run) in runs.iter().take(MOST).enumerate() {
        let _ = write!(out, "<tr><td class=\"lead\">{}</td>", index + 1);
        for metric in &columns {
            out.push_str(&number(&metric.to_string(), &value(run, metric)));
        }
        out.push_str("</tr>\n");
    }
    if runs.len() > 1 {
        out.push_str("<tr><td class=\"lead\">mean, 95 %</td>");
        for metric in &columns {
            if *metric == Metric::Errors {
                // A share of all requests: runs with more of them weigh more, and none at all have no logarithm.
                let pooled = error_share(runs).map_or_else(|| "-".to_owned(), percent);
                out.push_str(&number(&metric.to_string(), &format!("{pooled} of all")));
                continue;
            }
            let each: Option<Vec<f64>> = runs.iter().map(|run| metric.of(run).ok()).collect();
            let interval = each.and_then(|values| Interval::of_runs(&values, LEVEL).ok());
            let cell = interval.map_or_else(
                || "-".to_owned(),
                |i| {
                    format!(
                        "{} [{}, {}]",
                        metric.format(i.estimate),
                        metric.format(i.lower),
                        metric.format(i.upper)
                    )
                },
            );
            out.push_str(&number(&metric.to_string(), &cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    if runs.len() > MOST {
        let _ = writeln!(out, "<p class=\"soft small\">The first {MOST} of {} runs.</p>", runs.len());
    }
}

/// How many runs a table names.
const MOST: usize = 40;

/// Each guard with the worst that it came to in any run.
fn guards(out: &mut String, runs: &[RunDocument]) {
    let mut worst: Vec<(&GuardDocument, usize, usize)> = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        for guard in &run.guards {
            match worst.iter_mut().find(|(other, ..)| other.name == guard.name) {
                Some(entry) if entry.0.severity() < guard.severity() => *entry = (guard, index, 1),
                Some(entry) if entry.0.severity() == guard.severity() => entry.2 += 1,
                Some(_) => {}
                None => worst.push((guard, index, 1)),
            }
        }
    }
    out.push_str(
        "<h2>Guards</h2>\n<table class=\"stack\"><thead><tr><th>Check</th><th>Outcome</th><th>Found</th></tr></thead><tbody>\n",
    );
    // What failed is what one looks for.
    worst.sort_by_key(|(guard, ..)| Reverse(guard.severity()));
    for (guard, index, count) in worst {
        let class = match guard.severity() {
            0 => "good",
            1 => "",
            2 => "warn",
            _ => "bad",
        };
        let place = if runs.len() > 1 && guard.severity() > 1 {
            format!(" (run {}; {count} of {} runs)", index + 1, runs.len())
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td><td data-name=\"Outcome\">{}</td><td data-name=\"Found\">{}{place}</td></tr>",
            escape(&guard.name),
            tag(class, &guard.outcome),
            escape(&guard.detail)
        );
    }
    out.push_str("</tbody></table>\n");
}

/// What became of the requests, over all runs.
fn counts(out: &mut String, runs: &[RunDocument]) {
    let mut rows: Vec<Condition> = Vec::new();
    let mut add = |of: fn(&RunDocument) -> &BTreeMap<String, u64>, prefix: &str| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for run in runs {
            of(run).iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
        }
        let named = sums.into_iter().filter(|(_, count)| *count > 0);
        rows.extend(named.map(|(name, count)| {
            Condition::new(format!("{prefix}{}", name.replace('_', " ")), grouped(count as f64))
        }));
    };
    add(|run| &run.requests, "");
    add(|run| &run.status, "status ");
    add(|run| &run.bytes, "bytes ");
    rows.extend(errors(runs));
    let _ = writeln!(out, "<h2>Requests</h2>\n{}", conditions(&rows));
}

/// The part of all requests of the runs that ended without a valid response, the errors of all runs by class, and the
/// first of them in words.
fn errors(runs: &[RunDocument]) -> Vec<Condition> {
    let mut rows = Vec::new();
    if let Some(share) = error_share(runs) {
        rows.push(Condition::new("errors", percent(share)));
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(|run| &run.errors) {
        *sums.entry(name).or_default() += value.as_u64().unwrap_or(0);
    }
    let named = sums.into_iter().filter(|(_, count)| *count > 0);
    rows.extend(named.map(|(name, count)| {
        Condition::new(format!("error {}", name.replace('_', " ")), grouped(count as f64))
    }));
    let first =
        runs.iter().enumerate().find_map(|(index, run)| Some((index, run.errors.get("first")?.as_str()?)));
    rows.extend(first.map(|(index, words)| {
        let place = if runs.len() > 1 { format!(", in run {}", index + 1) } else { String::new() };
        Condition::new(format!("first error{place}"), words)
    }));
    rows
}

/// The requests of all runs that ended without a valid response over all that ended; `None` when none did.
fn error_share(runs: &[RunDocument]) -> Option<f64> {
    let (failed, ended) =
        runs.iter().map(RunDocument::failed_of_ended).fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    (ended > 0).then(|| failed as f64 / ended as f64)
}

/// Conditions, environment and manifest.
fn facts(out: &mut String, manifest: &Manifest) {
    let rows = conditions_of(&manifest.conditions);
    let _ = writeln!(out, "<h2>Conditions</h2>\n{}", conditions(&rows));
    // The arguments are told with the manifest.
    let rows: Vec<Condition> = manifest
        .environment
        .iter()
        .filter(|(name, _)| *name != "arguments")
        .map(|(name, value)| Condition::new(name.clone(), value.clone()))
        .collect();
    let _ = writeln!(out, "<h2>Where it was measured</h2>\n{}", conditions(&rows));
    let rows = [
        Condition::new("created", manifest.created.clone()),
        Condition::new("covet-bench", manifest.version.clone()),
        Condition::new("runs", manifest.runs.to_string()),
        Condition::new("arguments", manifest.arguments.join(" ")),
    ];
    let _ = writeln!(out, "<h2>Manifest</h2>\n{}", conditions(&rows));
    if manifest.files.is_empty() {
        out.push_str("<p class=\"soft small\">The runs were not kept as a bundle: there are no files and hashes.</p>\n");
        return;
    }
    out.push_str(
        "<details><summary>Files and their SHA-256</summary><table class=\"stack\"><thead><tr><th>File</th>\
         <th class=\"n\">Bytes</th><th>SHA-256</th></tr></thead><tbody>\n",
    );
    for (name, entry) in manifest.files.iter().take(8 * MOST) {
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td>{}<td data-name=\"SHA-256\"><code>{}</code></td></tr>",
            escape(name),
            number("Bytes", &grouped(entry.bytes as f64)),
            escape(&entry.sha256)
        );
    }
    out.push_str("</tbody></table></details>\n");
}
