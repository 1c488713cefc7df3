//! The comparison as a page.

use std::fmt::Write as _;

use super::text::{finding, interval, value, word};
use super::{Comparison, Distance, GateVerdict, Side};
use crate::bundle::MetricError;
use crate::record::Hist;
use crate::report::html::parts::{document, number, tag};
use crate::report::html::plots::{Curves, overlay, shift_section};
use crate::report::quantity::{change, percent, seconds};
use crate::report::svg::escape;

impl Comparison {
    /// The comparison as a page that needs nothing else: inline charts, no script, for light and dark, under 300 KB.
    ///
    /// `a` and `b` are the sides that were compared.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn to_html(&self, a: &Side, b: &Side) -> Result<String, MetricError> {
        let [left, right] = &self.sides;
        let mut body = self.head();
        body.push_str(if self.invalid.is_none() { "<div>\n" } else { "<div class=\"void\">\n" });
        self.gate_table(&mut body);
        self.metric_table(&mut body);
        if let Some(distance) = &self.distance {
            effect(&mut body, distance, &right.name);
        }
        shift_section(&mut body, [&left.name, &right.name], &self.shift);
        if let (Some(left), Some(right)) = (super::histograms(a)?, super::histograms(b)?) {
            let curves = |hists: &[Hist]| Curves::of(&hists.iter().collect::<Vec<_>>());
            overlay(&mut body, &[(&a.name, curves(&left)), (&b.name, curves(&right))]);
        }
        body.push_str("</div>\n");
        self.difference_table(&mut body);
        Ok(document(&format!("{} against {}", right.name, left.name), &body))
    }

    fn head(&self) -> String {
        let [a, b] = &self.sides;
        let mut out = format!("<h1>{} against {}</h1>\n", escape(&b.name), escape(&a.name));
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} against {} runs. Ratios are {} over {}: the geometric mean of the runs of each.</p>",
            b.runs,
            a.runs,
            escape(&b.name),
            escape(&a.name)
        );
        if let Some(why) = &self.invalid {
            let _ = writeln!(
                out,
                "<div class=\"verdict bad\"><strong>INVALID</strong>{}: the numbers prove nothing.</div>",
                escape(why)
            );
        } else if !self.gates.is_empty() {
            let (class, label) = tone(self.verdict());
            let text = match self.verdict() {
                GateVerdict::Passed => "Every gate holds.",
                GateVerdict::Inconclusive => {
                    "The runs do not decide: more of them are needed, or longer ones."
                }
                GateVerdict::Failed => "A gate failed, with its whole interval where there is one.",
            };
            let _ = writeln!(out, "<div class=\"verdict {class}\"><strong>{label}</strong>{text}</div>");
        }
        warnings(&mut out, &self.warnings);
        out
    }

    fn gate_table(&self, out: &mut String) {
        if self.gates.is_empty() {
            return;
        }
        out.push_str(
            "<h2>Gates</h2>\n<table class=\"stack\"><thead><tr><th>Gate</th><th>Verdict</th><th>Found</th></tr></thead>\
             <tbody>\n",
        );
        for gate in &self.gates {
            let (class, _) = tone(gate.verdict);
            let _ = writeln!(
                out,
                "<tr><td class=\"lead\">{}</td><td data-name=\"Verdict\">{}</td><td data-name=\"Found\">{}</td></tr>",
                escape(&gate.gate),
                tag(class, &word(gate.verdict).to_lowercase()),
                escape(&gate.detail)
            );
        }
        out.push_str("</tbody></table>\n");
    }

    fn metric_table(&self, out: &mut String) {
        let [a, b] = [escape(&self.sides[0].name), escape(&self.sides[1].name)];
        let _ = writeln!(
            out,
            "<h2>What changed</h2>\n<table class=\"stack\"><thead><tr><th></th><th class=\"n\">{a}</th><th class=\"n\">{b}\
             </th><th class=\"n\">Change</th><th class=\"n\">95 % interval</th><th>Finding</th></tr></thead><tbody>"
        );
        for metric in &self.metrics {
            let _ = writeln!(
                out,
                "<tr><td class=\"lead\">{}</td>{}{}{}{}<td data-name=\"Finding\">{}</td></tr>",
                escape(&metric.name),
                number(&a, &value(metric, metric.a)),
                number(&b, &value(metric, metric.b)),
                number("Change", &change(metric.ratio)),
                number("95 % interval", &interval(metric)),
                finding(metric)
            );
        }
        out.push_str(
            "</tbody></table>\n<p class=\"soft small\">Interval: Welch's t on the logarithms of the runs. Findings are \
             adjusted by Holm for there being several numbers.</p>\n",
        );
    }

    fn difference_table(&self, out: &mut String) {
        let [a, b] = [escape(&self.sides[0].name), escape(&self.sides[1].name)];
        out.push_str("<h2>Conditions and environment</h2>\n");
        if self.differences.is_empty() {
            out.push_str("<p>No condition differs, and no fact of the machines that was recorded.</p>\n");
            return;
        }
        let _ = writeln!(
            out,
            "<table class=\"stack\"><thead><tr><th>What differs</th><th>{a}</th><th>{b}</th></tr></thead><tbody>"
        );
        for difference in &self.differences {
            let _ = writeln!(
                out,
                "<tr><td class=\"lead\">{}</td><td data-name=\"{a}\">{}</td><td data-name=\"{b}\">{}</td></tr>",
                escape(&difference.name),
                escape(&difference.a),
                escape(&difference.b)
            );
        }
        out.push_str("</tbody></table>\n");
    }
}

