//! The pieces that all pages are made of.

use std::fmt::Write;

use super::STYLE;
use crate::report::model::{Check, Condition, Outcome, worst_first};
use crate::report::svg::escape;

/// A whole page with this title and what is in it, which is HTML already.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// A coloured word; `class` is good, warn, bad or nothing.
pub(crate) fn tag(class: &str, label: &str) -> String {
    format!("<span class=\"tag {class}\">{}</span>", escape(label))
}

/// A cell with a number, which the narrow form of the table calls `name`.
pub(crate) fn number(name: &str, value: &str) -> String {
    format!("<td class=\"n\" data-name=\"{name}\">{}</td>", escape(value))
}

/// A chart in both widths, where there is one.
pub(crate) fn figure(out: &mut String, wide: Option<String>, narrow: Option<String>) {
    if let (Some(wide), Some(narrow)) = (wide, narrow) {
        let _ = writeln!(
            out,
            "<div class=\"card\"><div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div></div>"
        );
    }
}

/// A value of more characters than this has a row of its own.
const LONG: usize = 40;

/// Names and values, side by side.
pub(crate) fn conditions(conditions: &[Condition]) -> String {
    let mut out = "<dl>".to_owned();
    for condition in conditions {
        let class = if condition.value.chars().count() > LONG { " class=\"long\"" } else { "" };
        let (name, value) = (escape(&condition.name), escape(&condition.value));
        let _ = write!(out, "<div{class}><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>\n");
    out
}

/// The table of checks.
pub(crate) fn checks(out: &mut String, checks: &[Check]) {
    if checks.is_empty() {
        return;
    }
    out.push_str("<table class=\"stack\"><thead><tr><th>Check</th><th>Outcome</th><th>Found</th></tr></thead><tbody>\n");
    for check in worst_first(checks) {
        let (class, label) = match check.outcome {
            Outcome::Passed => ("good", "passed"),
            Outcome::Warning => ("warn", "warning"),
            Outcome::Failed => ("bad", "failed"),
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td><td data-name=\"Outcome\">{}</td><td data-name=\"Found\">{}</td></tr>",
            escape(&check.name),
            tag(class, label),
            escape(&check.detail)
        );
    }
    out.push_str("</tbody></table>\n");
}
