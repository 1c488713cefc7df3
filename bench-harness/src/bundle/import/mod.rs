//! Results of other tools, with what is known to be wrong with them.
//!
//! An import is a run with the numbers that the tool printed and no more. It never compares with a run of ours without
//! `--force`, for its clock is another.

mod json;
mod text;

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::document::IMPORT_SCHEMA;
use super::hlog::{self, LogError, LogInterval};
use super::{GuardDocument, Imported, RunDocument, Series};
use crate::record::Hist;

/// What wrote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// wrk, as it prints with `--latency`.
    Wrk,
    /// wrk2, as it prints with `--latency`.
    Wrk2,
    /// oha, with `--output-format json`.
    Oha,
    /// k6, with `--summary-export` or from handleSummary.
    K6,
    /// h2load, as it prints.
    H2load,
    /// vegeta, by `vegeta report -type=json`.
    Vegeta,
    /// An HdrHistogram interval log.
    Hlog,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Tool::Wrk => "wrk",
            Tool::Wrk2 => "wrk2",
            Tool::Oha => "oha",
            Tool::K6 => "k6",
            Tool::H2load => "h2load",
            Tool::Vegeta => "vegeta",
            Tool::Hlog => "hlog",
        }
    }

    /// What is known to be wrong with the tool's numbers, a sentence each.
    pub fn biases(self) -> &'static [&'static str] {
        match self {
            Tool::Wrk => &[
                "wrk fills its histogram up with the mean interval, so its mean and percentiles are neither raw nor \
                 corrected",
                "wrk leaves requests that took longer than its timeout out of the latencies",
                "wrk records one latency for a whole batch of pipelined requests",
            ],
            Tool::Wrk2 => &[
                "wrk2 rounds its timers up to whole milliseconds, so its median is up to 1 ms too high",
                "wrk2 leaves out the first 10 seconds and keeps the backlog that they made",
            ],
            Tool::Oha => &[
                "oha counts from the actual send unless --latency-correction was given, so a stalled server looks good at \
                 a fixed rate",
                "oha leaves out requests that are in flight at the end",
            ],
            Tool::K6 => &[
                "k6 leaves out iterations that it could not start in time, so a stalled server looks good",
                "http_req_duration has neither the wait for a connection nor the connecting in it",
            ],
            Tool::H2load => &[
                "h2load counts from the actual send, so a stalled server looks good with --rps",
                "h2load takes its statistics from a sample where there are many requests",
            ],
            Tool::Vegeta => &[
                "vegeta counts from the actual start of a request, so its own delays are left out",
                "vegeta estimates percentiles with a t-digest",
                "vegeta takes redirections for successes",
            ],
            Tool::Hlog => &["the log does not say from when to when its times were taken"],
        }
    }
}

/// Why a file cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Not what the tool writes.
    #[error("this is not {tool}'s output: {reason}")]
    Foreign {
        /// The tool.
        tool: &'static str,
        /// What is missing or wrong.
        reason: String,
    },
    /// A log that cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No interval of the log has the tag.
    #[error("no interval has the tag `{0}`")]
    Tag(String),
}

/// What a tool said, before it becomes a run.
#[derive(Debug, Default)]
struct Said {
    url: Option<String>,
    connections: Option<u64>,
    threads: Option<u64>,
    elapsed_s: Option<f64>,
    rate: Option<f64>,
    completed: Option<u64>,
    failed: Option<u64>,
    errors: BTreeMap<String, u64>,
    status: BTreeMap<String, u64>,
    bytes_in: Option<u64>,
    min_ns: u64,
    mean_ns: f64,
    max_ns: u64,
    quantiles_ns: BTreeMap<String, u64>,
}

