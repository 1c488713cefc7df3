//! Numbers of a run by name, for thresholds, gates and comparisons.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::RunDocument;
use crate::record::Hist;
use crate::report::quantity::{grouped, percent, percentile, seconds};
use crate::stats::harrell_davis::of_histogram;
use crate::stats::quantile::{Bearing, bearing};

/// One number of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// `rate` or `rps`: validated responses per second.
    Rate,
    /// `errors`: the part of the requests that ended without a valid response.
    Errors,
    /// `completed`, `failed`, ...: a number of requests by what became of them.
    Count(String),
    /// `p99`, `mean`, `service.p99.9`, ...: a time in nanoseconds.
    Time {
        /// The series: response, service, lateness, ...
        series: String,
        /// What of it.
        statistic: Statistic,
    },
}

/// A number of a series of times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// The least.
    Least,
    /// The mean.
    Mean,
    /// The greatest.
    Greatest,
    /// A quantile, from 0 to 1.
    Quantile(f64),
}

/// Why a run does not have a number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetricError {
    /// No such name.
    #[error("unknown metric `{0}`: write rate, errors, p99, mean, max or service.p99")]
    Unknown(String),
    /// The run did not record it.
    #[error("the run has no {0}")]
    Absent(String),
    /// Too few requests lie beyond the quantile.
    #[error("the run is too short for {0}: fewer than ten requests lie beyond it")]
    NotBorne(String),
    /// The run's histogram is damaged.
    #[error("the histogram of {0} cannot be read")]
    Damaged(String),
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Metric, MetricError> {
        let unknown = || MetricError::Unknown(text.to_owned());
        match text {
            "rate" | "rps" => return Ok(Metric::Rate),
            "errors" => return Ok(Metric::Errors),
            "completed" | "failed" | "sent" | "in_flight_at_end" | "queued_at_end" => {
                return Ok(Metric::Count(text.to_owned()));
            }
            _ => {}
        }
        // The point of `p99.9` is no separator.
        let (series, name) = match text.split_once('.') {
            Some((series, name)) if series.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                (series, name)
            }
            _ => ("response", text),
        };
        let statistic = match name {
            "min" => Statistic::Least,
            "mean" | "avg" => Statistic::Mean,
            "max" => Statistic::Greatest,
            _ => {
                let percent =
                    name.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()).ok_or_else(unknown)?;
                if !(percent > 0.0 && percent < 100.0) {
                    return Err(unknown());
                }
                Statistic::Quantile(percent / 100.0)
            }
        };
        Ok(Metric::Time { series: series.to_owned(), statistic })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::Rate => f.write_str("rate"),
            Metric::Errors => f.write_str("errors"),
            Metric::Count(name) => f.write_str(name),
            Metric::Time { series, statistic } => {
                if series != "response" {
                    write!(f, "{series}.")?;
                }
                match statistic {
                    Statistic::Least => f.write_str("min"),
                    Statistic::Mean => f.write_str("mean"),
                    Statistic::Greatest => f.write_str("max"),
                    Statistic::Quantile(q) => f.write_str(&percentile(*q)),
                }
            }
        }
    }
}

impl Metric {
    /// A quantile of the response time.
    pub fn quantile(q: f64) -> Metric {
        Metric::Time { series: "response".to_owned(), statistic: Statistic::Quantile(q) }
    }

    /// Whether more of it is better.
    pub fn higher_is_better(&self) -> bool {
        match self {
            Metric::Rate => true,
            Metric::Count(name) => name == "completed" || name == "sent",
            _ => false,
        }
    }

    /// The number of this run: per second, a share, a count or nanoseconds.
    ///
    /// # Errors
    /// When the run does not have it or does not bear it.
    pub fn of(&self, run: &RunDocument) -> Result<f64, MetricError> {
        self.with(run, |hist, q| hist.quantile(q).as_nanos() as f64)
    }

    /// As [`Metric::of`], for a comparison with other runs: a quantile that few values lie beyond is Harrell and Davis'
    /// ([`of_histogram`]), which varies less from run to run.
    ///
    /// # Errors
    /// As for [`Metric::of`].
    pub fn estimate(&self, run: &RunDocument) -> Result<f64, MetricError> {
        self.with(run, |hist, q| of_histogram(hist, q))
    }

    fn with(&self, run: &RunDocument, quantile: fn(&Hist, f64) -> f64) -> Result<f64, MetricError> {
        let absent = || MetricError::Absent(self.to_string());
        match self {
            Metric::Rate => run.rate.ok_or_else(absent),
            Metric::Errors => run.error_share().ok_or_else(absent),
            Metric::Count(name) => run.requests.get(name).map(|count| *count as f64).ok_or_else(absent),
            Metric::Time { series, statistic } => {
                let series = run.series(series).ok_or_else(absent)?;
                let known = |value: f64| if series.count > 0 { Ok(value) } else { Err(absent()) };
                match statistic {
                    Statistic::Least => known(series.min_ns as f64),
                    Statistic::Mean => known(series.mean_ns),
                    Statistic::Greatest => known(series.max_ns as f64),
                    Statistic::Quantile(q) => match series.histogram() {
                        Ok(Some(hist)) if bearing(*q, hist.len(), 1.0) == Bearing::Borne => {
                            Ok(quantile(&hist, *q))
                        }
                        Ok(Some(_)) => Err(MetricError::NotBorne(self.to_string())),
                        Ok(None) => {
                            let value = series.quantiles_ns.get(&percentile(*q));
                            value.map(|value| *value as f64).ok_or_else(absent)
                        }
                        Err(_) => Err(MetricError::Damaged(self.to_string())),
                    },
                }
            }
        }
    }

    /// A value of this metric as people read it.
    pub fn format(&self, value: f64) -> String {
        match self {
            Metric::Rate => format!("{}/s", grouped(value)),
            Metric::Errors => percent(value),
            Metric::Count(_) => grouped(value),
            Metric::Time { .. } => seconds(value / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::sample::run;

    #[test]
    fn names_come_back() {
        for name in
            ["rate", "errors", "completed", "p50", "p99.9", "mean", "max", "service.p99", "lateness.p99.99"]
        {
            assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
        }
        assert_eq!("rps".parse::<Metric>(), Ok(Metric::Rate));
        for name in ["", "p", "p0", "p100", "q99", "service.", "p99.9.9", "latency"] {
            assert!(matches!(name.parse::<Metric>(), Err(MetricError::Unknown(_))), "{name}");
        }
    }

    #[test]
    fn numbers_of_a_run() {
        let run = run(4000, 1_000_000);
        let of = |name: &str| name.parse::<Metric>().unwrap().of(&run);
        assert_eq!(of("rate"), Ok(4000.0));
        assert_eq!(of("errors"), Ok(0.0));
        assert!((of("p99").unwrap() / 1.01e6 - 1.0).abs() < 0.01);
        let weighed = Metric::quantile(0.99).estimate(&run).unwrap();
        assert!((weighed / of("p99").unwrap() - 1.0).abs() < 0.01 && weighed != of("p99").unwrap());
        assert_eq!(Metric::quantile(0.9999).estimate(&run), of("p99.99"));
        assert_eq!(of("p99.99"), Err(MetricError::NotBorne("p99.99".to_owned())));
        assert_eq!(of("lateness.p99"), Err(MetricError::Absent("lateness.p99".to_owned())));
        assert_eq!(Metric::Rate.format(4000.0), "4,000/s");
        assert_eq!(Metric::quantile(0.99).format(1.5e6), "1.50 ms");
    }
}
