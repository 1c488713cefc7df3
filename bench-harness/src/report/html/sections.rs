//! The sections of the page.

use std::fmt::Write;

use super::parts::{checks, conditions, figure, number, tag};
use super::plots::percentiles;
use crate::report::Curve;
use crate::report::model::{Condition, LayerResult, Report};
use crate::report::quantity::{grouped, percent, short, three_digits};
use crate::report::svg::latency::{Series, chart};
use crate::report::svg::{NARROW, Size, WIDE, escape, rates};
use crate::stats::Interval;
use crate::verdict::{Quantity, Verdict};

/// The colour that a verdict has.
fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "good",
        Verdict::Refuted | Verdict::Invalid => "bad",
        Verdict::Inconclusive | Verdict::NotReproducibleHere | Verdict::MisSpecified => "warn",
    }
}

/// Title, verdict and where the claim stands written.
pub(super) fn head(report: &Report) -> String {
    let claim = &report.claim;
    let mut out = format!("<h1>{}</h1>\n", escape(&claim.name));
    let _ = writeln!(
        out,
        "<p class=\"soft\">Measured {} in {:.0} s by covet-bench</p>",
        escape(&report.started),
        report.elapsed_s
    );
    let _ = writeln!(
        out,
        "<div class=\"verdict {}\"><strong>{}</strong>{}</div>",
        tone(report.overall.verdict),
        report.overall.verdict.label(),
        escape(&report.overall.reason)
    );
    for note in &report.notes {
        let _ = writeln!(out, "<p>{}</p>", escape(note));
    }
    out
}

/// The table of layers and their rates as charts.
pub(super) fn layers(report: &Report) -> String {
    let quantity = report.claim.quantity;
    let heading = if quantity == Quantity::Rate { "Rate/s".to_owned() } else { capital(quantity.heading()) };
    let mut out = format!(
        "<h2>Verdict in each layer</h2>\n<table class=\"stack\"><thead><tr><th>Layer</th>\
         <th class=\"n\">{heading}</th><th class=\"n\">95 % interval</th><th class=\"n\">Runs</th>\
         <th class=\"n\">CPU µs/op</th><th class=\"n\">Holds</th><th>Verdict</th></tr></thead><tbody>\n"
    );
    for layer in &report.layers {
        let verdict = layer.judgement.verdict;
        let _ = writeln!(
            out,
            "<tr{}><td class=\"lead\">{}</td>{}{}{}{}{}<td data-name=\"Verdict\">{}</td></tr>",
            if verdict == Verdict::Invalid { " class=\"proves-nothing\"" } else { "" },
            escape(&layer.reading.to_string()),
            number(&heading, &layer.figure.map_or("-".to_owned(), |figure| quantity.show(figure.estimate))),
            number("95 % interval", &layer.figure.map_or("-".to_owned(), |figure| bounds(quantity, &figure))),
            number("Runs", &layer.runs.len().to_string()),
            number("CPU µs/op", &layer.median(|r| r.server_cpu_us).map_or("-".to_owned(), three_digits)),
            number("Holds", &layer.judgement.probability.map_or("-".to_owned(), likely)),
            tag(tone(verdict), verdict.label()),
        );
    }
    out.push_str(
        "</tbody></table>\n<p class=\"soft small\">CPU µs/op: CPU time of the subject for one operation, by the \
         kernel's accounting, median of the runs. Interval: Student's t on the logarithms of the runs. Holds: how \
         likely it is that the claim, less its tolerance, holds here, after these runs.</p>\n",
    );
    if quantity == Quantity::Rate {
        let wide = rates::against(report.claim.value, &report.layers, WIDE.width);
        let narrow = rates::against(report.claim.value, &report.layers, NARROW.width);
        figure(&mut out, wide, narrow);
    }
    out
}

