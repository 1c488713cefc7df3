//! A comparison of two servers as a page.

use std::fmt::Write as _;

use super::{Comparison, Finding, Pairs};
use crate::record::{Guard, GuardOutcome, RunRecord};
use crate::report::Environment;
use crate::report::html::facts::conditions_of;
use crate::report::html::parts::{conditions, document, number, tag};
use crate::report::html::plots::{Curves, overlay, shift_section};
use crate::report::quantity::percent;
use crate::report::svg::escape;

/// A guard that warns or failed in runs of a side.
struct Objection {
    side: &'static str,
    guard: &'static str,
    outcome: GuardOutcome,
    /// What it found in the first of them.
    detail: String,
    runs: usize,
}

impl Pairs {
    /// The pairs as a page that needs nothing else: inline charts, no script, for light and dark, under 300 KB.
    ///
    /// `urls` are those of both sides, which the page calls A and B; `comparisons` is what was found, with a margin such as 0.02.
    pub fn to_html(&self, urls: [&str; 2], comparisons: &[Comparison], margin: f64) -> String {
        let [a, b] = urls;
        let names = ["A", "B"];
        let mut body = format!(
            "<h1>{} against {}</h1>\n<p class=\"soft\">{} pairs of runs. A is {}, B is {}; ratios are B over A, and a \
             difference below {} is none.</p>\n",
            escape(b),
            escape(a),
            self.a.len(),
            escape(a),
            escape(b),
            percent(margin)
        );
        let rows = self.objections(names);
        if !self.is_valid() {
            body.push_str(
                "<div class=\"verdict bad\"><strong>INVALID</strong>A run failed a guard: the numbers below prove \
                 nothing.",
            );
            if let Some(row) = rows.first() {
                let _ = write!(body, " {}: {}.", escape(row.guard), escape(&row.detail));
            }
            body.push_str("</div>\n");
        }
        body.push_str(if self.is_valid() { "<div>\n" } else { "<div class=\"void\">\n" });
        findings(&mut body, comparisons);
        shift_section(&mut body, names, &self.shift());
        let curves =
            |runs: &[RunRecord]| Curves::of(&runs.iter().map(|run| &run.response).collect::<Vec<_>>());
        overlay(&mut body, &[("A", curves(&self.a)), ("B", curves(&self.b))]);
        body.push_str("</div>\n");
        self.guards(&mut body, &rows);
        for (name, runs) in names.into_iter().zip([&self.a, &self.b]) {
            let Some(run) = runs.first() else { continue };
            let known = serde_json::to_value(&run.conditions).unwrap_or_default();
            let rows = known.as_object().map(conditions_of).unwrap_or_default();
            let _ = writeln!(body, "<h2>Conditions of {name}</h2>\n{}", conditions(&rows));
        }
        let _ = writeln!(body, "<h2>Where it was measured</h2>\n{}", conditions(&Environment::read().facts));
        document(&format!("{b} against {a}"), &body)
    }

    /// The guards that warn or failed, those that failed first.
    fn objections(&self, names: [&'static str; 2]) -> Vec<Objection> {
        let mut rows: Vec<Objection> = Vec::new();
        for (side, runs) in names.into_iter().zip([&self.a, &self.b]) {
            for Guard { name: guard, outcome, detail } in runs.iter().flat_map(RunRecord::guards) {
                if !matches!(outcome, GuardOutcome::Warning | GuardOutcome::Failed) {
                    continue;
                }
                let same =
                    |row: &&mut Objection| (row.side, row.guard, row.outcome) == (side, guard, outcome);
                match rows.iter_mut().find(same) {
                    Some(row) => row.runs += 1,
                    None => rows.push(Objection { side, guard, outcome, detail, runs: 1 }),
                }
            }
        }
        rows.sort_by_key(|row| row.outcome != GuardOutcome::Failed);
        rows
    }

    fn guards(&self, out: &mut String, rows: &[Objection]) {
        out.push_str("<h2>Guards</h2>\n");
        if rows.is_empty() {
            out.push_str("<p>Every check of every run passed.</p>\n");
            return;
        }
        out.push_str(
            "<table class=\"stack\"><thead><tr><th>Check</th><th>Side</th><th>Outcome</th><th class=\"n\">Runs</th>\
             <th>First found</th></tr></thead><tbody>\n",
        );
        for Objection { side, guard, outcome, detail, runs } in rows {
            let tag = match outcome {
                GuardOutcome::Failed => tag("bad", "failed"),
                _ => tag("warn", "warning"),
            };
            let _ = writeln!(
                out,
                "<tr><td class=\"lead\">{}</td><td data-name=\"Side\">{}</td><td data-name=\"Outcome\">{tag}</td>{}\
                 <td data-name=\"First found\">{}</td></tr>",
                escape(guard),
                escape(side),
                number("Runs", &format!("{runs} of {}", self.a.len())),
                escape(detail)
            );
        }
        out.push_str("</tbody></table>\n");
    }
}

fn findings(out: &mut String, comparisons: &[Comparison]) {
    out.push_str(
        "<h2>What the pairs say</h2>\n<table class=\"stack\"><thead><tr><th></th><th class=\"n\">Ratio</th>\
         <th class=\"n\">95 % interval</th><th class=\"n\">Pairs differ by up to</th><th>Finding</th></tr></thead><tbody>\n",
    );
    for comparison in comparisons {
        let ratio = comparison.ratio;
        let tag = match comparison.finding {
            Finding::Better => tag("good", "better"),
            Finding::Equivalent => tag("good", "equivalent"),
            Finding::Worse => tag("bad", "worse"),
            Finding::Inconclusive => tag("warn", "inconclusive"),
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td>{}{}{}<td data-name=\"Finding\">{tag}</td></tr>",
            comparison.metric,
            number("Ratio", &format!("×{:.4}", ratio.estimate)),
            number("95 % interval", &format!("[{:.4}, {:.4}]", ratio.lower, ratio.upper)),
            number("Pairs differ by up to", &percent(comparison.spread)),
        );
    }
    out.push_str(
        "</tbody></table>\n<p class=\"soft small\">Interval: Student's t on the logarithms of the ratios of the pairs. \
         Equivalent: the 90 % interval lies within the margin.</p>\n",
    );
}
