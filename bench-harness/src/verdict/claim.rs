//! Claim files: what was claimed, by whom, in which layer, and how it is read.
//!
//! A claim file is TOML. Unknown keys are errors, because a misspelt key would silently judge another claim.
//!
//! | Key | Meaning |
//! |---|---|
//! | `schema` | version of this format: 1 |
//! | `name`, `value`, `unit` | the claim in words, its figure, and in what it is given |
//! | `quantity` | what is claimed: `rate` (the default; at least `value` of `unit` per second), `latency` (at most; `us`, `ms`, `s`), `memory` of the server with its connections open (at most; `kB`, `MB`, `MiB`, `GB`) or `errors`, the share of requests without a valid answer (at most; `%`) |
//! | `tolerance` | share of the value that a measurement may be worse by, 0 to below 1 |
//! | `[source]` | `project`, `document` and the exact `quotes`; none where the words are not at hand |
//! | `[stated]` | conditions that the source states: `protocol`, `connections`, `depth`, `cores`, `hardware`, `rate`, `quantile`; what it does not state is left out |
//! | `[taken_in]` | `layer` (and `depth`) that the figure was taken in, and `why` we think so; left out for a target, which was not taken anywhere |
//! | `[[read_as]]` | a `layer` (and `depth`, for latencies `quantile`) that the figure is read as, and `why` |
//! | `[measure]` | what the source leaves open and a measurement must choose: `path`, `connections`, `rate` |
//! | `[audit]` | `notes` that belong beside every verdict |
//!
//! Layers are `route-match`, `in-process`, `http-loopback` and `http-network`; the HTTP layers need a `depth`.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::layer::{Layer, Reading};
use super::quantity::Quantity;

/// The version of the format that this build reads.
pub const SCHEMA: u32 = 1;

/// A claim about speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Version of the format.
    pub schema: u32,
    /// The claim in a few words.
    pub name: String,
    /// What is claimed.
    #[serde(default)]
    pub quantity: Quantity,
    /// The figure, in the unit.
    pub value: f64,
    /// What is counted, or in what it is given.
    pub unit: String,
    /// Share of the value that a measurement may be worse by.
    pub tolerance: f64,
    /// Where the claim comes from.
    pub source: Source,
    /// The conditions that the source states.
    #[serde(default)]
    pub stated: Stated,
    /// The layer that the figure was taken in; a target was taken nowhere.
    pub taken_in: Option<TakenIn>,
    /// The layers that it is read as.
    pub read_as: Vec<ReadAs>,
    /// Conditions that the source leaves open and a measurement must choose.
    #[serde(default)]
    pub measure: Measure,
    /// Remarks for the reader of a verdict.
    #[serde(default)]
    pub audit: Audit,
}

/// Where a claim comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Who claims.
    pub project: String,
    /// Where it is written.
    pub document: String,
    /// The exact words.
    pub quotes: Vec<String>,
}

/// Conditions that a source states; `None` is what it leaves open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    /// Protocol, such as `HTTP/1.1`.
    pub protocol: Option<String>,
    /// Connections.
    pub connections: Option<u32>,
    /// Requests in flight on a connection.
    pub depth: Option<usize>,
    /// Cores of the server.
    pub cores: Option<u32>,
    /// Hardware, in the source's words.
    pub hardware: Option<String>,
    /// Requests per second.
    pub rate: Option<f64>,
    /// Quantile of a latency, 0 to 1.
    pub quantile: Option<f64>,
}

/// Conditions that a measurement chooses where the source leaves them open.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// What is asked of the server, such as `/json`.
    pub path: Option<String>,
    /// Connections.
    pub connections: Option<u32>,
    /// Requests per second, for latencies and errors: then in an open loop.
    pub rate: Option<f64>,
}

/// The layer that a figure was taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenIn {
    /// The layer.
    pub layer: Layer,
    /// Pipelining depth, for HTTP layers.
    pub depth: Option<usize>,
    /// The evidence that this is the layer.
    pub why: Vec<String>,
}

/// A layer that a figure is read as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadAs {
    /// The layer.
    pub layer: Layer,
    /// Pipelining depth, for HTTP layers.
    pub depth: Option<usize>,
    /// Quantile of a latency, 0 to 1.
    pub quantile: Option<f64>,
    /// Why it is read so.
    pub why: String,
}

impl ReadAs {
    /// Where and how it is read.
    pub fn reading(&self) -> Reading {
        Reading { layer: self.layer, depth: self.depth, quantile: self.quantile }
    }
}

