//! Two servers side by side, in pairs of runs.

mod html;

use std::fmt;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{ServerCommand, probe};
use crate::clock::Random;
use crate::load::{self, LoadError, LoadPlan, NoProgress, Progress, format_cpus};
use crate::record::RunRecord;
use crate::report::quantity::{grouped, time};
use crate::stats::harrell_davis::of_histogram;
use crate::stats::shift::{self, Shift};
use crate::stats::{Interval, LEVEL, StatsError, ratio};

const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// How it is loaded.
    pub plan: LoadPlan,
    /// How it is started anew for each of its runs, where it is.
    pub server: Option<ServerCommand>,
}

/// What is compared of two runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// Validated responses per second; more is better.
    Rate,
    /// The response time at this quantile; less is better.
    Quantile(f64, &'static str),
}

impl Metric {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Quantile(_, name) => name,
        }
    }

    fn of(self, run: &RunRecord) -> f64 {
        match self {
            Self::Rate => run.rate(),
            Self::Quantile(q, _) => of_histogram(&run.response, q) / 1e9,
        }
    }
}

/// What the pairs say about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The whole interval lies within the margin.
    Equivalent,
    /// B is better, by more than chance.
    Better,
    /// B is worse, by more than chance.
    Worse,
    /// The interval decides nothing.
    Inconclusive,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equivalent => "equivalent",
            Self::Better => "better",
            Self::Worse => "WORSE",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// A metric of B over that of A.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What was compared.
    pub metric: &'static str,
    /// B over A, with its 95 % interval.
    pub ratio: Interval,
    /// What follows.
    pub finding: Finding,
    /// The largest difference between two runs of a pair that is not exceeded in 95 % of the pairs, as a share.
    pub spread: f64,
}

/// The runs of a comparison, pair by pair.
#[derive(Debug)]
pub struct Pairs {
    /// A's run of each pair.
    pub a: Vec<RunRecord>,
    /// B's run of each pair.
    pub b: Vec<RunRecord>,
}

impl Pairs {
    /// Under what conditions all of them were made, in a line; nothing where there are none.
    pub fn conditions(&self) -> String {
        let Some(first) = self.a.first() else { return String::new() };
        let conditions = &first.conditions;
        let pace = match conditions.loop_model.rate() {
            Some(rate) => format!("open loop, {}/s", grouped(rate)),
            None => "closed loop".to_owned(),
        };
        format!(
            "{pace}, {} connections, depth {}, {}, generator CPU {}, warm-up {}, {} a run",
            conditions.connections,
            conditions.pipeline,
            conditions.protocol,
            format_cpus(&conditions.generator_cpus),
            time(conditions.warmup),
            time(first.elapsed)
        )
    }
}

/// The order of the runs: blocks of ABBA or BAAB, as the seed has it; `true` is A.
///
/// A drift that is linear within a block cancels: the two runs of A have the same mean time as those of B.
pub fn order(pairs: usize, seed: u64) -> Vec<bool> {
    let mut random = Random::new(seed, 0);
    let mut order = Vec::with_capacity(pairs * 2);
    while order.len() < pairs * 2 {
        let first = random.bits() & 1 == 0;
        order.extend([first, !first, !first, first]);
    }
    order.truncate(pairs * 2);
    order
}

/// Makes the runs, in the order of [`order`], each pair next to each other.
///
/// # Errors
/// When a run does not begin, or a server does not start.
pub fn compare(
    a: &Side,
    b: &Side,
    pairs: usize,
    seed: u64,
    probes: bool,
    progress: &dyn Progress,
) -> anyhow::Result<Pairs> {
    let mut made = Pairs { a: Vec::with_capacity(pairs), b: Vec::with_capacity(pairs) };
    for (number, is_a) in order(pairs, seed).into_iter().enumerate() {
        let side = if is_a { a } else { b };
        // Both sides of a pair meet the same arrivals.
        let plan = LoadPlan { seed: seed.wrapping_add(number as u64 / 2), ..side.plan.clone() };
        let child = side.server.as_ref().map(|server| server.start(&plan)).transpose()?;
        let mut record = load::run(&plan, progress)?;
        // One ceiling for each side will do: the rest of its runs are of the same shape.
        if probes && number < 2 {
            probe(&plan, &mut record);
        }
        if is_a {
            made.a.push(record)
        } else {
            made.b.push(record)
        }
        if let Some(child) = child {
            child.stop(STOP_PATIENCE)?;
        }
    }
    Ok(made)
}