/// A probability as a share that never claims certainty.
fn likely(probability: f64) -> String {
    match probability {
        p if p > 0.9999 => "> 99.99 %".to_owned(),
        p if p < 0.0001 => "< 0.01 %".to_owned(),
        p => format!("{:.2} %", p * 100.0),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn bounds(quantity: Quantity, interval: &Interval) -> String {
    let show = |value: f64| if quantity == Quantity::Rate { short(value) } else { quantity.show(value) };
    format!("{} – {}", show(interval.lower), show(interval.upper))
}

/// Latency at constant arrivals, and of the layers.
pub(super) fn latency(report: &Report) -> String {
    let mut out = String::new();
    if let Some(latency) = &report.latency {
        let invalid = if latency.is_valid() { String::new() } else { format!(" {}", tag("bad", "INVALID")) };
        let _ = writeln!(out, "<h2>{}{invalid}</h2>", escape(&latency.title));
        out.push_str(&conditions(&latency.conditions));
        let series: Vec<Series<'_>> = latency
            .clocks
            .iter()
            .map(|clock| Series { name: clock.name, merged: &clock.merged, runs: &clock.runs, within: &[] })
            .collect();
        out.push_str(shade(!latency.is_valid()));
        let label = "Latency by percentile at constant arrivals";
        figure(&mut out, chart(label, &series, WIDE), chart(label, &series, NARROW));
        out.push_str("<p class=\"soft small\">Thick: all runs together. Thin: each run. ");
        for clock in &latency.clocks {
            let _ = write!(out, "{}: {}. ", escape(clock.name), escape(clock.meaning));
        }
        out.push_str("</p>\n");
        percentiles(&mut out, &latency.clocks);
        out.push_str("</div>\n");
        checks(&mut out, &latency.checks);
    }
    for loop_of_them in [Loop::Closed, Loop::Open] {
        of_layers(&mut out, report, loop_of_them);
    }
    out
}

/// How the requests of a layer follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loop {
    Closed,
    Open,
}

impl Loop {
    fn of(layer: &LayerResult) -> Loop {
        let open = |condition: &Condition| condition.name == "loop" && condition.value.starts_with("open");
        if layer.conditions.iter().any(open) { Loop::Open } else { Loop::Closed }
    }
}

/// The latency of the layers that were measured in this loop.
fn of_layers(out: &mut String, report: &Report, which: Loop) {
    let mut layers: Vec<(&LayerResult, &Curve)> = report
        .layers
        .iter()
        .filter(|layer| Loop::of(layer) == which)
        .filter_map(|layer| Some((layer, layer.merged.as_ref()?)))
        .collect();
    // Readings of one measurement, such as the median and the 99th percentile, have one curve.
    layers.dedup_by(|(one, curve), (other, its)| curve == its && one.reading.depth == other.reading.depth);
    if layers.is_empty() {
        return;
    }
    let (heading, meaning, label) = match which {
        Loop::Closed => (
            "Latency at full load",
            "Closed loop: every connection always waits for an answer, so this is a property of the load as much as \
             of the server.",
            "Latency by percentile in a closed loop",
        ),
        Loop::Open => (
            "Latency at a given rate",
            "Open loop: times count from when each request was due, whether the server was ready for it or not.",
            "Latency by percentile in an open loop",
        ),
    };
    let invalid = |layer: &LayerResult| layer.judgement.verdict == Verdict::Invalid;
    let names: Vec<String> = layers
        .iter()
        .map(|(layer, _)| layer.reading.depth.map_or(String::new(), |depth| format!("depth {depth}")))
        .collect();
    let series: Vec<Series<'_>> = layers
        .iter()
        .zip(&names)
        .map(|((layer, merged), name)| Series { name, merged, runs: &layer.curves, within: &[] })
        .collect();
    let void = layers.iter().all(|(layer, _)| invalid(layer));
    let _ = writeln!(out, "{}<h2>{heading}</h2>\n<p class=\"soft\">{meaning}</p>", shade(void));
    if !void {
        for ((layer, _), name) in layers.iter().zip(&names).filter(|((layer, _), _)| invalid(layer)) {
            let word = tag(tone(Verdict::Invalid), layer.judgement.verdict.label());
            let _ = writeln!(out, "<p>{} {word}</p>", escape(name));
        }
    }
    figure(out, chart(label, &series, WIDE), chart(label, &series, NARROW));
    out.push_str("</div>\n");
}

/// The beginning of a part, which is grey where it proves nothing.
fn shade(void: bool) -> &'static str {
    if void { "<div class=\"void\">" } else { "<div>" }
}

/// Each layer: reason, conditions, runs and checks.
pub(super) fn details(report: &Report) -> String {
    let mut out = "<h2>How each layer was measured</h2>\n".to_owned();
    for layer in &report.layers {
        let _ = writeln!(
            out,
            "<div class=\"card\"><h3>{} {}</h3><p>{}</p>",
            escape(&layer.reading.to_string()),
            tag(tone(layer.judgement.verdict), layer.judgement.verdict.label()),
            escape(&layer.judgement.reason)
        );
        if layer.runs.is_empty() {
            out.push_str("</div>\n");
            continue;
        }
        let _ = writeln!(out, "<p class=\"soft\">Measured: {}</p>", escape(&layer.subject));
        out.push_str(&conditions(&layer.conditions));
        if let Some(feasibility) = layer.feasibility {
            let sentence = feasibility.sentence(report.claim.figure());
            if !layer.judgement.reason.contains(&sentence) {
                let _ = writeln!(out, "<p class=\"soft small\">Arithmetic: {}.</p>", escape(&sentence));
            }
        }
        out.push_str(shade(layer.judgement.verdict == Verdict::Invalid));
        runs(&mut out, report.claim.quantity, layer);
        out.push_str("</div>\n");
        checks(&mut out, &layer.checks);
        out.push_str("</div>\n");
    }
    out
}

