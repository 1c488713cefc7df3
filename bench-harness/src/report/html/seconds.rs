//! The runs second by second: rate and latency as lines, the heat map, and both as a table.

use std::fmt::Write;

use serde::Deserialize;

use super::parts::{figure, number};
use crate::bundle::RunDocument;
use crate::report::heat::{COLUMNS, HeatMap};
use crate::report::quantity::{grouped, seconds};
use crate::report::svg::heat::{self, SHADES};
use crate::report::svg::time::{Line, Measure, chart};
use crate::report::svg::{NARROW, Size, WIDE};
use crate::stats::spread::median;

/// A line has at most so many points.
const POINTS: usize = 240;
/// The table has at most so many rows.
const ROWS: usize = 12;
/// The height of each of the charts of lines.
const FLAT: Size = Size { width: WIDE.width, height: 210.0 };

/// A second of a run, as its JSON has it.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Second {
    start_s: f64,
    length_s: f64,
    completed: u64,
    p50_ns: u64,
    p99_ns: u64,
}

/// Several seconds put together.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: f64,
    end: f64,
    completed: u64,
    /// The median of the seconds' medians.
    p50: f64,
    /// The greatest of the seconds' 99th percentiles.
    p99: f64,
}

impl Span {
    fn rate(&self) -> f64 {
        self.completed as f64 / (self.end - self.start).max(1e-9)
    }

    fn middle(&self) -> f64 {
        (self.start + self.end) / 2.0
    }
}

/// The sections, as far as there are data for them.
pub(super) fn sections(out: &mut String, runs: &[RunDocument], heat: &[HeatMap]) {
    let seconds: Vec<Vec<Second>> = runs.iter().map(of).collect();
    let total: usize = seconds.iter().map(Vec::len).sum();
    if total > 0 {
        let each = total.div_ceil(POINTS).max(1);
        lines(out, &seconds, each);
    }
    heat_map(out, heat);
    if total > 0 {
        table(out, &seconds, total);
    }
}

/// The seconds of a run; none where it has none, such as another tool's.
fn of(run: &RunDocument) -> Vec<Second> {
    let intervals = run.other.get("intervals").cloned().unwrap_or_default();
    let seconds: Vec<Second> = serde_json::from_value(intervals).unwrap_or_default();
    // A rate over the last few milliseconds of a run is noise.
    seconds.into_iter().filter(|second| second.length_s > 0.5).collect()
}

fn spans(seconds: &[Second], each: usize) -> Vec<Span> {
    let together = |seconds: &[Second]| {
        let (first, last) = (seconds.first()?, seconds.last()?);
        let busy = || seconds.iter().filter(|second| second.completed > 0);
        Some(Span {
            start: first.start_s,
            end: last.start_s + last.length_s,
            completed: seconds.iter().map(|second| second.completed).sum(),
            p50: median(&busy().map(|second| second.p50_ns as f64).collect::<Vec<_>>()).unwrap_or(0.0),
            p99: busy().map(|second| second.p99_ns as f64).fold(0.0, f64::max),
        })
    };
    seconds.chunks(each).filter_map(together).collect()
}

fn lines(out: &mut String, seconds: &[Vec<Second>], each: usize) {
    let runs: Vec<Vec<Span>> = seconds.iter().map(|run| spans(run, each)).collect();
    let lengths: Vec<f64> = runs.iter().map(|run| run.last().map_or(0.0, |span| span.end)).collect();
    let line = |name, of: fn(&Span) -> f64| Line {
        name,
        runs: runs
            .iter()
            .map(|run| run.iter().map(|span| (span.middle(), of(span))).filter(|p| p.1 > 0.0).collect())
            .collect(),
    };
    // What lies between runs, warm-ups and restarts, is not drawn.
    let rate = [line("req/s", Span::rate)];
    let times = [line("p50", |span| span.p50), line("p99", |span| span.p99)];
    let narrow = Size { height: 200.0, ..NARROW };
    let mut section = |heading: &str, lines: &[Line<'_>], measure| {
        let draw = |size| chart(heading, &lengths, lines, measure, size);
        let (wide, narrow) = (draw(FLAT), draw(narrow));
        if wide.is_some() {
            let _ = writeln!(out, "<h2>{heading}</h2>");
            figure(out, wide, narrow);
        }
    };
    section("Throughput over time", &rate, Measure::Rate);
    section("Latency over time", &times, Measure::Nanos);
    let note = if each == 1 {
        "A point for each second.".to_owned()
    } else {
        format!(
            "A point for each {each} seconds: their rate, the median of their medians, and the greatest of their p99."
        )
    };
    let _ = writeln!(out, "<p class=\"soft small\">{note}</p>");
}

fn heat_map(out: &mut String, heat: &[HeatMap]) {
    let (wide, narrow) = (heat::chart(heat, COLUMNS, WIDE), heat::chart(heat, COLUMNS / 2, NARROW));
    if wide.is_none() {
        return;
    }
    out.push_str("<h2>Heat map of response times</h2>\n");
    figure(out, wide, narrow);
    out.push_str("<div class=\"key\">");
    for (shade, least) in SHADES.iter().enumerate() {
        let name = if *least == 0.0 { "any".to_owned() } else { format!("{} % and more", least * 100.0) };
        let _ = write!(out, "<span><i class=\"h{shade}\"></i>{name}</span>");
    }
    out.push_str("</div>\n<p class=\"soft small\">Each cell: its share of the requests that ended in its span of time.</p>\n");
}

/// Both charts in words, for whoever does not see them.
fn table(out: &mut String, seconds_of: &[Vec<Second>], total: usize) {
    let several = seconds_of.len() > 1;
    let each = total.div_ceil(ROWS).max(1);
    out.push_str(
        "<details><summary>Rate and latency over time as a table</summary><table class=\"stack\"><thead><tr><th>Seconds</th>\
         <th class=\"n\">Requests/s</th><th class=\"n\">Median p50</th><th class=\"n\">Greatest p99 of a second</th></tr>\
         </thead><tbody>\n",
    );
    for (run, own) in seconds_of.iter().enumerate().take(4 * ROWS) {
        for span in spans(own, each) {
            let name = if several { format!("run {}: ", run + 1) } else { String::new() };
            let _ = writeln!(
                out,
                "<tr><td class=\"lead\">{name}{:.0} to {:.0}</td>{}{}{}</tr>",
                span.start,
                span.end,
                number("Requests/s", &grouped(span.rate())),
                number("Median p50", &seconds(span.p50 / 1e9)),
                number("Greatest p99 of a second", &seconds(span.p99 / 1e9))
            );
        }
    }
    out.push_str("</tbody></table></details>\n");
}
