//! The JSON of stored runs, typed as far as comparison, merging and thresholds need it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::hlog::{self, LogError};
use crate::record::{Hist, REPORTED_QUANTILES, RunRecord};
use crate::stats::modes::{Modes, modes};
use crate::stats::{Interval, LEVEL};

/// The name and version of `result.json`.
pub const RESULT_SCHEMA: &str = "covet-bench.result/1";
/// The name and version of a run that another tool measured.
pub(crate) const IMPORT_SCHEMA: &str = "covet-bench.import/1";

/// `result.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResultDocument {
    /// [`RESULT_SCHEMA`].
    pub schema: String,
    /// Each run; repeats of one measurement.
    pub runs: Vec<RunDocument>,
    /// What several runs say together; `None` for one.
    pub summary: Option<Summary>,
}

impl ResultDocument {
    /// The document of these runs.
    pub fn new(runs: Vec<RunDocument>) -> Self {
        let summary = Summary::of(&runs);
        Self { schema: RESULT_SCHEMA.to_owned(), runs, summary }
    }
}

/// What several runs of one measurement say together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Requests per second: the t-interval on logs.
    pub rate: Option<Interval>,
    /// Response times at the quantiles that all runs bear, in nanoseconds: the t-interval on logs.
    pub quantiles_ns: BTreeMap<String, Interval>,
    /// Two groups of rates, where the runs fall into two: then no interval means anything.
    pub modes: Option<Modes>,
}

impl Summary {
    fn of(runs: &[RunDocument]) -> Option<Summary> {
        if runs.len() < 2 {
            return None;
        }
        let rates: Option<Vec<f64>> = runs.iter().map(|run| run.rate).collect();
        let rates = rates.unwrap_or_default();
        let mut quantiles_ns = BTreeMap::new();
        for (_, name) in REPORTED_QUANTILES {
            let values: Option<Vec<f64>> =
                runs.iter().map(|run| run.response.quantiles_ns.get(name).map(|v| *v as f64)).collect();
            if let Some(interval) = values.and_then(|values| Interval::of_runs(&values, LEVEL).ok()) {
                quantiles_ns.insert(name.to_owned(), interval);
            }
        }
        let rate = Interval::of_runs(&rates, LEVEL).ok();
        Some(Summary { rate, quantiles_ns, modes: modes(&rates) })
    }
}

/// One run, as `run --output-format json` prints it.
///
/// Fields that later versions add are kept as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunDocument {
    /// `covet-bench.run/1`, or `covet-bench.import/1` for another tool's.
    pub schema: String,
    /// Whether no guard failed.
    pub valid: bool,
    /// The checks and what they came to.
    pub guards: Vec<GuardDocument>,
    /// What must agree before numbers may be compared.
    pub conditions: Map<String, Value>,
    /// Length of the measured window in seconds, where it is known.
    pub elapsed_s: Option<f64>,
    /// Validated responses per second, where it is known.
    pub rate: Option<f64>,
    /// Counts of requests by what became of them.
    pub requests: BTreeMap<String, u64>,
    /// Bytes in and out.
    #[serde(default)]
    pub bytes: BTreeMap<String, u64>,
    /// Responses by the class of their status.
    #[serde(default)]
    pub status: BTreeMap<String, u64>,
    /// Errors by class, and the first one in words.
    #[serde(default)]
    pub errors: Map<String, Value>,
    /// All errors together.
    #[serde(default)]
    pub errors_total: u64,
    /// Response times.
    pub response: Series,
    /// What another tool said, and what is known to be wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Where numbers came from that were not measured here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The tool.
    pub tool: String,
    /// What is known to be wrong with its numbers, a sentence each.
    pub biases: Vec<String>,
}

/// What a run alone says of a quantile of its response times.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Within {
    /// How many requests carry the information of one independent request; `None` where it is not known.
    pub dispersion: Option<f64>,
    /// How many independent requests it is worth; all of them where that is not known.
    pub effective_requests: f64,
    /// Whether ten of these or more lie beyond the quantile.
    pub borne: bool,
    /// Lower end of its 95 % interval within the run, in nanoseconds; `None` where that is not known.
    pub lower_ns: Option<u64>,
    /// Upper end.
    pub upper_ns: Option<u64>,
}

/// One check of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardDocument {
    /// Its name.
    pub name: String,
    /// `passed`, `not measured`, `warning` or `failed`.
    pub outcome: String,
    /// What was found.
    pub detail: String,
}

