//! The report for a terminal: at most as wide as asked, from 72 columns up.

pub(crate) mod table;
pub(crate) mod wrap;

use std::fmt::Write;

use super::model::{Check, Clock, Condition, Latency, LayerResult, Outcome, Percentile, Report, worst_first};
use super::quantity::{percent, percentile, range, seconds, short, three_digits};
use crate::stats::{Bearing, Interval};
use crate::verdict::{Claim, Quantity};
use table::{Align, Table};
use wrap::wrap;

/// The width that a report is made for when the terminal's is not known.
pub const WIDTH: usize = 100;
const NARROWEST: usize = 72;

/// The report as text of lines of at most `width` columns; widths under 72 are taken as 72.
pub fn render(report: &Report, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = String::new();
    head(&mut out, report, width);
    layers(&mut out, report, width);
    for note in &report.notes {
        out.push('\n');
        wrap(&mut out, "Note: ", note, width);
    }
    for layer in &report.layers {
        details(&mut out, layer, &report.claim, width);
    }
    if let Some(latency) = &report.latency {
        self::latency(&mut out, latency, width);
    }
    out
}

fn head(out: &mut String, report: &Report, width: usize) {
    let claim = &report.claim;
    wrap(out, "Claim    ", &claim.name, width);
    let taken =
        claim.taken().map_or("a target, taken nowhere".to_owned(), |taken| format!("taken in: {taken}"));
    let stated = format!("{}, tolerance {}; {taken}", claim.words(), percent(claim.tolerance));
    wrap(out, "         ", &stated, width);
    wrap(out, "Source   ", &claim.source.document, width);
    wrap(out, "Machine  ", &machine(report), width);
    wrap(out, "Verdict  ", &format!("{}. {}", report.overall.verdict.label(), report.overall.reason), width);
}

fn machine(report: &Report) -> String {
    let fact = |name: &str| {
        report.environment.facts.iter().find(|fact| fact.name == name).map_or("-", |fact| fact.value.as_str())
    };
    format!("{}, cores {}, Linux {}", fact("CPU"), fact("cores"), fact("kernel"))
}

fn layers(out: &mut String, report: &Report, width: usize) {
    let wide = width >= 97;
    let interval = if wide { "95 % interval" } else { "95 %" };
    let mut headings = vec![
        ("layer", Align::Left),
        (report.claim.quantity.heading(), Align::Right),
        (interval, Align::Right),
    ];
    if wide {
        headings.push(("runs", Align::Right));
    }
    headings.extend([("µs/op", Align::Right), ("verdict", Align::Left)]);
    let mut table = Table::new(&headings);
    for layer in &report.layers {
        let mut cells = vec![
            layer.reading.to_string(),
            layer.figure.map_or("-".to_owned(), |figure| report.claim.quantity.show(figure.estimate)),
            layer.figure.map_or("-".to_owned(), |figure| interval_of(report.claim.quantity, &figure, wide)),
        ];
        if wide {
            cells.push(layer.runs.len().to_string());
        }
        cells.push(layer.median(|run| run.server_cpu_us).map_or("-".to_owned(), three_digits));
        cells.push(layer.judgement.verdict.label().to_owned());
        table.row(cells);
    }
    let _ = write!(out, "\n{table}");
    if report.layers.iter().any(|layer| layer.median(|run| run.server_cpu_us).is_some()) {
        let text =
            "µs/op: CPU time of the subject for one operation, by the kernel's accounting, median of runs";
        wrap(out, "", text, width);
    }
}

fn interval_of(quantity: Quantity, interval: &Interval, wide: bool) -> String {
    match (quantity, wide) {
        (Quantity::Rate, true) => range(interval.lower, interval.upper, short),
        // An interval that begins at zero is no multiple of its estimate.
        (Quantity::Errors, false) => format!("< {}", quantity.show(interval.upper)),
        (_, false) => format!("±{}", percent(interval.relative_half_width())),
        (_, true) => range(interval.lower, interval.upper, |value| quantity.show(value)),
    }
}

fn details(out: &mut String, layer: &LayerResult, claim: &Claim, width: usize) {
    out.push('\n');
    wrap(out, "", &format!("{}: {}", layer.reading, layer.judgement.verdict.label()), width);
    wrap(out, "  ", &layer.judgement.reason, width);
    if layer.runs.is_empty() {
        return;
    }
    wrap(out, "  measured    ", &layer.subject, width);
    wrap(out, "  conditions  ", &conditions(&layer.conditions), width);
    let runs: Vec<String> = layer
        .runs
        .iter()
        .map(|run| run.figure.map_or_else(|| short(run.rate), |figure| claim.quantity.show(figure)))
        .collect();
    wrap(out, "  runs        ", &runs.join(", "), width);
    if let Some(probability) = layer.judgement.probability {
        wrap(out, "  probability ", &likely(probability), width);
    }
    if let Some(text) = accounting(layer) {
        wrap(out, "  accounting  ", &text, width);
    }
    if let Some(feasibility) = layer.feasibility {
        let sentence = feasibility.sentence(claim.figure());
        if !layer.judgement.reason.contains(&sentence) {
            wrap(out, "  arithmetic  ", &sentence, width);
        }
    }
    checks(out, &layer.checks, width);
}

