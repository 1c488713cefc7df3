//! Results that a busy machine made invalid, told apart from wrong ones.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::process::Output;

use serde_json::Value;

/// Guards that what else runs on the machine makes fail. Each other one speaks of the load or of the program.
const OF_THE_MACHINE: [&str; 7] =
    ["interference", "pauses", "punctuality", "throttling", "canary", "closure", "workers"];

/// Whether a result counts: it has the expected exit status, or it is INVALID for what the machine did and nothing else.
#[track_caller]
pub(crate) fn expect_status(output: &Output, status: i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    expect_told(output.status.code(), status, &String::from_utf8_lossy(&output.stdout), &said);
}

/// As [`expect_status`], of a process that ended with `code` and wrote `text`, in JSON or as for people; `said` is shown.
#[track_caller]
pub(crate) fn expect_told(code: Option<i32>, status: i32, text: &str, said: &str) {
    match code {
        Some(97) if status != 97 => {
            let failed = failed_guards(text);
            let of_the_machine = |name: &String| OF_THE_MACHINE.contains(&name.as_str());
            assert!(!failed.is_empty() && failed.iter().all(of_the_machine), "{failed:?} failed: {text}");
            eprintln!("this machine is too busy for a verdict: {failed:?}");
        }
        code => assert_eq!(code, Some(status), "{text}{said}"),
    }
}

/// Makes a result until `holds` says that it is right, three times at most, and returns the last: what else runs on the
/// machine can make it wrong once.
pub(crate) fn in_three_tries<T>(mut make: impl FnMut() -> T, holds: impl Fn(&T) -> bool) -> T {
    let mut made = make();
    for _ in 1..3 {
        if holds(&made) {
            break;
        }
        made = make();
    }
    made
}

/// The guards that failed, by name, in results as JSON or as text.
fn failed_guards(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let results: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    match results {
        Ok(results) => results.iter().for_each(|result| collect(result, &mut names)),
        Err(_) => {
            // A terminal is told of colours before the words.
            let words = text
                .split('\x1b')
                .flat_map(|part| part.split_once('m').map_or([part, ""], |(_, rest)| ["", rest]));
            let text: String = if text.contains('\x1b') { words.collect() } else { text.to_owned() };
            let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("FAILED"));
            // A comparison names the run before.
            let name = |line: &str| {
                line.split(": ").map(str::trim).find(|part| !part.contains(" run ")).map(str::to_owned)
            };
            names.extend(lines.filter_map(name));
        }
    }
    names.sort();
    names.dedup();
    names
}

fn collect(value: &Value, names: &mut Vec<String>) {
    if value["outcome"] == "failed"
        && let Some(name) = value["name"].as_str()
    {
        names.push(name.to_owned());
    }
    let attempt = value["failed"].as_array().into_iter().flatten();
    names.extend(attempt.filter_map(|name| Some(name.as_str()?.to_owned())));
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, names)),
        _ => {}
    }
}