impl GuardDocument {
    /// How bad it is: 0 passed, 1 not measured, 2 warning, 3 failed.
    pub(crate) fn severity(&self) -> u8 {
        match self.outcome.as_str() {
            "passed" => 0,
            "not measured" => 1,
            "warning" => 2,
            _ => 3,
        }
    }
}

/// Times of one kind: response, service, lateness.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Series {
    /// How many.
    pub count: u64,
    /// How many lay above one hour.
    #[serde(default)]
    pub overflow: u64,
    /// The least, in nanoseconds.
    #[serde(default)]
    pub min_ns: u64,
    /// The mean.
    #[serde(default)]
    pub mean_ns: f64,
    /// The greatest.
    #[serde(default)]
    pub max_ns: u64,
    /// The quantiles that the data bear.
    pub quantiles_ns: BTreeMap<String, u64>,
    /// All values, as an HdrHistogram V2 in base64; absent where another tool did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdr_v2_base64: Option<String>,
}

impl Series {
    /// The series of a histogram.
    pub fn of(hist: &Hist) -> Series {
        let mut quantiles_ns = BTreeMap::new();
        for (q, name) in REPORTED_QUANTILES {
            if hist.len() as f64 * (1.0 - q) >= 10.0 - 1e-6 {
                quantiles_ns.insert(name.to_owned(), nanos(hist.quantile(q)));
            }
        }
        Series {
            count: hist.len(),
            overflow: hist.overflow(),
            min_ns: if hist.is_empty() { 0 } else { hist.min() },
            mean_ns: hist.mean(),
            max_ns: hist.max(),
            quantiles_ns,
            hdr_v2_base64: Some(STANDARD.encode(hist.to_v2())),
        }
    }

    /// The histogram; `None` where there is none.
    ///
    /// # Errors
    /// When it is not a histogram.
    pub fn histogram(&self) -> Result<Option<Hist>, LogError> {
        self.hdr_v2_base64.as_deref().map(|text| hlog::decode(text, 1.0)).transpose()
    }
}

impl RunDocument {
    /// The document of a run that was made here.
    pub fn of(record: &RunRecord) -> RunDocument {
        serde_json::from_value(record.to_json()).expect("a record's JSON is what this type describes")
    }

    /// A number of requests by what became of them; 0 where it is not known.
    pub fn count(&self, what: &str) -> u64 {
        self.requests.get(what).copied().unwrap_or(0)
    }

    /// How many requests ended without a valid response, and how many ended.
    pub(crate) fn failed_of_ended(&self) -> (u64, u64) {
        // Attempts to connect are errors without being requests.
        let failed = self.count("failed").max(self.errors_total);
        (failed, self.count("completed") + failed)
    }

    /// The part of the requests that ended without a valid response; `None` when none ended.
    pub fn error_share(&self) -> Option<f64> {
        let (failed, ended) = self.failed_of_ended();
        (ended > 0).then(|| failed as f64 / ended as f64)
    }

    /// What the run alone says of the quantile of this name, such as `p99`; `None` where it was not looked at.
    pub fn within(&self, name: &str) -> Option<Within> {
        serde_json::from_value(self.other.get("within_run")?.get(name)?.clone()).ok()
    }

    /// How many independent requests the run is worth at the least, over all quantiles that were looked at; `None` where
    /// that is not known.
    pub fn effective(&self) -> Option<f64> {
        let known = REPORTED_QUANTILES.into_iter().filter_map(|(_, name)| self.within(name));
        known
            .filter(|within| within.dispersion.is_some())
            .map(|within| within.effective_requests)
            .reduce(f64::min)
    }

    /// Another series of the run, such as `service`.
    pub fn series(&self, name: &str) -> Option<Series> {
        if name == "response" {
            return Some(self.response.clone());
        }
        serde_json::from_value(self.other.get(name)?.clone()).ok()
    }

    /// The guards that warn or failed, in one phrase each.
    pub fn objections(&self) -> Vec<String> {
        let objections = self.guards.iter().filter(|guard| guard.severity() > 1);
        objections.map(|guard| format!("{}: {}", guard.name, guard.detail)).collect()
    }
}

pub(crate) fn nanos(value: Duration) -> u64 {
    u64::try_from(value.as_nanos()).unwrap_or(u64::MAX)
}
