//! Rates: each run as a dot, and the interval that they span.

use std::fmt::Write;

use super::axis::{Scale, linear_marks, log_marks};
use super::{Plot, Size, dot, line, open, text};
use crate::report::LayerResult;
use crate::report::quantity::{grouped, short};
use crate::stats::Interval;

/// Height of a row in the chart of all layers.
const ROW: f64 = 50.0;

/// All layers against the claim on one logarithmic axis, or `None` when nothing was measured.
pub fn against(claim: f64, layers: &[LayerResult], width: f64) -> Option<String> {
    let rates: Vec<f64> =
        layers.iter().flat_map(|layer| layer.runs.iter().map(|run| run.rate)).filter(|r| *r > 0.0).collect();
    if rates.is_empty() {
        return None;
    }
    let low = rates.iter().copied().fold(claim, f64::min);
    let high = rates.iter().copied().fold(claim, f64::max);
    let mut marks = log_marks(low * 0.8, high * 1.2);
    if width < 500.0 {
        // Two marks for each decade would run into each other on a narrow chart.
        marks = log_marks(10f64.powf((low * 0.8).log10().floor()), 10f64.powf((high * 1.2).log10().ceil()));
        marks.retain(|mark| (mark.log10() - mark.log10().round()).abs() < 1e-9);
    }
    let size = Size { width, height: 28.0 + ROW * layers.len() as f64 + 44.0 };
    let plot = Plot { left: 24.0, right: width - 24.0, top: 28.0, bottom: size.height - 44.0 };
    let x = Scale::log((marks[0], marks[marks.len() - 1]), (plot.left, plot.right));
    let mut out = open(size, "Rate of each layer against the claim");
    for &mark in &marks {
        line(&mut out, "grid", (x.at(mark), plot.top), (x.at(mark), plot.bottom));
        text(&mut out, "tick", (x.at(mark), plot.bottom + 18.0), "middle", &round(mark));
    }
    text(
        &mut out,
        "axis",
        ((plot.left + plot.right) / 2.0, size.height - 6.0),
        "middle",
        "operations per second",
    );
    line(&mut out, "claim", (x.at(claim), plot.top - 6.0), (x.at(claim), plot.bottom));
    let anchor = if x.at(claim) > width / 2.0 { "end" } else { "start" };
    let beside = if anchor == "end" { -5.0 } else { 5.0 };
    let words = format!("claim {}", grouped(claim));
    text(&mut out, "claim-name", (x.at(claim) + beside, plot.top - 10.0), anchor, &words);
    for (i, layer) in layers.iter().enumerate() {
        row(&mut out, layer, plot.top + ROW * i as f64, &x, plot);
    }
    out.push_str("</svg>");
    Some(out)
}

fn row(out: &mut String, layer: &LayerResult, top: f64, x: &Scale, plot: Plot) {
    text(out, "row-name", (plot.left, top + 18.0), "start", &layer.reading.to_string());
    let middle = top + 34.0;
    line(out, "rail", (plot.left, middle), (plot.right, middle));
    if let Some(rate) = layer.rate {
        band(out, (x.at(rate.lower), middle - 7.0), (x.at(rate.upper), middle + 7.0));
    }
    for (i, run) in layer.runs.iter().enumerate() {
        dot(out, "dot", (x.at(run.rate), middle), 4.0, &format!("run {}: {}/s", i + 1, grouped(run.rate)));
    }
}

/// A filled rectangle at least a pixel wide and high, between two corners.
fn band(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let (left, top) = (from.0.min(to.0), from.1.min(to.1));
    let (width, height) = ((to.0 - from.0).abs().max(1.0), (to.1 - from.1).abs().max(1.0));
    let _ = write!(
        out,
        "<rect class=\"band\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    );
}

/// The runs of one layer in their order, on an axis of their own, or `None` without a run.
pub fn runs(layer: &LayerResult, size: Size) -> Option<String> {
    let rates: Vec<f64> = layer.runs.iter().map(|run| run.rate).collect();
    let (low, high) = span(&rates, layer.rate)?;
    let plot = Plot { left: 62.0, right: size.width - 10.0, top: 10.0, bottom: size.height - 30.0 };
    let x = Scale::linear((0.5, rates.len() as f64 + 0.5), (plot.left, plot.right));
    let y = Scale::linear((low, high), (plot.bottom, plot.top));
    let mut out = open(size, &format!("Rate of each run: {}", layer.reading));
    for mark in linear_marks(low, high, 4) {
        line(&mut out, "grid", (plot.left, y.at(mark)), (plot.right, y.at(mark)));
        text(&mut out, "tick", (plot.left - 7.0, y.at(mark) + 4.0), "end", &short(mark));
    }
    if let Some(rate) = layer.rate {
        band(&mut out, (plot.left, y.at(rate.upper)), (plot.right, y.at(rate.lower)));
        line(&mut out, "estimate", (plot.left, y.at(rate.estimate)), (plot.right, y.at(rate.estimate)));
    }
    for (i, &rate) in rates.iter().enumerate() {
        let at = x.at(i as f64 + 1.0);
        dot(&mut out, "dot", (at, y.at(rate)), 4.5, &format!("run {}: {}/s", i + 1, grouped(rate)));
        text(&mut out, "tick", (at, plot.bottom + 18.0), "middle", &(i + 1).to_string());
    }
    out.push_str("</svg>");
    Some(out)
}

/// An interval reaches at most so many times the range of the runs beyond them: with few runs it would flatten them.
const REACH: f64 = 2.0;

/// The range that holds every run, and the interval as far as it leaves them apart, with a margin of 2 % of the value at
/// least.
fn span(rates: &[f64], interval: Option<Interval>) -> Option<(f64, f64)> {
    let enclose = |(low, high): (f64, f64), value: f64| (f64::min(low, value), f64::max(high, value));
    let (low, high) = rates.iter().copied().fold((f64::INFINITY, f64::NEG_INFINITY), enclose);
    if !(low.is_finite() && high.is_finite()) {
        return None;
    }
    let reach = ((high - low) * REACH).max(high * 0.05);
    let ends = interval.into_iter().flat_map(|interval| [interval.lower, interval.upper]);
    let (low, high) = ends.map(|end| end.clamp(low - reach, high + reach)).fold((low, high), enclose);
    let margin = ((high - low) * 0.2).max(high * 0.02);
    Some(((low - margin).max(0.0), high + margin))
}

/// A round rate without needless decimals: `500 k`.
fn round(rate: f64) -> String {
    match rate {
        r if r >= 1e9 => format!("{} G", r / 1e9),
        r if r >= 1e6 => format!("{} M", r / 1e6),
        r if r >= 1e3 => format!("{} k", r / 1e3),
        r => format!("{r}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_interval_leaves_the_runs_apart() {
        let interval = |lower, upper| Some(Interval { estimate: 3.2e6, lower, upper, level: 0.95, runs: 3 });
        let runs = [0.7e6, 6.5e6, 7.0e6];
        let (low, high) = span(&runs, interval(1.3e5, 76e6)).unwrap();
        assert!(low == 0.0 && (19e6..30e6).contains(&high), "{low} {high}");
        let (low, high) = span(&runs, interval(0.5e6, 8e6)).unwrap();
        assert!(low == 0.0 && (8e6..10e6).contains(&high), "{low} {high}");
        assert_eq!(span(&[], interval(1.0, 2.0)), None);
    }
}
