//! The comparison for a pull request.

use std::fmt::Write as _;

use super::text::{finding, interval, value, word};
use super::{Comparison, GateVerdict};
use crate::report::quantity::{change as signed, percent};

impl Comparison {
    /// The comparison as Markdown, such as GitHub shows in a job's summary.
    pub fn to_markdown(&self) -> String {
        let [a, b] = &self.sides;
        let (left, right) = (cell(&a.name), cell(&b.name));
        let mut out = format!("### {right} against {left}\n\n");
        if let Some(why) = &self.invalid {
            let _ = writeln!(out, "**INVALID** {}: the numbers below prove nothing.\n", cell(why));
        }
        let _ = writeln!(out, "| | {left} | {right} | change | 95 % interval | finding |");
        out.push_str("|---|---:|---:|---:|---:|---|\n");
        for metric in &self.metrics {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                metric.name,
                value(metric, metric.a),
                value(metric, metric.b),
                signed(metric.ratio),
                interval(metric),
                finding(metric)
            );
        }
        if !self.gates.is_empty() {
            out.push_str("\n| gate | verdict | |\n|---|---|---|\n");
            for gate in &self.gates {
                let mark = match gate.verdict {
                    GateVerdict::Passed => "✅",
                    GateVerdict::Inconclusive => "❔",
                    GateVerdict::Failed => "❌",
                };
                let _ = writeln!(
                    out,
                    "| `{}` | {mark} {} | {} |",
                    cell(&gate.gate),
                    word(gate.verdict).to_lowercase(),
                    cell(&gate.detail)
                );
            }
        }
        let _ = writeln!(out, "\n{} and {} runs.", a.runs, b.runs);
        if let Some(distance) = &self.distance {
            let _ = writeln!(
                out,
                "Kolmogorov-Smirnov distance {:.3}; a request of {right} is the slower one in {} of pairs.",
                distance.kolmogorov_smirnov,
                percent(distance.superiority)
            );
        }
        for warning in &self.warnings {
            let _ = writeln!(out, "\n> **Warning** {}", cell(warning));
        }
        out
    }
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}
