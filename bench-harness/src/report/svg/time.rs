//! Axes of time, on which several runs follow one another, and lines over them.

use super::axis::{Scale, linear_marks, log_marks, short_time, spaced};
use super::{Plot, Size, line, open, path, text};
use crate::report::quantity::short;
use crate::verdict::quantity::bytes;

/// The runs of a chart, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    lengths: Vec<f64>,
    scale: Scale,
}

impl Timeline {
    /// A line of runs with these lengths in seconds.
    pub(super) fn new(lengths: &[f64], plot: Plot) -> Timeline {
        let total = lengths.iter().sum::<f64>().max(1e-9);
        Timeline { lengths: lengths.to_vec(), scale: Scale::linear((0.0, total), (plot.left, plot.right)) }
    }

    /// Where second `at` of a run lies.
    pub(super) fn at(&self, run: usize, at: f64) -> f64 {
        self.scale.at(self.lengths[..run].iter().sum::<f64>() + at)
    }

    /// Draws the marks: times of a single run, else where each run begins.
    pub(super) fn marks(&self, out: &mut String, plot: Plot, size: Size) {
        let middle = ((plot.left + plot.right) / 2.0, size.height - 4.0);
        if let [length] = self.lengths[..] {
            let (unit, name) = unit_of(length);
            let count = if size.width < 500.0 { 4 } else { 8 };
            for mark in linear_marks(0.0, length / unit, count) {
                let at = self.scale.at(mark * unit);
                line(out, "grid", (at, plot.top), (at, plot.bottom));
                text(out, "tick", (at, plot.bottom + 18.0), "middle", &format!("{mark}"));
            }
            text(out, "axis", middle, "middle", &format!("{name} since the window opened"));
            return;
        }
        let mut named = f64::NEG_INFINITY;
        for (run, length) in self.lengths.iter().enumerate() {
            let (begin, centre) = (self.at(run, 0.0), self.at(run, length / 2.0));
            if run > 0 {
                line(out, "border", (begin, plot.top), (begin, plot.bottom));
            }
            if centre - named >= 26.0 {
                named = centre;
                text(out, "tick", (centre, plot.bottom + 18.0), "middle", &(run + 1).to_string());
            }
        }
        text(out, "axis", middle, "middle", "run, each second by second");
    }
}

fn unit_of(seconds: f64) -> (f64, &'static str) {
    match seconds {
        s if s >= 7200.0 => (3600.0, "hours"),
        s if s >= 120.0 => (60.0, "minutes"),
        _ => (1.0, "seconds"),
    }
}

/// A value over time, in each run.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// What it is.
    pub name: &'a str,
    /// Points of each run: when, in seconds since its beginning, and what.
    pub runs: Vec<Vec<(f64, f64)>>,
}

/// What the vertical axis measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Requests per second, from 0.
    Rate,
    /// Bytes, from 0.
    Bytes,
    /// Nanoseconds, logarithmic.
    Nanos,
}

/// Lines over the time of runs of these lengths in seconds, or `None` without a positive value.
pub fn chart(
    label: &str,
    lengths: &[f64],
    lines: &[Line<'_>],
    measure: Measure,
    size: Size,
) -> Option<String> {
    let values = || lines.iter().flat_map(|l| l.runs.iter().flatten()).map(|p| p.1).filter(|v| *v > 0.0);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let low = values().fold(f64::INFINITY, f64::min);
    if !(high.is_finite() && low.is_finite()) {
        return None;
    }
    let plot = Plot { left: 58.0, right: size.width - 44.0, top: 14.0, bottom: size.height - 40.0 };
    let x = Timeline::new(lengths, plot);
    let vertical = (plot.bottom, plot.top);
    let (y, marks) = match measure {
        Measure::Rate | Measure::Bytes => {
            (Scale::linear((0.0, high * 1.08), vertical), linear_marks(0.0, high * 1.08, 4))
        }
        Measure::Nanos => {
            let marks = log_marks(low, high);
            (Scale::log((marks[0], marks[marks.len() - 1]), vertical), spaced(marks, plot))
        }
    };
    let mut out = open(size, label);
    for &mark in &marks {
        line(&mut out, "grid", (plot.left, y.at(mark)), (plot.right, y.at(mark)));
        let name = match measure {
            Measure::Rate | Measure::Bytes if mark == 0.0 => "0".to_owned(),
            Measure::Rate => short(mark),
            Measure::Bytes => bytes(mark),
            Measure::Nanos => short_time(mark),
        };
        text(&mut out, "tick", (plot.left - 8.0, y.at(mark) + 4.0), "end", &name);
    }
    x.marks(&mut out, plot, size);
    let mut name_above = f64::NEG_INFINITY;
    for (i, series) in lines.iter().enumerate().rev() {
        for (run, points) in series.runs.iter().enumerate() {
            let class = format!("over s{}", i % super::latency::COLOURS);
            // A line of one point shows nothing.
            let points = match points[..] {
                [(at, value)] => vec![(0.0, value), (2.0 * at, value)],
                _ => points.clone(),
            };
            path(&mut out, &class, points.iter().map(|&(at, value)| (x.at(run, at), y.at(value))));
        }
        let last = series.runs.last().and_then(|points| points.last());
        if let Some(&(_, value)) = last {
            let at = y.at(value).max(name_above + 14.0);
            name_above = at;
            let class = format!("name s{}", i % super::latency::COLOURS);
            text(&mut out, &class, (plot.right + 5.0, at + 4.0), "start", series.name);
        }
    }
    out.push_str("</svg>");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::{NARROW, WIDE};

    fn lines(runs: usize) -> Vec<Line<'static>> {
        let points: Vec<(f64, f64)> = (0..30).map(|i| (f64::from(i), 1e5 + f64::from(i) * 1e4)).collect();
        vec![
            Line { name: "p50", runs: vec![points.clone(); runs] },
            Line { name: "p99", runs: vec![points.iter().map(|p| (p.0, p.1 * 3.0)).collect(); runs] },
        ]
    }

    #[test]
    fn one_run_has_marks_of_time_and_several_have_numbers() {
        let svg = chart("Latency", &[30.0], &lines(1), Measure::Nanos, WIDE).unwrap();
        assert!(svg.contains("seconds since the window opened") && svg.contains(">25<"), "{svg}");
        assert_eq!((svg.matches("class=\"over s").count(), svg.matches("class=\"border\"").count()), (2, 0));
        let svg = chart("Latency", &[30.0; 3], &lines(3), Measure::Rate, NARROW).unwrap();
        assert_eq!((svg.matches("class=\"over s").count(), svg.matches("class=\"border\"").count()), (6, 2));
        let day = chart("Rate", &[86_400.0], &lines(1), Measure::Rate, WIDE).unwrap();
        assert!(day.contains("hours since"), "{day}");
    }

    #[test]
    fn nothing_measured_is_no_chart() {
        let none = [Line { name: "p50", runs: vec![vec![(1.0, 0.0)]] }];
        assert_eq!(chart("Latency", &[1.0], &none, Measure::Nanos, WIDE), None);
        assert_eq!(chart("Latency", &[], &[], Measure::Rate, WIDE), None);
    }
}
