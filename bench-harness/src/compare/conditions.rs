//! Whether two sides were measured under the same conditions.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Side;
use crate::report::html::facts::text;

/// Conditions that may differ between repeats of one measurement.
const FREE: [&str; 2] = ["seed", "generators"];
/// Facts of a machine that differ between any two runs, and those that are conditions of a run already.
const OF_THE_RUN: [&str; 4] = ["load average", "arguments", "kernel", "CPU"];

/// A condition that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its value on the first side.
    pub a: String,
    /// Its value on the second side, or in another run of the first.
    pub b: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is {} and {}", self.name, self.a, self.b)
    }
}

/// The conditions in which any run differs from the first of all, each once.
///
/// Of the URL only what follows host and port counts: two servers side by side listen on two ports. Numbers of another
/// tool were never taken under the same conditions as ours, for each tool has its own clock.
pub fn differences(a: &Side, b: &Side) -> Vec<Difference> {
    let first = &a.runs[0];
    let mut found: Vec<Difference> = Vec::new();
    let mut differ = |name: &str, a: &Value, b: &Value| {
        if a != b && !found.iter().any(|other| other.name == name) {
            found.push(Difference { name: name.to_owned(), a: show(a), b: show(b) });
        }
    };
    for run in a.runs.iter().chain(&b.runs) {
        let tool = |run: &crate::bundle::RunDocument| {
            let tool = run.imported.as_ref().map_or("covet-bench", |imported| imported.tool.as_str());
            Value::String(tool.to_owned())
        };
        differ("tool", &tool(first), &tool(run));
        let names = first.conditions.keys().chain(run.conditions.keys());
        for name in names.filter(|name| !FREE.contains(&name.as_str())) {
            let of =
                |run: &crate::bundle::RunDocument| run.conditions.get(name).cloned().unwrap_or(Value::Null);
            let (left, right) = (of(first), of(run));
            if name == "url" {
                differ("path", &path(&left), &path(&right));
            } else {
                differ(name, &left, &right);
            }
        }
    }
    found
}

/// The facts of two machines, as manifests have them, that differ. They do not forbid to compare, and are told.
pub fn environment(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<Difference> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let of = |facts: &BTreeMap<String, String>, name: &str| {
        facts.get(name).cloned().unwrap_or_else(|| "not known".to_owned())
    };
    names
        .into_iter()
        .filter(|name| !OF_THE_RUN.contains(&name.as_str()))
        .map(|name| Difference { name: name.clone(), a: of(a, name), b: of(b, name) })
        .filter(|difference| difference.a != difference.b)
        .collect()
}

/// What follows scheme, host and port.
fn path(url: &Value) -> Value {
    let Some(text) = url.as_str() else { return url.clone() };
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    Value::String(rest.find('/').map_or("/", |at| &rest[at..]).to_owned())
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "not known".to_owned(),
        known => text(known),
    }
}
