//! What became of the requests of runs, and where and under what conditions they were made.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

use super::parts::{conditions, number};
use super::run::{MOST, error_share};
use crate::bundle::{Manifest, RunDocument};
use crate::report::model::Condition;
use crate::report::quantity::{grouped, percent};
use crate::report::svg::escape;

/// A value as people read it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            // What tells the kind needs no name of its own.
            let field = |(name, value): (&String, &Value)| match name.as_str() {
                "model" => text(value),
                _ => format!("{} {}", name.replace('_', " "), text(value)),
            };
            let (kind, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| *name == "model");
            kind.into_iter().chain(rest).map(field).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Conditions of a run, as its JSON has them.
pub(crate) fn conditions_of(conditions: &Map<String, Value>) -> Vec<Condition> {
    let known = conditions.iter().filter(|(_, value)| !value.is_null());
    known
        .map(|(name, value)| {
            let seconds = ["duration", "warmup", "timeout"].contains(&name.as_str());
            let unit = if seconds && value.is_number() { " s" } else { "" };
            Condition::new(name.replace('_', " "), format!("{}{unit}", text(value)))
        })
        .collect()
}

/// What became of the requests, over all runs.
pub(super) fn counts(out: &mut String, runs: &[RunDocument]) {
    let mut rows: Vec<Condition> = Vec::new();
    let mut add = |of: fn(&RunDocument) -> &BTreeMap<String, u64>, prefix: &str| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for run in runs {
            of(run).iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
        }
        let named = sums.into_iter().filter(|(_, count)| *count > 0);
        rows.extend(named.map(|(name, count)| {
            Condition::new(format!("{prefix}{}", name.replace('_', " ")), grouped(count as f64))
        }));
    };
    add(|run| &run.requests, "");
    add(|run| &run.status, "status ");
    add(|run| &run.bytes, "bytes ");
    rows.extend(errors(runs));
    let _ = writeln!(out, "<h2>Requests</h2>\n{}", conditions(&rows));
}

/// The part of all requests of the runs that ended without a valid response, the errors of all runs by class, and the
/// first of them in words.
fn errors(runs: &[RunDocument]) -> Vec<Condition> {
    let mut rows = Vec::new();
    if let Some(share) = error_share(runs) {
        rows.push(Condition::new("errors", percent(share)));
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(|run| &run.errors) {
        *sums.entry(name).or_default() += value.as_u64().unwrap_or(0);
    }
    let named = sums.into_iter().filter(|(_, count)| *count > 0);
    rows.extend(named.map(|(name, count)| {
        Condition::new(format!("error {}", name.replace('_', " ")), grouped(count as f64))
    }));
    let first =
        runs.iter().enumerate().find_map(|(index, run)| Some((index, run.errors.get("first")?.as_str()?)));
    rows.extend(first.map(|(index, words)| {
        let place = if runs.len() > 1 { format!(", in run {}", index + 1) } else { String::new() };
        Condition::new(format!("first error{place}"), words)
    }));
    rows
}

/// Conditions, environment and manifest.
pub(super) fn facts(out: &mut String, manifest: &Manifest) {
    let rows = conditions_of(&manifest.conditions);
    let _ = writeln!(out, "<h2>Conditions</h2>\n{}", conditions(&rows));
    // The arguments are told with the manifest.
    let rows: Vec<Condition> = manifest
        .environment
        .iter()
        .filter(|(name, _)| *name != "arguments")
        .map(|(name, value)| Condition::new(name.clone(), value.clone()))
        .collect();
    let _ = writeln!(out, "<h2>Where it was measured</h2>\n{}", conditions(&rows));
    let rows = [
        Condition::new("created", manifest.created.clone()),
        Condition::new("covet-bench", manifest.version.clone()),
        Condition::new("runs", manifest.runs.to_string()),
        Condition::new("arguments", manifest.arguments.join(" ")),
    ];
    let _ = writeln!(out, "<h2>Manifest</h2>\n{}", conditions(&rows));
    if manifest.files.is_empty() {
        out.push_str("<p class=\"soft small\">The runs were not kept as a bundle: there are no files and hashes.</p>\n");
        return;
    }
    out.push_str(
        "<details><summary>Files and their SHA-256</summary><table class=\"stack\"><thead><tr><th>File</th>\
         <th class=\"n\">Bytes</th><th>SHA-256</th></tr></thead><tbody>\n",
    );
    for (name, entry) in manifest.files.iter().take(8 * MOST) {
        let _ = writeln!(
            out,
            "<tr><td class=\"lead\">{}</td>{}<td data-name=\"SHA-256\"><code>{}</code></td></tr>",
            escape(name),
            number("Bytes", &grouped(entry.bytes as f64)),
            escape(&entry.sha256)
        );
    }
    out.push_str("</tbody></table></details>\n");
}
