//! The highest rate at which a server keeps its objectives.

use serde::Serialize;

use super::slo::Slo;
use crate::load::{self, LoadPlan, Progress};
use crate::record::{LoopModel, RunRecord};
use crate::stats::{Interval, LEVEL};

/// How a search goes about it.
#[derive(Debug, Clone)]
pub struct Search {
    /// The lowest rate to try, in requests per second.
    pub lowest: f64,
    /// The highest rate to try.
    pub highest: f64,
    /// The search ends when the bounds are this close, as a share.
    pub precision: f64,
    /// How many runs confirm the answer.
    pub confirmations: usize,
}

/// One rate that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// Requests per second asked for.
    pub rate: f64,
    /// Requests per second that came.
    pub achieved: f64,
    /// The 99th percentile of the response time, in seconds.
    pub p99: f64,
    /// Whether the objectives held.
    pub held: bool,
    /// Whether the generator's guards passed; an attempt that fails them says nothing about the server, and is repeated.
    pub valid: bool,
    /// The guards that failed, by name.
    pub failed: Vec<&'static str>,
}

/// How often an attempt is made at most until the guards pass.
const TRIES: usize = 3;

/// What a search found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The highest rate at which the objectives held in most runs; `None` where they did not at the lowest.
    pub rate: Option<f64>,
    /// The rates that came in the confirming runs.
    pub achieved: Option<Interval>,
    /// The lowest rate at which they did not hold; `None` where they held at the highest.
    pub fails_at: Option<f64>,
    /// Everything that was tried, in order.
    pub attempts: Vec<Attempt>,
    /// Whether every attempt at the rate that holds and at the one that does not was valid, if need be when repeated.
    pub valid: bool,
}

impl Attempt {
    fn of(record: &RunRecord, rate: f64, slo: &Slo) -> Self {
        // A server that does not keep up fails, whatever its percentiles say after so short a time.
        let kept_up = record.rate() > 0.98 * rate;
        Self {
            rate,
            achieved: record.rate(),
            p99: record.quantile(0.99).as_secs_f64(),
            held: kept_up && slo.holds(record),
            valid: record.is_valid(),
            failed: record.failed_guards(),
        }
    }
}

impl Search {
    /// Looks for it: doubles the rate until the objectives fail, then halves the distance. A rate is decided by two
    /// runs out of three, so that one hiccup does not decide it; at the end the answer is confirmed, and lowered where
    /// it is not.
    ///
    /// # Errors
    /// When a run does not begin.
    pub fn run(&self, plan: &LoadPlan, slo: &Slo, progress: &dyn Progress) -> anyhow::Result<Found> {
        self.find(|rate, number| {
            let plan = LoadPlan {
                loop_model: LoopModel::Open { rate },
                stages: Vec::new(),
                seed: plan.seed.wrapping_add(number as u64),
                ..plan.clone()
            };
            Ok(Attempt::of(&load::run(&plan, progress)?, rate, slo))
        })
    }