/// How likely the claim is to hold here, with no more certainty than the runs can give.
fn likely(probability: f64) -> String {
    let share = match probability {
        p if p > 0.9999 => "over 99.99 %".to_owned(),
        p if p < 0.0001 => "under 0.01 %".to_owned(),
        p => format!("{:.2} %", p * 100.0),
    };
    format!("the claim, less its tolerance, holds here with {share}")
}

fn accounting(layer: &LayerResult) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(cpu) = layer.median(|run| run.server_cpu_us) {
        let busy =
            layer.median(|run| run.server_busy).map_or(String::new(), |b| format!(" ({} busy)", percent(b)));
        parts.push(format!("subject {} µs/op{busy}", three_digits(cpu)));
    }
    if let Some(cpu) = layer.median(|run| run.generator_cpu_us) {
        let busy = layer
            .median(|run| run.generator_busy)
            .map_or(String::new(), |b| format!(" ({} busy)", percent(b)));
        parts.push(format!("generator {} µs/op{busy}", three_digits(cpu)));
    }
    if let Some(closure) = layer.median(|run| run.closure) {
        parts.push(format!("Little's law λW/L {closure:.3}"));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn conditions(conditions: &[Condition]) -> String {
    conditions.iter().map(|c| format!("{} {}", c.name, c.value)).collect::<Vec<_>>().join(", ")
}

fn checks(out: &mut String, checks: &[Check], width: usize) {
    let passed: Vec<&str> =
        checks.iter().filter(|c| c.outcome == Outcome::Passed).map(|c| c.name.as_str()).collect();
    if !passed.is_empty() {
        wrap(out, "  passed      ", &passed.join(", "), width);
    }
    for check in worst_first(checks).into_iter().filter(|check| check.outcome != Outcome::Passed) {
        let label = if check.outcome == Outcome::Failed { "  FAILED      " } else { "  warning     " };
        wrap(out, label, &format!("{}: {}", check.name, check.detail), width);
    }
}

fn latency(out: &mut String, latency: &Latency, width: usize) {
    out.push('\n');
    wrap(out, "", &format!("{}{}", latency.title, if latency.is_valid() { "" } else { ": INVALID" }), width);
    wrap(out, "  conditions  ", &conditions(&latency.conditions), width);
    let Some(first) = latency.clocks.first() else { return };
    let mut headings = vec![("", Align::Left)];
    for (i, clock) in latency.clocks.iter().enumerate() {
        headings.push((clock.name, Align::Right));
        if i == 0 {
            headings.push(("95 % interval", Align::Right));
        }
    }
    let mut table = Table::new(&headings);
    for (i, row) in first.percentiles.iter().enumerate() {
        let mut cells = vec![percentile(row.q)];
        for (j, clock) in latency.clocks.iter().enumerate() {
            cells.push(cell(&clock.percentiles[i]));
            if j == 0 {
                cells.push(
                    row.interval.map_or("-".to_owned(), |v| range(v.lower / 1e9, v.upper / 1e9, seconds)),
                );
            }
        }
        table.row(cells);
    }
    let mut last = vec!["max".to_owned()];
    for (j, clock) in latency.clocks.iter().enumerate() {
        last.push(seconds(clock.max_ns as f64 / 1e9));
        if j == 0 {
            last.push("-".to_owned());
        }
    }
    table.row(last);
    let _ = write!(out, "{table}");
    for text in withheld(&latency.clocks) {
        wrap(out, "  ", &text, width);
    }
    for clock in &latency.clocks {
        wrap(out, "  ", &format!("{}: {}", clock.name, clock.meaning), width);
    }
    checks(out, &latency.checks, width);
}

fn cell(percentile: &Percentile) -> String {
    match percentile.value_ns {
        Some(nanos) => seconds(nanos as f64 / 1e9),
        None if percentile.bearing == Bearing::Unsteady => "(unsteady)".to_owned(),
        None => "(too few)".to_owned(),
    }
}

/// Why percentiles are missing, once for each reason.
fn withheld(clocks: &[Clock]) -> Vec<String> {
    let missing = |wanted: fn(&Bearing) -> bool| {
        clocks.iter().flat_map(|c| &c.percentiles).any(|p| p.value_ns.is_none() && wanted(&p.bearing))
    };
    let mut reasons = Vec::new();
    if missing(|b| matches!(b, Bearing::TooFew { .. })) {
        reasons.push("(too few): fewer than ten requests lie above; a longer run would show it".to_owned());
    }
    if missing(|b| matches!(b, Bearing::Unsteady)) {
        reasons.push("(unsteady): the runs disagree about how many requests lie above".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests;
