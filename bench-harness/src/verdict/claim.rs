//! Claim files: what was claimed, by whom, in which layer, and how it is read.
//!
//! A claim file is TOML. Unknown keys are errors, because a misspelt key would silently judge another claim.
//!
//! | Key | Meaning |
//! |---|---|
//! | `schema` | version of this format: 1 |
//! | `name`, `value`, `unit` | the claim in words, its figure per second, what is counted |
//! | `tolerance` | share of the value that a measurement may fall short by, 0 to below 1 |
//! | `[source]` | `project`, `document` and the exact `quotes` |
//! | `[stated]` | conditions that the source states: `protocol`, `connections`, `depth`, `cores`, `hardware`; what it does not state is left out |
//! | `[taken_in]` | `layer` (and `depth`) that the figure was taken in, and `why` we think so |
//! | `[[read_as]]` | a `layer` (and `depth`) that the figure is read as, and `why` |
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
    /// The figure, per second.
    pub value: f64,
    /// What is counted.
    pub unit: String,
    /// Share of the value that a measurement may fall short by.
    pub tolerance: f64,
    /// Where the claim comes from.
    pub source: Source,
    /// The conditions that the source states.
    #[serde(default)]
    pub stated: Stated,
    /// The layer that the figure was taken in.
    pub taken_in: TakenIn,
    /// The layers that it is read as.
    pub read_as: Vec<ReadAs>,
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
    /// Why it is read so.
    pub why: String,
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
    /// The file is not TOML, has an unknown key, lacks one, or a value has another type.
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
    #[error("claim file {file}, key `{key}`: {problem}")]
    Value {
        /// Path of the file.
        file: String,
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
            ClaimError::Read { .. } => "Give the path of a claim file with --claim",
            ClaimError::Syntax { .. } => {
                "Correct that line; claims/covetpy.toml is a complete example of a claim file"
            }
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
        claim.check(file)?;
        Ok(claim)
    }

    /// The layer that the figure was taken in.
    pub fn taken(&self) -> Reading {
        Reading { layer: self.taken_in.layer, depth: self.taken_in.depth }
    }

    /// Every layer to measure: the claim's own first, then those that it is read as, each once.
    pub fn readings(&self) -> Vec<Reading> {
        let mut readings = vec![self.taken()];
        for read in &self.read_as {
            let reading = Reading { layer: read.layer, depth: read.depth };
            if !readings.contains(&reading) {
                readings.push(reading);
            }
        }
        readings
    }

    /// The rate that a measurement must reach: the value less the tolerance.
    pub fn threshold(&self) -> f64 {
        self.value * (1.0 - self.tolerance)
    }

    fn check(&self, file: &str) -> Result<(), ClaimError> {
        let wrong = |key: &str, problem: String| {
            Err(ClaimError::Value { file: file.to_owned(), key: key.to_owned(), problem })
        };
        if self.schema != SCHEMA {
            return wrong(
                "schema",
                format!("{} is not a known version, this build reads {SCHEMA}", self.schema),
            );
        }
        if !(self.value.is_finite() && self.value > 0.0) {
            return wrong("value", format!("{} is not a rate above zero", self.value));
        }
        if !(0.0..1.0).contains(&self.tolerance) {
            return wrong("tolerance", format!("{} is not a share from 0 to below 1", self.tolerance));
        }
        if self.read_as.is_empty() {
            return wrong("read_as", "there must be at least one".to_owned());
        }
        let readings = std::iter::once(("taken_in.depth".to_owned(), self.taken())).chain(
            self.read_as.iter().enumerate().map(|(i, read)| {
                (format!("read_as[{i}].depth"), Reading { layer: read.layer, depth: read.depth })
            }),
        );
        for (key, reading) in readings {
            let http = matches!(reading.layer, Layer::HttpLoopback | Layer::HttpNetwork);
            match reading.depth {
                None if http => return wrong(&key, "an HTTP layer needs a depth of 1 or more".to_owned()),
                Some(_) if !http => return wrong(&key, "only HTTP layers have a depth".to_owned()),
                Some(depth @ (0 | 1025..)) => {
                    return wrong(&key, format!("{depth} is not between 1 and 1024"));
                }
                _ => {}
            }
        }
        Ok(())
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
    ClaimError::Syntax { file: file.to_owned(), line, key, problem }
}

#[cfg(test)]
mod tests;