/// Makes the runs of each pair at the same time, each on half of the generator's CPUs, which take turns from pair to
/// pair: what happens on the machine happens to both (Bulej et al., Duet benchmarking, ICPE 2020).
///
/// The two servers must not share CPUs either, or they measure each other.
///
/// # Errors
/// When the generator has fewer than two CPUs, a run does not begin, or a server does not start.
pub fn compare_at_once(a: &Side, b: &Side, pairs: usize, seed: u64) -> anyhow::Result<Pairs> {
    let cpus = &a.plan.cpus;
    let half = cpus.len() / 2;
    if half == 0 {
        return Err(LoadError::Plan(
            "two runs at once need two generator CPUs: give --cpus with two or more",
        )
        .into());
    }
    let mut made = Pairs { a: Vec::with_capacity(pairs), b: Vec::with_capacity(pairs) };
    for (number, is_a) in order(pairs, seed).into_iter().step_by(2).enumerate() {
        let halves = if is_a {
            (&cpus[..half], &cpus[half..2 * half])
        } else {
            (&cpus[half..2 * half], &cpus[..half])
        };
        let plan = |side: &Side, cpus: &[usize]| LoadPlan {
            seed: seed.wrapping_add(number as u64),
            cpus: cpus.to_vec(),
            ..side.plan.clone()
        };
        let (first, second) = (plan(a, halves.0), plan(b, halves.1));
        let start =
            |side: &Side, plan: &LoadPlan| side.server.as_ref().map(|server| server.start(plan)).transpose();
        let (server_a, server_b) = (start(a, &first)?, start(b, &second)?);
        let (record_a, record_b) = thread::scope(|scope| {
            let beside = scope.spawn(|| load::run(&second, &NoProgress));
            (load::run(&first, &NoProgress), beside.join().unwrap_or(Err(LoadError::CoreLost)))
        });
        made.a.push(record_a?);
        made.b.push(record_b?);
        for server in [server_a, server_b].into_iter().flatten() {
            server.stop(STOP_PATIENCE)?;
        }
    }
    Ok(made)
}

impl Pairs {
    /// Whether no run failed a guard.
    pub fn is_valid(&self) -> bool {
        self.a.iter().chain(&self.b).all(RunRecord::is_valid)
    }

    /// The metrics that every run bears.
    pub fn metrics(&self) -> Vec<Metric> {
        let runs = || self.a.iter().chain(&self.b);
        let quantiles = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];
        let borne = quantiles.into_iter().filter(|(q, _)| runs().all(|run| run.bears(*q)));
        let quantiles = borne.map(|(q, name)| Metric::Quantile(q, name));
        std::iter::once(Metric::Rate)
            .filter(|_| runs().all(|run| run.completed > 0))
            .chain(quantiles)
            .collect()
    }

    /// The ratio of each quantile of the response time, pair by pair.
    pub fn shift(&self) -> Vec<Shift> {
        fn plain(runs: &[RunRecord]) -> Vec<&Histogram<u64>> {
            runs.iter().map(|run| &*run.response).collect()
        }
        shift::paired(&plain(&self.a), &plain(&self.b), LEVEL)
    }

    /// The ratio of a metric, judged with a margin such as 0.02 below which a difference is none.
    ///
    /// # Errors
    /// With fewer than two pairs, or where a run has no such value.
    pub fn comparison(&self, metric: Metric, margin: f64) -> Result<Comparison, StatsError> {
        let values = |runs: &[RunRecord]| runs.iter().map(|run| metric.of(run)).collect::<Vec<f64>>();
        let more_is_better = metric == Metric::Rate;
        judge(metric.name(), &values(&self.a), &values(&self.b), margin, more_is_better)
    }
}

