//! Charts with the words and tables that belong to them.

use std::fmt::Write;

use super::parts::{figure, number};
use crate::record::Hist;
use crate::report::quantity::{change, grouped, percentile, range, seconds};
use crate::report::svg::latency::{Bounds, Series, chart};
use crate::report::svg::{NARROW, WIDE, escape, shift};
use crate::report::{Clock, Curve, Percentile};
use crate::stats::shift::Shift;
use crate::stats::{Bearing, Interval};

/// The curves of several runs: all together, and each.
#[derive(Debug)]
pub(crate) struct Curves {
    merged: Curve,
    runs: Vec<Curve>,
    within: Vec<Bounds>,
}

impl Curves {
    /// The curves of these runs.
    pub(crate) fn of(runs: &[&Hist]) -> Curves {
        let mut sum = Hist::new();
        runs.iter().for_each(|run| sum.add(run));
        let each = runs.iter().enumerate().map(|(i, run)| Curve::of(format!("run {}", i + 1), run));
        Curves { merged: Curve::of("all runs", &sum), runs: each.collect(), within: Vec::new() }
    }

    /// The same with what one run says of its own percentiles.
    pub(crate) fn with(self, within: Vec<Bounds>) -> Curves {
        Curves { within, ..self }
    }
}

/// Latency by percentile of several things, over each other; at most three.
pub(crate) fn overlay(out: &mut String, curves: &[(&str, Curves)]) {
    let series: Vec<Series<'_>> = curves
        .iter()
        .map(|(name, curves)| Series {
            name,
            merged: &curves.merged,
            runs: &curves.runs,
            within: &curves.within,
        })
        .collect();
    let names: Vec<&str> = curves.iter().map(|(name, _)| *name).collect();
    let label = format!("Latency by percentile: {}", names.join(", "));
    let (wide, narrow) = (chart(&label, &series, WIDE), chart(&label, &series, NARROW));
    if wide.is_none() {
        return;
    }
    out.push_str("<h2>Latency by percentile</h2>\n");
    figure(out, wide, narrow);
    out.push_str("<p class=\"soft small\">");
    if curves.iter().any(|(_, curves)| curves.runs.len() > 1) {
        out.push_str(
            "Thick: all runs together. Thin: each run, up to ten of them. Ribbon: 95 % interval of each percentile over \
             the runs. ",
        );
    } else if curves.iter().any(|(_, curves)| curves.within.len() > 1) {
        out.push_str(
            "Ribbon: 95 % interval of each percentile within this one run, from the requests that are independent of each \
             other. Another run lies outside it more often than not: an interval over runs comes from repeats. ",
        );
    } else {
        out.push_str("One run has no ribbon: an interval comes from repeats. ");
    }
    let counts =
        curves.iter().map(|(name, c)| format!("{} {}", escape(name), grouped(c.merged.samples as f64)));
    let _ = writeln!(out, "Requests: {}.</p>", counts.collect::<Vec<_>>().join(", "));
}

/// The shift function of `b` against `a` as a chart and, for whoever does not see it, as a table; nothing without a
/// point.
pub(crate) fn shift_section(out: &mut String, [a, b]: [&str; 2], shift: &[Shift]) {
    if shift.is_empty() {
        return;
    }
    out.push_str("<h2>Shift of each percentile</h2>\n");
    figure(out, shift::chart([a, b], shift, WIDE), shift::chart([a, b], shift, NARROW));
    let bands = if shift.iter().any(|point| point.pointwise.is_some()) {
        "Dark band: 95 % interval at each percentile alone, over runs. Light band: the interval that holds at all of \
         them at once."
    } else {
        "No bands: two or more runs on each side are needed for an interval."
    };
    let _ = writeln!(
        out,
        "<p class=\"soft small\">Ratio of {} over {}, geometric means of the runs. {bands}</p>\n\
         <details><summary>As a table</summary><table class=\"stack\"><thead><tr><th>Percentile</th><th class=\"n\">{}</th>\
         <th class=\"n\">{}</th><th class=\"n\">Change</th><th class=\"n\">Alone</th><th class=\"n\">At once</th></tr>\
         </thead><tbody>",
        escape(b),
        escape(a),
        escape(a),
        escape(b)
    );
    let bounds =
        |interval: Option<Interval>| interval.map_or("-".to_owned(), |i| range(i.lower, i.upper, change));
    for point in shift {
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td>{}{}{}{}{}</tr>",
            percentile(point.q),
            number(&escape(a), &seconds(point.a_ns / 1e9)),
            number(&escape(b), &seconds(point.b_ns / 1e9)),
            number("Change", &change(point.ratio)),
            number("Alone", &bounds(point.pointwise)),
            number("At once", &bounds(point.simultaneous)),
        );
    }
    out.push_str("</tbody></table></details>\n");
}

/// The table of percentiles by clock.
pub(crate) fn percentiles(out: &mut String, clocks: &[Clock]) {
    let Some(first) = clocks.first() else { return };
    out.push_str("<table><thead><tr><th>Percentile</th>");
    for clock in clocks {
        let _ = write!(out, "<th class=\"n\">{}</th>", escape(clock.name));
    }
    out.push_str("</tr></thead><tbody>\n");
    for (i, row) in first.percentiles.iter().enumerate() {
        let _ = write!(out, "<tr><td>{}</td>", percentile(row.q));
        for clock in clocks {
            let _ = write!(out, "<td class=\"n\">{}</td>", cell(&clock.percentiles[i]));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("<tr><td>max</td>");
    for clock in clocks {
        let _ = write!(out, "<td class=\"n\">{}</td>", seconds(clock.max_ns as f64 / 1e9));
    }
    out.push_str("</tr>\n</tbody></table>\n");
}

/// A length of time that no line break takes apart.
fn whole(value: f64) -> String {
    seconds(value).replace(' ', "\u{a0}")
}

/// The value above its interval, or why there is none.
fn cell(percentile: &Percentile) -> String {
    let withheld = |word: &str, why: &str| format!("<span class=\"soft\" title=\"{why}\">{word}</span>");
    match (percentile.value_ns, percentile.bearing) {
        (Some(nanos), _) => {
            let interval = percentile.interval.map_or(String::new(), |v| {
                format!(
                    "<br><span class=\"soft small\">{} – {}</span>",
                    whole(v.lower / 1e9),
                    whole(v.upper / 1e9)
                )
            });
            format!("{}{interval}", whole(nanos as f64 / 1e9))
        }
        (None, Bearing::Unsteady) => {
            withheld("unsteady", "the runs disagree about how many requests lie above")
        }
        (None, _) => withheld("too few", "fewer than ten requests lie above"),
    }
}
