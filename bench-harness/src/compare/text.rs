//! The comparison for a terminal.

use std::fmt::Write as _;

use super::{Comparison, GateVerdict, MetricResult};
use crate::bundle::Metric;
use crate::report::quantity::{change as signed, percent, percentile, range, seconds};
use crate::report::text::table::{Align, Table};
use crate::report::text::wrap::{shortened, wrap};
use crate::stats::ratio::Finding;

/// How wide the text is at most.
const WIDTH: usize = 80;
/// How wide the name over a column is at most.
const HEADING: usize = 12;
/// The quantiles of the shift function that fit a terminal.
const SHOWN: [f64; 9] = [0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9995, 0.9999];

impl Comparison {
    /// The comparison as lines of at most 80 columns.
    pub fn to_text(&self) -> String {
        let [a, b] = &self.sides;
        let runs = |count| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
        let mut out = String::new();
        if let Some(why) = &self.invalid {
            wrap(&mut out, "INVALID    ", &format!("{why}: the numbers below prove nothing"), WIDTH);
        }
        let head = format!(
            "{} ({}) against {} ({}); ratios are {} over {}",
            b.name,
            runs(b.runs),
            a.name,
            runs(a.runs),
            b.name,
            a.name
        );
        wrap(&mut out, "", &head, WIDTH);
        out.push('\n');
        let (left, right) = self.headings();
        let mut table = Table::new(&[
            ("", Align::Left),
            (&left, Align::Right),
            (&right, Align::Right),
            ("change", Align::Right),
            ("95 % interval", Align::Right),
            ("finding", Align::Left),
        ]);
        for metric in &self.metrics {
            table.row(vec![
                metric.name.clone(),
                value(metric, metric.a),
                value(metric, metric.b),
                signed(metric.ratio),
                interval(metric),
                finding(metric).to_owned(),
            ]);
        }
        let _ = write!(out, "{table}");
        self.shift_table(&mut out);
        if let Some(distance) = &self.distance {
            let p = match (distance.p, distance.p_of_these_runs) {
                (Some(p), _) => format!(", p {p:.3} by relabelling runs"),
                (None, Some(p)) => format!(", p {p:.3} by independent requests, of these runs and no others"),
                (None, None) => String::new(),
            };
            let text = format!(
                "Kolmogorov-Smirnov {:.3}{p}; the average request moved by {} (Wasserstein); a request of {} is the slower \
                 one in {} of pairs (Cliff's delta {:+.3})",
                distance.kolmogorov_smirnov,
                seconds(distance.wasserstein_ns / 1e9),
                b.name,
                percent(distance.superiority),
                distance.cliffs_delta
            );
            out.push('\n');
            wrap(&mut out, "distance   ", &text, WIDTH);
        }
        for warning in &self.warnings {
            wrap(&mut out, "warning    ", warning, WIDTH);
        }
        for gate in &self.gates {
            let text = format!("{} {}: {}", gate.gate, word(gate.verdict), gate.detail);
            wrap(&mut out, "gate       ", &text, WIDTH);
        }
        out
    }

    /// The names of both sides, short enough to stand over a column.
    fn headings(&self) -> (String, String) {
        let [a, b] = &self.sides;
        (shortened(&a.name, HEADING), shortened(&b.name, HEADING))
    }

    fn shift_table(&self, out: &mut String) {
        if self.shift.is_empty() {
            return;
        }
        out.push_str("\nshift of each quantile (the interval holds at all of them at once)\n");
        let (left, right) = self.headings();
        let mut table = Table::new(&[
            ("", Align::Left),
            (&left, Align::Right),
            (&right, Align::Right),
            ("change", Align::Right),
            ("interval", Align::Right),
        ]);
        for point in self.shift.iter().filter(|point| SHOWN.contains(&point.q)) {
            let bounds = point
                .simultaneous
                .map_or("-".to_owned(), |interval| range(interval.lower, interval.upper, signed));
            table.row(vec![
                percentile(point.q),
                seconds(point.a_ns / 1e9),
                seconds(point.b_ns / 1e9),
                signed(point.ratio),
                bounds,
            ]);
        }
        let _ = write!(out, "{table}");
    }
}

pub(super) fn value(metric: &MetricResult, value: f64) -> String {
    metric.name.parse::<Metric>().map_or_else(|_| value.to_string(), |metric| metric.format(value))
}

pub(super) fn interval(metric: &MetricResult) -> String {
    metric.interval.map_or("-".to_owned(), |interval| range(interval.lower, interval.upper, signed))
}

pub(super) fn finding(metric: &MetricResult) -> &'static str {
    match metric.finding {
        Finding::Equivalent => "equivalent",
        Finding::Higher => "higher",
        Finding::Lower => "lower",
        Finding::Inconclusive => "inconclusive",
    }
}

pub(super) fn word(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Passed => "passed",
        GateVerdict::Inconclusive => "INCONCLUSIVE",
        GateVerdict::Failed => "FAILED",
    }
}