    fn find(&self, mut measure: impl FnMut(f64, usize) -> anyhow::Result<Attempt>) -> anyhow::Result<Found> {
        let mut attempts: Vec<Attempt> = Vec::new();
        // Rates of which an attempt had to be taken that failed a guard each time.
        let mut unproven = Vec::new();
        let mut attempt = |rate: f64, attempts: &mut Vec<Attempt>| -> anyhow::Result<Attempt> {
            let mut made = measure(rate, attempts.len())?;
            attempts.push(made.clone());
            for _ in 1..TRIES {
                if made.valid {
                    break;
                }
                made = measure(rate, attempts.len())?;
                attempts.push(made.clone());
            }
            if !made.valid {
                unproven.push(rate);
            }
            Ok(made)
        };
        let mut decide = |rate: f64, attempts: &mut Vec<Attempt>| -> anyhow::Result<bool> {
            let (first, second) = (attempt(rate, attempts)?.held, attempt(rate, attempts)?.held);
            if first == second { Ok(first) } else { Ok(attempt(rate, attempts)?.held) }
        };

        let (mut good, mut bad) = (None, None);
        let mut rate = self.lowest;
        loop {
            if !decide(rate, &mut attempts)? {
                bad = Some(rate);
                break;
            }
            good = Some(rate);
            if rate >= self.highest {
                break;
            }
            rate = (rate * 2.0).min(self.highest);
        }
        while let (Some(low), Some(high)) = (good, bad) {
            if high / low <= 1.0 + self.precision {
                break;
            }
            // On the log scale, as the precision is.
            let middle = (low * high).sqrt();
            if decide(middle, &mut attempts)? { good = Some(middle) } else { bad = Some(middle) }
        }
        let mut achieved = None;
        while let Some(rate) = good {
            let mut rates = Vec::new();
            let mut held = 0;
            for _ in 0..self.confirmations {
                let made = attempt(rate, &mut attempts)?;
                held += usize::from(made.held);
                rates.push(made.achieved);
            }
            if held * 2 > self.confirmations || self.confirmations == 0 {
                achieved = Interval::of_runs(&rates, LEVEL).ok();
                break;
            }
            bad = Some(rate);
            let lower = rate / (1.0 + self.precision);
            good = (lower >= self.lowest).then_some(lower);
        }
        // Both ends make the answer: a rate that failed for the generator's sake says nothing of the server's limit.
        let valid = [good, bad].into_iter().flatten().all(|end| !unproven.contains(&end));
        Ok(Found { rate: good, achieved, fails_at: bad, attempts, valid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Random;

    /// A server that holds up to `capacity`, give or take some noise.
    fn find(search: &Search, capacity: f64, noise: f64) -> Found {
        let mut random = Random::new(3, 0);
        search
            .find(|rate, _number| {
                let held = rate < capacity * (1.0 + noise * (random.unit() - 0.5));
                Ok(Attempt {
                    rate,
                    achieved: rate.min(capacity),
                    p99: 0.001,
                    held,
                    valid: true,
                    failed: Vec::new(),
                })
            })
            .unwrap()
    }

    fn search() -> Search {
        Search { lowest: 100.0, highest: 1e6, precision: 0.02, confirmations: 3 }
    }

    #[test]
    fn a_known_capacity_is_found_within_the_precision() {
        for capacity in [150.0, 1234.0, 50_000.0] {
            let found = find(&search(), capacity, 0.0);
            let rate = found.rate.unwrap();
            assert!(rate <= capacity && rate * 1.03 > capacity, "{rate} for {capacity}");
            assert!(found.fails_at.unwrap() >= capacity);
            assert!(found.attempts.len() < 60, "{}", found.attempts.len());
            let noisy = find(&search(), capacity, 0.04).rate.unwrap();
            assert!((noisy / capacity - 1.0).abs() < 0.05, "{noisy} for {capacity}");
        }
    }

    #[test]
    fn an_attempt_that_fails_a_guard_decides_nothing_unless_all_of_them_do() {
        // Two of three attempts find the machine busy, and see next to nothing of what the server takes.
        let disturbed = |busy: fn(usize) -> bool| {
            let of = |rate: f64, number| match busy(number) {
                true => Attempt {
                    rate,
                    achieved: 1.0,
                    p99: 9.0,
                    held: false,
                    valid: false,
                    failed: vec!["pauses"],
                },
                false => {
                    let held = rate < 1234.0;
                    Attempt {
                        rate,
                        achieved: rate.min(1234.0),
                        p99: 0.001,
                        held,
                        valid: true,
                        failed: Vec::new(),
                    }
                }
            };
            search().find(|rate, number| Ok(of(rate, number))).unwrap()
        };
        let found = disturbed(|number| number % 3 != 2);
        assert!(
            found.valid && found.rate.is_some_and(|rate| rate <= 1234.0 && rate * 1.03 > 1234.0),
            "{found:?}"
        );
        assert!(found.achieved.is_some_and(|achieved| achieved.lower > 1000.0), "{found:?}");
        let found = disturbed(|_| true);
        assert!(!found.valid && found.rate.is_none(), "{found:?}");
    }

    #[test]
    fn a_limit_that_is_the_generator_s_own_makes_the_answer_invalid() {
        let found = search()
            .find(|rate, _number| {
                let valid = rate < 1234.0;
                let failed = if valid { Vec::new() } else { vec!["saturation"] };
                Ok(Attempt { rate, achieved: rate.min(1234.0), p99: 0.001, held: valid, valid, failed })
            })
            .unwrap();
        assert!(found.rate.is_some_and(|rate| rate < 1234.0) && !found.valid, "{found:?}");
    }

    #[test]
    fn the_ends_of_the_range_are_told() {
        let found = find(&search(), 50.0, 0.0);
        assert_eq!((found.rate, found.fails_at), (None, Some(100.0)));
        let found = find(&search(), 1e9, 0.0);
        assert_eq!((found.rate, found.fails_at), (Some(1e6), None));
    }
}