/// Reads what another tool wrote; for a log see [`log`].
///
/// # Errors
/// When the text lacks what the tool always writes.
pub fn read(tool: Tool, bytes: &[u8]) -> Result<RunDocument, ImportError> {
    let foreign = |reason: String| ImportError::Foreign { tool: tool.name(), reason };
    if tool == Tool::Hlog {
        return Ok(log(bytes, 1.0, None)?.0);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| foreign("it is not text".to_owned()))?;
    let parse = || -> Result<Value, ImportError> {
        serde_json::from_str(text).map_err(|error| foreign(format!("it is not JSON: {error}")))
    };
    let said = match tool {
        Tool::Wrk | Tool::Wrk2 => text::wrk(text),
        Tool::H2load => text::h2load(text),
        Tool::Oha => json::oha(&parse()?),
        Tool::K6 => json::k6(&parse()?),
        Tool::Vegeta => json::vegeta(&parse()?),
        Tool::Hlog => Err("a log is read otherwise".to_owned()),
    };
    Ok(said.map_err(foreign)?.document(tool))
}

/// Reads an interval log whose values are multiples of `unit` nanoseconds; with `tag`, of its intervals only those that
/// have it.
///
/// # Errors
/// When a line cannot be read, or no interval is left.
pub fn log(
    bytes: &[u8],
    unit: f64,
    tag: Option<&str>,
) -> Result<(RunDocument, Vec<LogInterval>), ImportError> {
    let mut intervals = hlog::read(bytes, unit)?;
    if let Some(tag) = tag {
        intervals.retain(|interval| interval.tag.as_deref() == Some(tag));
        if intervals.is_empty() {
            return Err(ImportError::Tag(tag.to_owned()));
        }
    }
    let mut sum = Hist::new();
    intervals.iter().for_each(|interval| sum.add(&interval.hist));
    let start = intervals.iter().map(|interval| interval.start).min().unwrap_or_default();
    let end = intervals.iter().map(|interval| interval.start + interval.length).max().unwrap_or_default();
    let elapsed = end.saturating_sub(start).as_secs_f64();
    let said = Said {
        elapsed_s: Some(elapsed),
        rate: (elapsed > 0.0).then(|| sum.len() as f64 / elapsed),
        completed: Some(sum.len()),
        ..Said::default()
    };
    Ok((RunDocument { response: Series::of(&sum), ..said.document(Tool::Hlog) }, intervals))
}

impl Said {
    fn document(self, tool: Tool) -> RunDocument {
        let mut conditions = Map::new();
        let known = [
            ("url", self.url.map(Value::from)),
            ("connections", self.connections.map(Value::from)),
            ("threads", self.threads.map(Value::from)),
        ];
        conditions.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        let counts = [("completed", self.completed), ("failed", self.failed)];
        let mut errors: Map<String, Value> =
            self.errors.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
        errors.retain(|_, count| *count != 0);
        RunDocument {
            schema: IMPORT_SCHEMA.to_owned(),
            valid: true,
            guards: vec![GuardDocument {
                name: "import".to_owned(),
                outcome: "warning".to_owned(),
                detail: format!("{} does not prove that it was not the bottleneck", tool.name()),
            }],
            conditions,
            elapsed_s: self.elapsed_s,
            rate: self.rate,
            requests: counts
                .into_iter()
                .filter_map(|(name, count)| Some((name.to_owned(), count?)))
                .collect(),
            bytes: self.bytes_in.into_iter().map(|bytes| ("in".to_owned(), bytes)).collect(),
            status: self.status,
            errors,
            errors_total: self.failed.unwrap_or(0).max(self.errors.values().sum()),
            response: Series {
                count: self.completed.unwrap_or(0),
                min_ns: self.min_ns,
                mean_ns: self.mean_ns,
                max_ns: self.max_ns,
                quantiles_ns: self.quantiles_ns,
                ..Series::default()
            },
            imported: Some(Imported {
                tool: tool.name().to_owned(),
                biases: tool.biases().iter().map(|bias| (*bias).to_owned()).collect(),
            }),
            other: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests;
