//! Latency by percentile, on a nines axis.

use std::fmt::Write;

use super::axis::{Scale, log_marks, percentile_marks, short_time, spaced};
use super::{Plot, Size, area, dot, line, open, path, text};
use crate::report::Curve;
use crate::report::quantity::{percentile, seconds};
use crate::report::ribbon::ribbon;
use crate::report::text::wrap::shortened;
use crate::stats::quantile::nines;

/// One distribution: all runs together, and each run as a thin line behind.
#[derive(Debug, Clone, Copy)]
pub struct Series<'a> {
    /// What it is.
    pub name: &'a str,
    /// All runs together.
    pub merged: &'a Curve,
    /// Each run.
    pub runs: &'a [Curve],
    /// What one run alone says of its percentiles: a position on the nines axis, and the nanoseconds below and above. It is
    /// the ribbon where there are no other runs to say more.
    pub within: &'a [Bounds],
}

/// A position on the nines axis, and the nanoseconds below and above.
pub type Bounds = (f64, f64, f64);

/// Nanoseconds below which nothing is told apart: no clock does, and a lateness of nothing would stretch the axis.
const LEAST: f64 = 100.0;
/// A curve has a name of at most so many characters at its end.
const NAME: usize = 10;
/// More runs than this are not drawn each: the ribbon says what they say.
const MOST: usize = 10;
/// A ribbon reaches at most so many times beyond the curves: with two runs it would flatten everything else.
const REACH: f64 = 2.0;
/// How many series have a colour of their own.
pub const COLOURS: usize = 3;

/// The chart, or `None` when no series has a point.
///
/// The horizontal axis is -log10(1-q), so that p90, p99 and p99.9 are equally far apart; the vertical one is
/// logarithmic.
pub fn chart(label: &str, series: &[Series<'_>], size: Size) -> Option<String> {
    let ranges: Vec<_> =
        series.iter().flat_map(|s| s.runs.iter().chain([s.merged])).filter_map(Curve::range).collect();
    let low = (ranges.iter().map(|r| r.0.as_nanos()).min()? as f64).max(LEAST);
    let high = (ranges.iter().map(|r| r.1.as_nanos()).max()? as f64).max(LEAST);
    let ribbon_of = |s: &Series<'_>| if s.runs.len() > 1 { ribbon(s.runs) } else { s.within.to_vec() };
    let ribbons: Vec<Vec<Bounds>> = series.iter().map(ribbon_of).collect();
    let (low, high) = with_ribbons(&ribbons, low, high);
    let end = series.iter().map(|s| s.merged.end()).fold(1.0, f64::max);
    let plot = Plot { left: 58.0, right: size.width - 74.0, top: 14.0, bottom: size.height - 40.0 };
    let marks = log_marks(low, high);
    let x = Scale::linear((0.0, end), (plot.left, plot.right));
    let y = Scale::log((marks[0], marks[marks.len() - 1]), (plot.bottom, plot.top));
    let marks = spaced(marks, plot);

    let mut out = open(size, label);
    for &mark in &marks {
        line(&mut out, "grid", (plot.left, y.at(mark)), (plot.right, y.at(mark)));
        text(&mut out, "tick", (plot.left - 8.0, y.at(mark) + 4.0), "end", &short_time(mark));
    }
    percentile_marks(&mut out, &x, plot, end, size);
    for (i, points) in ribbons.iter().enumerate() {
        let side = |of: fn(&Bounds) -> f64| -> Vec<(f64, f64)> {
            points.iter().map(|point| (x.at(point.0), y.at(of(point)))).collect()
        };
        area(&mut out, &format!("ribbon s{}", i % COLOURS), &side(|point| point.2), &side(|point| point.1));
    }
    for (i, s) in series.iter().enumerate() {
        for run in s.runs.iter().filter(|_| s.runs.len() <= MOST) {
            path(&mut out, &format!("run s{}", i % COLOURS), positions(run, &x, &y));
        }
    }
    for (i, s) in series.iter().enumerate() {
        path(&mut out, &format!("merged s{}", i % COLOURS), positions(s.merged, &x, &y));
        marks_on(&mut out, s, i, (&x, &y));
    }
    labels(&mut out, series, &x, &y, plot);
    out.push_str("</svg>");
    Some(out)
}

/// The range of the axis once the ribbons are in it, as far as they leave the curves visible.
fn with_ribbons(ribbons: &[Vec<Bounds>], low: f64, high: f64) -> (f64, f64) {
    let points = || ribbons.iter().flatten();
    let lowest = points().map(|point| point.1).fold(low, f64::min);
    let highest = points().map(|point| point.2).fold(high, f64::max);
    (lowest.max(low / REACH).max(LEAST), highest.min(high * REACH))
}

fn positions<'a>(curve: &'a Curve, x: &'a Scale, y: &'a Scale) -> impl Iterator<Item = (f64, f64)> + 'a {
    curve.points.iter().map(|&(nines, nanos)| (x.at(nines), y.at(nanos as f64)))
}

