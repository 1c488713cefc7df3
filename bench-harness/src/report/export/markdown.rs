//! Markdown for the summary of a GitHub job.

use std::fmt::Write as _;

use super::Exported;
use crate::bundle::Metric;
use crate::report::html::facts::text;

/// A table of the runs, one of the thresholds, and what speaks against the numbers.
pub fn markdown(exported: &Exported<'_>) -> String {
    let runs = &exported.bundle.runs;
    let verdict = if runs.iter().all(|run| run.valid) { "VALID" } else { "**INVALID**" };
    let mut out = format!("### {}: {verdict}\n\n", cell(&exported.name));
    let condition = |name: &str| exported.bundle.manifest.conditions.get(name).map(text);
    let conditions: Vec<String> = ["url", "loop", "connections", "pipeline", "protocol"]
        .into_iter()
        .filter_map(|name| Some(format!("{name} {}", cell(&condition(name)?))))
        .collect();
    let _ = writeln!(out, "{}\n", conditions.join(", "));
    out.push_str("| run | requests/s | p50 | p99 | p99.9 | errors |\n|---:|---:|---:|---:|---:|---:|\n");
    let shown = [
        Metric::Rate,
        Metric::quantile(0.5),
        Metric::quantile(0.99),
        Metric::quantile(0.999),
        Metric::Errors,
    ];
    for (index, run) in runs.iter().enumerate() {
        let cells: Vec<String> = shown
            .iter()
            .map(|metric| metric.of(run).map_or_else(|_| "-".to_owned(), |value| metric.format(value)))
            .collect();
        let _ = writeln!(out, "| {} | {} |", index + 1, cells.join(" | "));
    }
    if !exported.thresholds.is_empty() {
        out.push_str("\n| threshold | | |\n|---|---|---|\n");
        for threshold in &exported.thresholds {
            let mark = if threshold.passed { "✅ passed" } else { "❌ failed" };
            let _ =
                writeln!(out, "| `{}` | {mark} | {} |", code(&threshold.threshold), cell(&threshold.detail));
        }
    }
    for (index, run) in runs.iter().enumerate() {
        for objection in run.objections() {
            let _ = writeln!(out, "\n> run {}: {}", index + 1, cell(&objection));
        }
    }
    out
}

fn cell(text: &str) -> String {
    code(text).replace('<', "&lt;")
}

/// The same between backticks, where nothing but the cell's own border has a meaning.
fn code(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