/// Remarks for the reader of a verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// One sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Why a claim file cannot be used.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// The file cannot be read.
    #[error("claim file {file} cannot be read")]
    Read {
        /// Path of the file.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A key is not there that must be.
    #[error("claim file {file}{place}: {problem}")]
    Missing {
        /// Path of the file.
        file: String,
        /// The line of the table that lacks it, as `, line N`, or nothing for the file as a whole.
        place: String,
        /// What is missing.
        problem: String,
    },
    /// The file is not TOML, has an unknown key, or a value has another type.
    #[error("claim file {file}, line {line}{key}: {problem}")]
    Syntax {
        /// Path of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key on that line, as ` (key `…`)`, or nothing.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// A value is outside its range.
    #[error("claim file {file}{place}, key `{key}`: {problem}")]
    Value {
        /// Path of the file.
        file: String,
        /// The line of the key, or of its table where it is not there, as `, line N`, or nothing.
        place: String,
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

impl ClaimError {
    /// What to do about it: a sentence without its full stop.
    pub fn remedy(&self) -> &'static str {
        match self {
            ClaimError::Read { .. } => "Give the path of a claim file, with --claim or after `verify`",
            ClaimError::Syntax { .. } => {
                "Correct that line; claims/covetpy.toml is a complete example of a claim file"
            }
            ClaimError::Missing { .. } => "Add it; claims/covetpy.toml is a complete example of a claim file",
            ClaimError::Value { .. } => "Correct the value; claims/covetpy.toml is a complete example",
        }
    }
}

impl Claim {
    /// Reads and checks a claim file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or a key or value is wrong: the error names the file and the key.
    pub fn load(path: &Path) -> Result<Claim, ClaimError> {
        let file = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|source| ClaimError::Read { file: file.clone(), source })?;
        Claim::parse(&file, &text)
    }

    /// As [`Claim::load`], from the file's text; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Claim::load`], except for reading.
    pub fn parse(file: &str, text: &str) -> Result<Claim, ClaimError> {
        let claim: Claim = toml::from_str(text).map_err(|error| syntax(file, text, &error))?;
        check::claim(&claim).map_err(|(key, problem)| ClaimError::Value {
            file: file.to_owned(),
            place: place::line_of(text, &key).map_or_else(String::new, |line| format!(", line {line}")),
            key,
            problem,
        })?;
        Ok(claim)
    }

    /// The layer that the figure was taken in; `None` for a target.
    pub fn taken(&self) -> Option<Reading> {
        let taken = self.taken_in.as_ref()?;
        Some(Reading { layer: taken.layer, depth: taken.depth, quantile: None })
    }

    /// Every layer to measure: the claim's own first, then those that it is read as, each once.
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings: Vec<Reading> = self.taken().into_iter().collect();
        for read in &self.read_as {
            let reading = read.reading();
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        readings
    }

    /// The value in the base unit of its quantity.
    pub fn figure(&self) -> f64 {
        self.value * self.quantity.factor(&self.unit).unwrap_or(1.0)
    }

    /// What a measurement must reach, or must not exceed: the figure, with the tolerance to the worse side.
    pub fn threshold(&self) -> f64 {
        let slack = if self.quantity.is_at_least() { -self.tolerance } else { self.tolerance };
        self.figure() * (1.0 + slack)
    }

    /// The claimed figure in words: `at most 10.0 ms`.
    pub fn words(&self) -> String {
        match self.quantity {
            Quantity::Rate => format!("{} {}", Quantity::Rate.show(self.value), self.unit),
            other => format!("at most {}", other.show(self.figure())),
        }
    }

    /// The connections that the source states or the claim file chooses.
    pub fn connections(&self) -> Option<u32> {
        self.stated.connections.or(self.measure.connections)
    }

    /// The requests per second that the source states or the claim file chooses.
    pub fn rate(&self) -> Option<f64> {
        self.stated.rate.or(self.measure.rate)
    }
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ClaimError {
    let Range { start, .. } = error.span().unwrap_or(0..0);
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let key = text
        .lines()
        .nth(line - 1)
        .and_then(|line| line.split_once('='))
        .map(|(key, _)| format!(" (key `{}`)", key.trim()))
        .unwrap_or_default();
    let problem = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    if problem.starts_with("missing field") {
        // The whole file lacks it where no table does.
        let in_table = text.lines().nth(line - 1).is_some_and(|line| line.trim_start().starts_with('['));
        let place = if in_table { format!(", line {line}") } else { String::new() };
        return ClaimError::Missing { file: file.to_owned(), place, problem };
    }
    ClaimError::Syntax { file: file.to_owned(), line, key, problem }
}

mod check;
mod place;
#[cfg(test)]
mod tests;
