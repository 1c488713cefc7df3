//! One load with company and without it, in short slices by turns.

use std::time::Duration;

use hdrhistogram::Histogram;
use thiserror::Error;

use super::ab::order;
use super::standstill::Standstill;
use crate::load::{self, LoadError, LoadPlan, Progress};
use crate::record::{CoreInterval, Hist, Interval, RunRecord};
use crate::stats::{self, LEVEL, StatsError, pooled, spread};

/// How it is measured.
#[derive(Debug, Clone)]
pub struct Beside {
    /// The load; its window is one slice.
    pub plan: LoadPlan,
    /// Pairs of periods: one with company, one without, in blocks of ABBA or BAAB.
    pub pairs: usize,
    /// Slices of a period.
    pub slices: usize,
    /// A slice within which the machine stood still for so long, or within whose warm-up it did, is left out.
    pub standstill: Duration,
    /// What the order is drawn from.
    pub seed: u64,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum BesideError {
    /// The load did not begin, or ended early.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Requests failed: the server has more trouble than a latency tells.
    #[error("{failed} requests of a slice failed, the first of them so: {first}")]
    Failed {
        /// How many.
        failed: u64,
        /// What went wrong.
        first: String,
    },
    /// The company did not come.
    #[error(transparent)]
    Company(#[from] std::io::Error),
}

/// The slices of one side.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// Response times of each period, over its slices that were kept.
    pub periods: Vec<Hist>,
    /// Slices that were kept.
    pub kept: usize,
    /// All slices.
    pub slices: usize,
}

/// Both sides, pair by pair.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// With company.
    pub with: Side,
    /// Without.
    pub without: Side,
}

impl Beside {
    /// Measures: `company` makes what is beside the load in a period, with (`true`) or without, and ends it when it is
    /// dropped. `machine` tells when the machine stood still; without it no slice is left out.
    ///
    /// # Errors
    /// As [`BesideError`] lists.
    pub fn measure<C>(
        &self,
        machine: Option<&Standstill>,
        mut company: impl FnMut(bool) -> std::io::Result<C>,
    ) -> Result<Sides, BesideError> {
        let mut sides = Sides::default();
        for has_company in order(self.pairs, self.seed) {
            let company = company(has_company)?;
            let side = if has_company { &mut sides.with } else { &mut sides.without };
            let mut period = Hist::new();
            for _ in 0..self.slices {
                let record = load::run(&self.plan, &FromWarmup(machine))?;
                let stood_still = machine.is_some_and(|machine| machine.take() >= self.standstill);
                check(&record)?;
                side.slices += 1;
                if !stood_still {
                    side.kept += 1;
                    period.add(&record.response);
                    // What has no answer yet waits for as long as it is old, at least.
                    period.add(&record.censored);
                }
            }
            side.periods.push(period);
            drop(company);
        }
        Ok(sides)
    }
}

fn check(record: &RunRecord) -> Result<(), BesideError> {
    // A slice may end before the answers that a slow server owes.
    let failed = record.errors.total() - record.errors.timeout;
    match failed {
        0 => Ok(()),
        _ => Err(BesideError::Failed { failed, first: record.errors.first.clone().unwrap_or_default() }),
    }
}

impl Sides {
    /// The median of the periods' quantiles `q` with company over that without.
    ///
    /// # Errors
    /// With fewer than [`pooled::FEWEST`] pairs left of which each side has kept something.
    pub fn typical_ratio(&self, q: f64, seed: u64) -> Result<stats::Interval, StatsError> {
        pooled::median_ratio(&self.pairs(), q, LEVEL, seed)
    }

    /// Quantile `q` with company over that without, of all that was kept.
    ///
    /// # Errors
    /// As those of [`Sides::typical_ratio`].
    pub fn pooled_ratio(&self, q: f64, seed: u64) -> Result<stats::Interval, StatsError> {
        pooled::quantile_ratio(&self.pairs(), q, LEVEL, seed)
    }

    /// Those of which each side has kept something.
    fn pairs(&self) -> Vec<(Histogram<u64>, Histogram<u64>)> {
        let pairs = self.with.periods.iter().zip(&self.without.periods);
        pairs
            .filter(|(with, without)| !with.is_empty() && !without.is_empty())
            .map(|(with, without)| ((**with).clone(), (**without).clone()))
            .collect()
    }
}

impl Side {
    /// The median of the periods' quantiles `q`.
    pub fn typical(&self, q: f64) -> Duration {
        let periods = self.periods.iter().filter(|period| !period.is_empty());
        let seconds: Vec<f64> = periods.map(|period| period.quantile(q).as_secs_f64()).collect();
        Duration::from_secs_f64(spread::median(&seconds).unwrap_or(0.0))
    }

    /// Quantile `q` of all that was kept.
    pub fn quantile(&self, q: f64) -> Duration {
        let mut whole = Hist::new();
        self.periods.iter().for_each(|period| whole.add(period));
        whole.quantile(q)
    }
}

/// What stood still before the warm-up is forgotten.
struct FromWarmup<'a>(Option<&'a Standstill>);

impl Progress for FromWarmup<'_> {
    fn started(&self, _plan: &LoadPlan) {
        if let Some(machine) = self.0 {
            machine.take();
        }
    }

    fn opens(&self, _at: std::time::Instant) {}

    fn part(&self, _part: &CoreInterval) {}

    fn interval(&self, _interval: &Interval) {}

    fn ends(&self) -> Option<String> {
        None
    }

    fn finished(&self) {}
}
