//! Gates: how much worse the second side may be.

use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use super::{Side, geometric_mean, values};
use crate::bundle::{Metric, MetricError};
use crate::report::quantity::{change as signed, range};
use crate::stats::ratio::LogRatio;
use crate::stats::{Interval, LEVEL};

/// How much a number may change: `p99:+5%`, `rate:-2%`, `errors:+0.1%`.
///
/// A rate or a time changes in relation to the first side. Errors change by so many points, since there are often none to
/// begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// As it was written.
    pub text: String,
    /// The number.
    pub metric: Metric,
    /// The change allowed: 0.05 reads as "at most 5 % more", -0.02 as "at most 2 % less".
    pub change: f64,
}

/// Why a gate makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GateError {
    /// Not of the form.
    #[error("`{0}` is no gate: write p99:+5% or rate:-2%")]
    Form(String),
    /// No such number.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Gate, GateError> {
        let form = || GateError::Form(text.to_owned());
        let (metric, change) = text.split_once(':').ok_or_else(form)?;
        let change = change.trim().strip_suffix('%').ok_or_else(form)?.trim();
        if !change.starts_with(['+', '-']) {
            return Err(form());
        }
        let percent: f64 = change.parse().map_err(|_| form())?;
        // A limit of minus 100 % forbids nothing.
        if !(percent.is_finite() && percent > -100.0) {
            return Err(form());
        }
        Ok(Gate { text: text.to_owned(), metric: metric.trim().parse()?, change: percent / 100.0 })
    }
}

/// What a gate came to; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GateVerdict {
    /// The change is within the limit, with its whole interval where there is one.
    Passed,
    /// The interval holds the limit, or a side does not have the number: more runs or longer ones are needed.
    Inconclusive,
    /// The change is beyond the limit, with its whole interval where there is one.
    Failed,
}

/// A gate and what it came to.
#[derive(Debug, Clone, Serialize)]
pub struct GateResult {
    /// The gate as it was written.
    pub gate: String,
    /// What it came to.
    pub verdict: GateVerdict,
    /// The ratio, or the difference of errors; `None` where a side does not have the number.
    pub value: Option<f64>,
    /// The interval of the ratio, where there are runs enough.
    pub interval: Option<Interval>,
    /// In words.
    pub detail: String,
}

impl Gate {
    /// Judges the change from `a` to `b`.
    pub fn judge(&self, a: &Side, b: &Side) -> GateResult {
        let result = |verdict, value, interval, detail| GateResult {
            gate: self.text.clone(),
            verdict,
            value,
            interval,
            detail,
        };
        let (left, right) = match (values(a, &self.metric), values(b, &self.metric)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) => {
                return result(GateVerdict::Inconclusive, None, None, format!("{}: {error}", a.name));
            }
            (_, Err(error)) => {
                return result(GateVerdict::Inconclusive, None, None, format!("{}: {error}", b.name));
            }
        };
        if self.metric == Metric::Errors {
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let change = mean(&right) - mean(&left);
            let verdict = if change <= self.change { GateVerdict::Passed } else { GateVerdict::Failed };
            let format = |value| self.metric.format(value);
            let detail = format!("{} against {}", format(mean(&right)), format(mean(&left)));
            return result(verdict, Some(change), None, detail);
        }
        let (before, after) = (geometric_mean(&left), geometric_mean(&right));
        let ratio = after / before;
        let interval = LogRatio::unpaired(&right, &left).ok().and_then(|ratio| ratio.interval(LEVEL).ok());
        let limit = 1.0 + self.change;
        // Of what should be high the limit is a floor: `rate:+5%` asks for 5 % more.
        let within = |ratio: f64| {
            if self.metric.higher_is_better() { ratio >= limit } else { ratio <= limit }
        };
        let verdict = match interval {
            Some(interval) => match (within(interval.lower), within(interval.upper)) {
                (true, true) => GateVerdict::Passed,
                (false, false) => GateVerdict::Failed,
                _ => GateVerdict::Inconclusive,
            },
            None if within(ratio) => GateVerdict::Passed,
            None => GateVerdict::Failed,
        };
        let bounds = interval
            .map_or("no interval".to_owned(), |interval| range(interval.lower, interval.upper, signed));
        let detail = format!(
            "{} against {}: {} {bounds}",
            self.metric.format(after),
            self.metric.format(before),
            signed(ratio)
        );
        result(verdict, Some(ratio), interval, detail)
    }
}
