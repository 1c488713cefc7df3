//! The page of runs: one of them, or repeats of one measurement.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write;

use hdrhistogram::Histogram;

use super::facts::{counts, facts, text};
use super::parts::{document, number, tag};
use super::plots::{Curves, overlay, percentiles};
use super::seconds;
use crate::bundle::{GuardDocument, LogError, Manifest, Metric, RunDocument};
use crate::record::{Hist, REPORTED_QUANTILES};
use crate::report::heat::HeatMap;
use crate::report::model::Clock;
use crate::report::quantity::{percent, range};
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

fn head(measured: &Measured<'_>) -> String {
    let runs = measured.runs;
    let failed = runs.iter().filter(|run| !run.valid).count();
    let guards = || runs.iter().flat_map(|run| &run.guards);
    // A guard that warns in every run is one, as in the table.
    let objections =
        guards().filter(|guard| guard.severity() > 1).map(|guard| &guard.name).collect::<BTreeSet<_>>();
    let (class, label, reason) = match (failed, objections.len()) {
        (0, 0) => ("good", "VALID", "No guard failed or warned.".to_owned()),
        (0, count) => (
            "warn",
            "VALID with warnings",
            format!("No guard failed; {count} warned, as the table below says."),
        ),
        (failed, _) => {
            let first = guards()
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
        let _ = write!(out, "<tr><td class=\"lead\" data-name=\"run\">{}</td>", index + 1);
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
                let _ = write!(
                    out,
                    "<td class=\"n\" data-name=\"{metric}\"><span>{pooled}<br>{}</span></td>",
                    small("of all")
                );
                continue;
            }
            let each: Option<Vec<f64>> = runs.iter().map(|run| metric.of(run).ok()).collect();
            let interval = each.and_then(|values| Interval::of_runs(&values, LEVEL).ok());
            // Below the mean: beside it the five of them are wider than the page.
            let cell = interval.map_or_else(
                || "-".to_owned(),
                |i| {
                    let bounds = range(i.lower, i.upper, |value| metric.format(value));
                    format!("{}<br>{}", escape(&metric.format(i.estimate)), small(&bounds))
                },
            );
            let _ = write!(out, "<td class=\"n\" data-name=\"{metric}\"><span>{cell}</span></td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    if runs.len() > MOST {
        let _ = writeln!(out, "<p class=\"soft small\">The first {MOST} of {} runs.</p>", runs.len());
    }
}

fn small(text: &str) -> String {
    format!("<span class=\"soft small\">{}</span>", escape(text))
}

/// How many runs a table names.
pub(super) const MOST: usize = 40;

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

/// The requests of all runs that ended without a valid response over all that ended; `None` when none did.
pub(super) fn error_share(runs: &[RunDocument]) -> Option<f64> {
    let (failed, ended) =
        runs.iter().map(RunDocument::failed_of_ended).fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    (ended > 0).then(|| failed as f64 / ended as f64)
}
