//! Thresholds: what a run must reach.

use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use crate::bundle::{Metric, MetricError, RunDocument, Statistic};
use crate::report::quantity::grouped;
use crate::stats::{Interval, LEVEL};

/// A limit on a number of a run: `p99<5ms`, `errors<0.1%`, `rate>=100k`.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As it was written.
    pub text: String,
    /// The number.
    pub metric: Metric,
    /// Which side of the limit is right.
    pub relation: Relation,
    /// The limit: nanoseconds, a share, per second or a count.
    pub limit: f64,
}

/// Which side of a limit is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Relation {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Relation::Below => value < limit,
            Relation::AtMost => value <= limit,
            Relation::Above => value > limit,
            Relation::AtLeast => value >= limit,
        }
    }
}

/// Why a threshold makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ThresholdError {
    /// Not of the form.
    #[error("`{0}` is no threshold: write p99<5ms, errors<0.1% or rate>=100k")]
    Form(String),
    /// A limit in the wrong unit.
    #[error("`{limit}` is no limit of {metric}: write {example}")]
    Unit {
        /// The number.
        metric: String,
        /// What was written.
        limit: String,
        /// What could have been.
        example: &'static str,
    },
    /// No such number.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Threshold, ThresholdError> {
        let at = text.find(['<', '>']).ok_or_else(|| ThresholdError::Form(text.to_owned()))?;
        let (name, rest) = text.split_at(at);
        let (relation, limit) = match rest.as_bytes() {
            [b'<', b'=', ..] => (Relation::AtMost, &rest[2..]),
            [b'<', ..] => (Relation::Below, &rest[1..]),
            [_, b'=', ..] => (Relation::AtLeast, &rest[2..]),
            _ => (Relation::Above, &rest[1..]),
        };
        let (metric, limit): (Metric, &str) = (name.trim().parse()?, limit.trim());
        let number = parse_limit(&metric, limit).map_err(|example| ThresholdError::Unit {
            metric: metric.to_string(),
            limit: limit.to_owned(),
            example,
        })?;
        Ok(Threshold { text: text.to_owned(), metric, relation, limit: number })
    }
}

/// The limit in the metric's own unit, or an example of what to write.
fn parse_limit(metric: &Metric, text: &str) -> Result<f64, &'static str> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = (text[..end].parse::<f64>().ok(), text[end..].trim());
    let (example, factor) = match metric {
        Metric::Time { .. } => (
            "5ms",
            match unit {
                "ns" => Some(1.0),
                "us" | "µs" => Some(1e3),
                "ms" => Some(1e6),
                "s" => Some(1e9),
                _ => None,
            },
        ),
        Metric::Errors => (
            "0.1%",
            match unit {
                "%" => Some(0.01),
                "" => Some(1.0),
                _ => None,
            },
        ),
        Metric::Rate | Metric::Count(_) => (
            "100k",
            match unit {
                "" => Some(1.0),
                "k" | "K" => Some(1e3),
                "m" | "M" => Some(1e6),
                _ => None,
            },
        ),
    };
    number.zip(factor).map(|(number, factor)| number * factor).ok_or(example)
}

/// A threshold and what it came to.
#[derive(Debug, Clone, Serialize)]
pub struct ThresholdResult {
    /// The threshold as it was written.
    pub threshold: String,
    /// Whether it holds; a run that does not have the number does not hold it.
    pub passed: bool,
    /// The number: of one run its own, of several the geometric mean (of errors and counts the mean).
    pub value: Option<f64>,
    /// Its interval over several runs.
    pub interval: Option<Interval>,
    /// In words.
    pub detail: String,
}

impl Threshold {
    /// Holds the threshold against the runs of one measurement.
    pub fn judge(&self, runs: &[RunDocument]) -> ThresholdResult {
        let values: Result<Vec<f64>, MetricError> = runs.iter().map(|run| self.metric.of(run)).collect();
        let values = match values {
            Ok(values) if !values.is_empty() => values,
            Ok(_) => return self.unknown("there is no run".to_owned()),
            Err(error) => return self.unknown(error.to_string()),
        };
        let interval = Interval::of_runs(&values, LEVEL).ok();
        let relative = matches!(self.metric, Metric::Rate | Metric::Time { .. });
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let value = interval.filter(|_| relative).map_or(mean, |interval| interval.estimate);
        let format = |value: f64| self.metric.format(value);
        let bounds = interval.filter(|_| relative).map_or(String::new(), |interval| {
            format!(" [{}, {}], {} runs", format(interval.lower), format(interval.upper), interval.runs)
        });
        ThresholdResult {
            threshold: self.text.clone(),
            passed: self.relation.holds(value, self.limit),
            value: Some(value),
            interval: interval.filter(|_| relative),
            detail: format!("{} is {}{bounds}{}", self.metric, format(value), self.doubt(runs)),
        }
    }

    /// What a run that has no others beside it does not know of a percentile of its response time.
    fn doubt(&self, runs: &[RunDocument]) -> String {
        let Metric::Time { series, statistic: Statistic::Quantile(_) } = &self.metric else {
            return String::new();
        };
        let [run] = runs else { return String::new() };
        let within =
            Some(run).filter(|_| series == "response").and_then(|run| run.within(&self.metric.to_string()));
        let Some(within) = within.filter(|within| within.dispersion.is_some()) else { return String::new() };
        match (within.borne, within.lower_ns, within.upper_ns) {
            (true, Some(lower), Some(upper)) => {
                let format = |nanos: u64| self.metric.format(nanos as f64);
                format!(" [{}, {}] within this run", format(lower), format(upper))
            }
            _ => format!(
                ", which the {} independent requests of this run do not bear",
                grouped(within.effective_requests)
            ),
        }
    }