fn marks_on(out: &mut String, series: &Series<'_>, index: usize, (x, y): (&Scale, &Scale)) {
    for q in [0.5, 0.9, 0.99, 0.999, 0.9999] {
        let Some(point) = nearest(series.merged, nines(q)) else { continue };
        let value = seconds(point.1 as f64 / 1e9);
        let title = format!("{} {}: {value}", series.name, percentile(q));
        let class = format!("mark s{}", index % COLOURS);
        dot(out, &class, (x.at(point.0), y.at(point.1 as f64)), 3.5, &title);
    }
}

/// The curve's point closest to a position, when the curve reaches it.
fn nearest(curve: &Curve, position: f64) -> Option<(f64, u64)> {
    if position > curve.end() + 1e-9 {
        return None;
    }
    curve.points.iter().copied().min_by(|a, b| (a.0 - position).abs().total_cmp(&(b.0 - position).abs()))
}

/// Names the curves at their ends, moved apart where they would overlap.
fn labels(out: &mut String, series: &[Series<'_>], x: &Scale, y: &Scale, plot: Plot) {
    const LINE: f64 = 15.0;
    let mut ends: Vec<(usize, f64, f64)> = series
        .iter()
        .enumerate()
        .filter_map(|(i, s)| s.merged.points.last().map(|p| (i, x.at(p.0), y.at(p.1 as f64))))
        .collect();
    ends.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut previous = f64::NEG_INFINITY;
    for (i, at_x, at_y) in ends {
        let at_y = at_y.max(previous + LINE).max(plot.top + 6.0);
        previous = at_y;
        let _ = write!(
            out,
            "<text class=\"name s{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            i % COLOURS,
            at_x + 8.0,
            at_y + 4.0,
            super::escape(&shortened(series[i].name, NAME))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(factor: u64) -> Curve {
        let points = (0..=75).map(|i| (f64::from(i) * 0.04, factor * (50_000 + 2_000 * i as u64))).collect();
        Curve { label: "run".into(), samples: 10_000, points }
    }

    #[test]
    fn it_has_a_path_for_each_curve_and_marks_for_percentiles() {
        let (merged, runs) = (curve(1), [curve(1), curve(2)]);
        let series = [Series { name: "response", merged: &merged, runs: &runs, within: &[] }];
        let svg = chart("Latency", &series, super::super::WIDE).unwrap();
        assert_eq!(svg.matches("<path").count(), 4, "the ribbon, two runs, and both together");
        assert_eq!(svg.matches("<circle").count(), 4, "p50, p90, p99 and p99.9");
        assert!(svg.contains("p99.9") && !svg.contains("p99.99<"));
        assert!(svg.contains("response p99: 150 µs"), "{svg}");
    }

    #[test]
    fn a_ribbon_lies_behind_the_curves_of_two_runs_and_does_not_set_the_axis() {
        let (merged, runs) = (curve(1), [curve(1), curve(9)]);
        let svg = chart(
            "Latency",
            &[Series { name: "a", merged: &merged, runs: &runs, within: &[] }],
            super::super::WIDE,
        );
        let svg = svg.unwrap();
        assert!(svg.find("ribbon s0").unwrap() < svg.find("run s0").unwrap(), "{svg}");
        assert!(
            svg.contains("5 ms<") && !svg.contains("100 ms<"),
            "a t of one degree of freedom is wide: {svg}"
        );
        let many: Vec<Curve> = (0..11).map(|i| curve(1 + i % 2)).collect();
        let svg = chart(
            "Latency",
            &[Series { name: "a", merged: &merged, runs: &many, within: &[] }],
            super::super::WIDE,
        );
        assert_eq!(svg.unwrap().matches("<path").count(), 2, "the ribbon and all runs together");
    }

    #[test]
    fn one_run_has_the_ribbon_of_what_it_says_itself_and_several_have_their_own() {
        let within = [(0.3, 50_000.0, 60_000.0), (1.0, 90_000.0, 110_000.0), (2.0, 140_000.0, 170_000.0)];
        let merged = curve(1);
        let draw = |runs: &[Curve]| {
            let series = [Series { name: "a", merged: &merged, runs, within: &within }];
            chart("Latency", &series, super::super::WIDE).unwrap()
        };
        let alone = draw(&[curve(1)]);
        assert_eq!(alone.matches("ribbon s0").count(), 1, "{alone}");
        let points = |svg: &str| {
            svg.split("ribbon s0").nth(1).unwrap().split("/>").next().unwrap().matches('L').count()
        };
        assert!(points(&alone) < points(&draw(&[curve(1), curve(2)])), "{alone}");
    }

    #[test]
    fn no_data_make_no_chart() {
        let empty = Curve { label: "none".into(), samples: 0, points: Vec::new() };
        assert_eq!(
            chart(
                "Latency",
                &[Series { name: "x", merged: &empty, runs: &[], within: &[] }],
                super::super::WIDE
            ),
            None
        );
        assert_eq!(chart("Latency", &[], super::super::WIDE), None);
    }
}
