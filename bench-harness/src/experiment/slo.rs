//! What latencies, errors and rates are asked for: `p99<5ms,errors<0.1%`.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::record::RunRecord;

/// Objectives that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    bounds: Vec<Bound>,
}

#[derive(Debug, Clone, PartialEq)]
enum Bound {
    /// The response time at a quantile is below this.
    Latency { q: f64, name: String, limit: Duration },
    /// Failed requests as a share of those that ended are below this.
    Errors { limit: f64 },
}

/// Why a text is no list of objectives.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not an objective: write p99<5ms, p99.9<20ms, max<1s or errors<0.1%, and commas between several"
)]
pub struct SloError(String);

impl Slo {
    /// Parses a list; `duration` reads a length of time.
    ///
    /// # Errors
    /// When a part has another form.
    pub fn parse(text: &str, duration: impl Fn(&str) -> Result<Duration, String>) -> Result<Self, SloError> {
        let bounds = text
            .split(',')
            .map(|part| {
                let bad = || SloError(part.trim().to_owned());
                let (name, limit) = part.split_once('<').ok_or_else(bad)?;
                let (name, limit) = (name.trim(), limit.trim());
                if name == "errors" {
                    let share = match limit.strip_suffix('%') {
                        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
                        None => limit.parse(),
                    };
                    let limit = share.ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(bad)?;
                    return Ok(Bound::Errors { limit });
                }
                let q = match name {
                    "max" => 1.0,
                    _ => name.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()).ok_or_else(bad)? / 100.0,
                };
                let limit = duration(limit).map_err(|_| bad())?;
                let valid = q > 0.0 && q <= 1.0 && !limit.is_zero();
                valid.then(|| Bound::Latency { q, name: name.to_owned(), limit }).ok_or_else(bad)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { bounds })
    }

    /// Whether a run keeps every objective; what has no end yet counts as endless.
    pub fn holds(&self, run: &RunRecord) -> bool {
        run.completed > 0 && self.bounds.iter().all(|bound| bound.holds(run))
    }
}

impl Bound {
    fn holds(&self, run: &RunRecord) -> bool {
        match self {
            Self::Latency { q, limit, .. } => {
                // The few that are always in flight when a run ends are no sign of trouble; a queue is.
                let (lower, upper) = run.quantile_bounds(*q);
                let seen =
                    if run.queued_at_end == 0 && run.errors.timeout == 0 { Some(lower) } else { upper };
                seen.is_some_and(|seen| seen < *limit)
            }
            Self::Errors { limit } => {
                let ended = (run.completed + run.failed).max(1) as f64;
                (run.failed as f64 / ended) < *limit || run.failed == 0
            }
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, bound) in self.bounds.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            match bound {
                Bound::Latency { name, limit, .. } => write!(f, "{name}<{limit:?}")?,
                Bound::Errors { limit } => write!(f, "errors<{}%", limit * 100.0)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Slo, SloError> {
        Slo::parse(text, crate::cli::values::duration)
    }

    #[test]
    fn objectives_print_as_they_are_read() {
        assert_eq!(parse("p99<5ms, errors<0.1%").unwrap().to_string(), "p99<5ms, errors<0.1%");
        assert_eq!(parse("p99.9<1s,max<2s").unwrap().to_string(), "p99.9<1s, max<2s");
        for text in ["", "p99", "p99<", "p0<1s", "p101<1s", "p99<0s", "q<1s", "errors<200%", "p99<5ms,"] {
            assert!(parse(text).unwrap_err().to_string().contains("p99<5ms"), "{text}");
        }
    }
}