fn runs(out: &mut String, quantity: Quantity, layer: &LayerResult) {
    const CHART: Size = Size { width: 358.0, height: 190.0 };
    if let Some(svg) = rates::runs(layer, CHART).filter(|_| quantity == Quantity::Rate) {
        let _ = writeln!(out, "<div style=\"max-width:440px\">{svg}</div>");
    }
    if quantity != Quantity::Rate {
        let figures = layer.runs.iter().filter_map(|run| Some(quantity.show(run.figure?)));
        let figures = figures.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "<p>Runs: {}</p>", escape(&figures));
    }
    if layer.runs.iter().all(|run| run.rate == 0.0) {
        return;
    }
    out.push_str(
        "<details><summary>All runs</summary><table class=\"stack\"><thead><tr><th>Run</th><th class=\"n\">Rate/s</th>\
         <th class=\"n\">Subject µs/op</th><th class=\"n\">Subject busy</th><th class=\"n\">Generator µs/op</th>\
         <th class=\"n\">Generator busy</th><th class=\"n\">λW/L</th></tr></thead><tbody>\n",
    );
    let digits = |value: Option<f64>| value.map_or("-".to_owned(), three_digits);
    let share = |value: Option<f64>| value.map_or("-".to_owned(), percent);
    for (i, run) in layer.runs.iter().enumerate() {
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\" data-name=\"run\">{}</td>{}{}{}{}{}{}</tr>",
            i + 1,
            number("Rate/s", &grouped(run.rate)),
            number("Subject µs/op", &digits(run.server_cpu_us)),
            number("Subject busy", &share(run.server_busy)),
            number("Generator µs/op", &digits(run.generator_cpu_us)),
            number("Generator busy", &share(run.generator_busy)),
            number("λW/L", &run.closure.map_or("-".to_owned(), |v| format!("{v:.3}"))),
        );
    }
    out.push_str("</tbody></table></details>\n");
}

/// The claim in its source's words, and why it is read the way it is.
pub(super) fn claim(report: &Report) -> String {
    let claim = &report.claim;
    let mut out = format!(
        "<h2>The claim</h2>\n<p>{}</p>\n<p class=\"soft\">{}</p>\n",
        escape(&claim.source.project),
        escape(&claim.source.document)
    );
    for quote in &claim.source.quotes {
        let _ = writeln!(out, "<blockquote>{}</blockquote>", escape(quote));
    }
    let stated = &claim.stated;
    let open = || "not stated".to_owned();
    let rows = [
        ("figure", claim.words()),
        ("tolerance", percent(claim.tolerance)),
        ("protocol", stated.protocol.clone().unwrap_or_else(open)),
        ("connections", stated.connections.map_or_else(open, |n| n.to_string())),
        ("pipelining depth", stated.depth.map_or_else(open, |n| n.to_string())),
        ("cores", stated.cores.map_or_else(open, |n| n.to_string())),
        ("hardware", stated.hardware.clone().unwrap_or_else(open)),
        ("rate", stated.rate.map_or_else(open, |rate| format!("{}/s", grouped(rate)))),
    ];
    let rows: Vec<Condition> = rows.into_iter().map(|(name, value)| Condition::new(name, value)).collect();
    out.push_str(&conditions(&rows));
    match &claim.taken_in {
        None => out.push_str("<p>A target, taken nowhere.</p>\n"),
        Some(taken) => {
            let reading = claim.taken().map_or(String::new(), |taken| taken.to_string());
            let _ = writeln!(out, "<p>Taken in: {}, because</p><ul>", escape(&reading));
            for why in &taken.why {
                let _ = writeln!(out, "<li>{}</li>", escape(why));
            }
            out.push_str("</ul>\n");
        }
    }
    out.push_str("<p>Read as:</p><ul>\n");
    for read in &claim.read_as {
        let _ = writeln!(out, "<li>{}: {}</li>", escape(&read.reading().to_string()), escape(&read.why));
    }
    out.push_str("</ul>\n");
    for note in &claim.audit.notes {
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", escape(note));
    }
    out
}

/// The machine.
pub(super) fn environment(report: &Report) -> String {
    format!("<h2>Where it was measured</h2>\n{}", conditions(&report.environment.facts))
}