/// Judges pairs of values.
///
/// # Errors
/// With fewer than two pairs, and values that are not positive.
pub fn judge(
    metric: &'static str,
    a: &[f64],
    b: &[f64],
    margin: f64,
    more_is_better: bool,
) -> Result<Comparison, StatsError> {
    let interval = ratio::paired(b, a, LEVEL)?;
    // Two one-sided tests at 5 % each are the 90 % interval (Schuirmann 1987).
    let narrow = ratio::paired(b, a, 1.0 - 2.0 * (1.0 - LEVEL))?;
    let finding = if narrow.lower > 1.0 / (1.0 + margin) && narrow.upper < 1.0 + margin {
        Finding::Equivalent
    } else if (interval.lower > 1.0 && more_is_better) || (interval.upper < 1.0 && !more_is_better) {
        Finding::Better
    } else if interval.lower > 1.0 || interval.upper < 1.0 {
        Finding::Worse
    } else {
        Finding::Inconclusive
    };
    let mut differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| (b / a).ln().abs()).collect();
    differences.sort_by(f64::total_cmp);
    let place = ((differences.len() as f64 * 0.95).ceil() as usize).clamp(1, differences.len().max(1)) - 1;
    let spread = differences.get(place).copied().unwrap_or(0.0).exp_m1();
    Ok(Comparison { metric, ratio: interval, finding, spread })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_balanced_and_follow_the_seed() {
        for seed in 0..20 {
            let order = order(6, seed);
            assert_eq!(order.iter().filter(|&&a| a).count(), 6);
            for pair in order.chunks(2) {
                assert_ne!(pair[0], pair[1]);
            }
            for block in order.chunks(4) {
                assert!(block.len() < 4 || (block[0] == block[3] && block[1] == block[2]));
            }
            assert_eq!(order, super::order(6, seed));
        }
        assert!((0..20).any(|seed| order(1, seed)[0]) && (0..20).any(|seed| !order(1, seed)[0]));
    }

    fn noise(random: &mut Random) -> f64 {
        (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
    }

    /// Pairs of runs of two servers that differ by `effect`, on a machine that gets slower by 0.5 % per run.
    fn experiment(random: &mut Random, seed: u64, effect: f64) -> (Vec<f64>, Vec<f64>) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (number, is_a) in order(8, seed).into_iter().enumerate() {
            let value = 1000.0 * (-0.005 * number as f64 + 0.01 * noise(random)).exp();
            if is_a { a.push(value) } else { b.push(value * (1.0 + effect)) }
        }
        (a, b)
    }

    #[test]
    fn equal_servers_differ_as_often_as_the_level_says_in_spite_of_a_drift() {
        let mut random = Random::new(11, 0);
        let differ = (0..2000)
            .filter(|&seed| {
                let (a, b) = experiment(&mut random, seed, 0.0);
                let found = judge("rate", &a, &b, 0.0, true).unwrap().finding;
                matches!(found, Finding::Better | Finding::Worse)
            })
            .count();
        assert!((60..=140).contains(&differ), "{differ} of 2000");
    }

    #[test]
    fn a_difference_is_found_and_its_direction_told() {
        let mut random = Random::new(5, 0);
        let (a, b) = experiment(&mut random, 1, 0.10);
        assert_eq!(judge("rate", &a, &b, 0.02, true).unwrap().finding, Finding::Better);
        assert_eq!(judge("p99", &a, &b, 0.02, false).unwrap().finding, Finding::Worse);
        assert_eq!(judge("rate", &b, &a, 0.02, true).unwrap().finding, Finding::Worse);
        let (a, b) = experiment(&mut random, 2, 0.0);
        assert_eq!(judge("rate", &a, &b, 0.05, true).unwrap().finding, Finding::Equivalent);
        assert_eq!(
            judge("rate", &a[..2], &[900.0, 1100.0], 0.02, true).unwrap().finding,
            Finding::Inconclusive
        );
    }
}