/// The warnings; many of them are folded up.
fn warnings(out: &mut String, warnings: &[String]) {
    let many = warnings.len() > 4;
    if many {
        let label = tag("warn", &format!("{} warnings", warnings.len()));
        let _ = writeln!(out, "<details><summary>{label} about the runs and their conditions</summary>");
    }
    for warning in warnings {
        let _ = writeln!(out, "<p>{} {}</p>", tag("warn", "warning"), escape(warning));
    }
    if many {
        out.push_str("</details>\n");
    }
}

fn tone(verdict: GateVerdict) -> (&'static str, &'static str) {
    match verdict {
        GateVerdict::Passed => ("good", "PASSED"),
        GateVerdict::Inconclusive => ("warn", "INCONCLUSIVE"),
        GateVerdict::Failed => ("bad", "FAILED"),
    }
}

/// Sizes of the difference, which no number of requests makes significant.
fn effect(out: &mut String, distance: &Distance, b: &str) {
    let p = match (distance.p, distance.p_of_these_runs) {
        (Some(p), _) => format!("; p {p:.3} by relabelling whole runs"),
        (None, Some(p)) => format!("; p {p:.3} by their independent requests, of these runs and no others"),
        (None, None) => String::new(),
    };
    let rows = [
        (
            "Kolmogorov-Smirnov D",
            format!("{:.3}", distance.kolmogorov_smirnov),
            format!("the largest difference of the shares of requests at or below a time{p}"),
        ),
        (
            "Wasserstein distance",
            seconds(distance.wasserstein_ns / 1e9),
            "by how much the average request moved".to_owned(),
        ),
        (
            "Cliff's delta",
            format!("{:+.3}", distance.cliffs_delta),
            format!(
                "from -1 to 1; a request of {b} is the slower one in {} of pairs",
                percent(distance.superiority)
            ),
        ),
    ];
    out.push_str(
        "<h2>Size of the difference</h2>\n<table class=\"stack\"><thead><tr><th>Effect</th><th class=\"n\">Size</th>\
         <th>What it is</th></tr></thead><tbody>\n",
    );
    for (name, size, meaning) in rows {
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td>{}<td data-name=\"What it is\">{}</td></tr>",
            escape(name),
            number("Size", &size),
            escape(&meaning)
        );
    }
    out.push_str("</tbody></table>\n");
}
