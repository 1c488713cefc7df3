//! From measurements to verdicts.

use serde::Serialize;

use super::{Claim, Feasibility, Reading, Verdict};
use crate::report::quantity::{grouped, percent};
use crate::stats::Interval;

/// What kept a rate from being higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The thing under measurement used all the CPU it had.
    Subject,
    /// The load generator used all the CPU it had.
    Generator,
    /// Neither, or not known.
    Unknown,
}

/// What was measured in one layer.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The layer.
    pub reading: Reading,
    /// The rate with its interval; `None` when there were too few runs for one.
    pub rate: Option<Interval>,
    /// Runs that do not belong with the others.
    pub strays: usize,
    /// Reasons why the measurement proves nothing, one phrase each.
    pub failed_guards: Vec<String>,
    /// What the rate was limited by.
    pub limit: Limit,
    /// What the claim would cost on this machine, where that is known.
    pub feasibility: Option<Feasibility>,
}

/// A verdict and the reason for it in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence.
    pub reason: String,
}

impl Judgement {
    fn new(verdict: Verdict, reason: String) -> Judgement {
        Judgement { verdict, reason }
    }
}

/// Judges the claim in one layer: can its figure be reached there?
pub fn layer(claim: &Claim, evidence: &Evidence) -> Judgement {
    if let Some(failed) = evidence.failed_guards.first() {
        let more = match evidence.failed_guards.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        return Judgement::new(Verdict::Invalid, format!("A guard failed: {failed}{more}."));
    }
    let Some(rate) = evidence.rate else {
        return Judgement::new(Verdict::Inconclusive, "Too few runs for an interval.".to_owned());
    };
    let range = format!("[{}, {}]", grouped(rate.lower), grouped(rate.upper));
    let bar = claim.threshold();
    if evidence.strays > 0 {
        return Judgement::new(
            Verdict::Inconclusive,
            format!("{} of {} runs differ from the rest by over 10 %.", evidence.strays, rate.runs),
        );
    }
    if rate.lower >= bar {
        let reason = format!(
            "The whole interval {range} lies {}.",
            compared(rate.lower, claim.value, claim.tolerance)
        );
        return Judgement::new(Verdict::Confirmed, reason);
    }
    if rate.upper >= bar {
        let reason = format!("The interval {range} holds {} (claim less tolerance).", grouped(bar));
        return Judgement::new(Verdict::Inconclusive, reason);
    }
    if let Some(feasibility) = evidence.feasibility.filter(|f| !f.allows(bar)) {
        return Judgement::new(
            Verdict::NotReproducibleHere,
            format!("{}.", feasibility.sentence(claim.value)),
        );
    }
    let share = percent(rate.estimate / claim.value);
    match evidence.limit {
        Limit::Subject => Judgement::new(
            Verdict::Refuted,
            format!("At most {} with the subject's CPU used up: {share} of the claim.", grouped(rate.upper)),
        ),
        Limit::Generator => Judgement::new(
            Verdict::Inconclusive,
            format!("{share} of the claim, but the generator was the limit, not the subject."),
        ),
        Limit::Unknown => Judgement::new(
            Verdict::Inconclusive,
            format!("{share} of the claim, but nothing shows that the subject was the limit."),
        ),
    }
}

fn compared(lower: f64, value: f64, tolerance: f64) -> String {
    if lower >= value {
        format!("above the claim of {}", grouped(value))
    } else {
        format!("within {} of the claim of {}", percent(tolerance), grouped(value))
    }
}

/// Judges the claim as a whole from the judgements of its layers, given in the order of [`Claim::readings`].
///
/// A claim that was taken in one layer and is read in another is mis-specified whatever the measurements say: they
/// only show how far apart the layers are. Otherwise the worst judgement decides.
pub fn overall(claim: &Claim, layers: &[(Evidence, Judgement)]) -> Judgement {
    let taken = claim.taken();
    let others: Vec<Reading> = claim.readings().into_iter().filter(|reading| *reading != taken).collect();
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(ToString::to_string).collect();
        let reason = format!(
            "The figure counts {taken} but is read as {}: {}.",
            names.join(" and "),
            distance(taken, layers)
        );
        return Judgement::new(Verdict::MisSpecified, reason);
    }
    layers.iter().map(|(_, judgement)| judgement.clone()).max_by_key(|j| severity(j.verdict)).unwrap_or_else(
        || Judgement::new(Verdict::Inconclusive, "No layer of the claim could be measured.".to_owned()),
    )
}

/// How far apart the layers came out, in words.
fn distance(taken: Reading, layers: &[(Evidence, Judgement)]) -> String {
    let rate_of = |evidence: &Evidence| evidence.rate.map(|rate| rate.estimate);
    let own = layers.iter().find(|(e, _)| e.reading == taken).and_then(|(e, _)| rate_of(e));
    let parts: Vec<String> = layers
        .iter()
        .filter(|(e, _)| e.reading != taken && e.failed_guards.is_empty())
        .filter_map(|(e, _)| Some((e.reading, own? / rate_of(e)?)))
        .map(|(reading, ratio)| match reading.depth {
            Some(depth) => format!("{ratio:.1} times at depth {depth}"),
            None => format!("{ratio:.1} times"),
        })
        .collect();
    if parts.is_empty() {
        "different quantities, and one says nothing about the other".to_owned()
    } else {
        format!("different quantities; here the first exceeds the second {}", parts.join(" and "))
    }
}

fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Confirmed => 0,
        Verdict::Inconclusive => 1,
        Verdict::NotReproducibleHere => 2,
        Verdict::Refuted => 3,
        Verdict::MisSpecified => 4,
        Verdict::Invalid => 5,
    }
}

#[cfg(test)]
mod tests;