    fn unknown(&self, detail: String) -> ThresholdResult {
        ThresholdResult { threshold: self.text.clone(), passed: false, value: None, interval: None, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::sample::{run, with_errors};

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap()
    }

    #[test]
    fn limits_have_the_unit_of_their_number() {
        assert_eq!(threshold("p99<5ms").limit, 5e6);
        assert_eq!(threshold("service.p99.9 <= 800us").limit, 8e5);
        assert_eq!(threshold("errors<0.1%").limit, 0.001);
        assert_eq!(threshold("rps>=100k").limit, 1e5);
        assert_eq!(threshold("failed<=0").relation, Relation::AtMost);
        assert_eq!(threshold("rate > 1.5m").relation, Relation::Above);
        assert_eq!((threshold("rate>1.5M").limit, threshold("rate>2K").limit), (1.5e6, 2e3));
        assert_eq!((threshold("p50<70ns").limit, threshold("max<2s").limit), (70.0, 2e9));
        assert_eq!((threshold("p50<7µs").limit, threshold("errors<0.01").limit), (7e3, 0.01));
    }

    #[test]
    fn at_the_limit_itself_the_relation_decides() {
        let runs = [run(4000, 1_000_000)];
        let rate = runs[0].rate.unwrap();
        for (relation, holds) in [("<", false), ("<=", true), (">", false), (">=", true)] {
            let limit = threshold(&format!("rate{relation}{rate}"));
            assert_eq!(limit.judge(&runs).passed, holds, "{}: {}", limit.text, limit.judge(&runs).detail);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_an_example() {
        for (text, part) in [
            ("p99", "write p99<5ms"),
            ("p99=5ms", "write p99<5ms"),
            ("p99<5", "write 5ms"),
            ("p99<fast", "write 5ms"),
            ("errors<5ms", "write 0.1%"),
            ("rate>=100%", "write 100k"),
            ("latency<5ms", "unknown metric"),
            ("<5ms", "unknown metric"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn one_run_says_what_it_does_not_know_of_a_percentile() {
        let mut run = run(4000, 1_000_000);
        let within = |borne: bool, bounds: Option<u64>| {
            serde_json::json!({
                "dispersion": 4.0, "effective_requests": 1000.0, "borne": borne,
                "lower_ns": bounds, "upper_ns": bounds.map(|lower| lower * 2),
            })
        };
        let both = serde_json::json!({ "p99": within(true, Some(900_000)), "p99.5": within(false, None), "p99.9": within(false, None) });
        run.other.insert("within_run".to_owned(), both);
        let detail = |text: &str, runs: &[RunDocument]| threshold(text).judge(runs).detail;
        let one = std::slice::from_ref(&run);
        assert!(
            detail("p99<5ms", one).ends_with(" [900 µs, 1.80 ms] within this run"),
            "{}",
            detail("p99<5ms", one)
        );
        let unborne = detail("p99.5<5ms", one);
        assert!(
            unborne.ends_with(", which the 1,000 independent requests of this run do not bear"),
            "{unborne}"
        );
        assert!(!detail("service.p99<5ms", one).contains("this run"));
        assert!(!detail("rate>1", one).contains("this run"));
        assert!(!detail("p99<5ms", &[run.clone(), run.clone()]).contains("this run"));
    }

    #[test]
    fn runs_pass_or_fail() {
        let runs = [run(4000, 1_000_000), run(4100, 1_010_000), run(3900, 990_000)];
        let passed = |text: &str| threshold(text).judge(&runs).passed;
        assert!(passed("p99<2ms") && passed("rate>=3k") && passed("errors<0.1%") && passed("failed<=0"));
        assert!(!passed("p99<900us") && !passed("rate>=5k"));
        let result = threshold("rate>=3k").judge(&runs);
        assert_eq!(result.interval.unwrap().runs, 3);
        assert!(result.detail.starts_with("rate is 3,999/s ["), "{}", result.detail);
    }

    #[test]
    fn a_number_that_is_not_there_does_not_pass() {
        let result = threshold("p99.99<1h".replace('h', "s").as_str()).judge(&[run(4000, 1_000_000)]);
        assert!(!result.passed && result.value.is_none());
        assert!(result.detail.contains("too short for p99.99"), "{}", result.detail);
        let result = threshold("rate>0").judge(&[]);
        assert_eq!((result.passed, result.value, result.detail.as_str()), (false, None, "there is no run"));
    }

    #[test]
    fn errors_count() {
        let runs = [with_errors(1000, 10)];
        let result = threshold("errors<0.1%").judge(&runs);
        assert!(!result.passed);
        assert_eq!(result.detail, "errors is 1.0 %");
        // Of several runs they are the mean, which one without any has a part in.
        let runs = [with_errors(1000, 0), with_errors(1000, 10), with_errors(1000, 20)];
        let failed = threshold("failed<=10").judge(&runs);
        assert!(failed.passed && failed.value == Some(10.0) && failed.interval.is_none(), "{failed:?}");
        assert!(!threshold("failed<10").judge(&runs).passed);
    }
}
