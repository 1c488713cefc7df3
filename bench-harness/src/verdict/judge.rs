//! From measurements to verdicts.

use serde::Serialize;

use super::{Claim, Feasibility, Quantity, Reading, Verdict};
use crate::report::quantity::{percent, range as written};
use crate::stats::modes::{self, Range};
use crate::stats::{Interval, LEVEL, spread};

/// What kept a result from being better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The thing under measurement: it used all the CPU it had, or a server that does nothing fares better under the
    /// same load.
    Subject,
    /// The load generator used all the CPU it had.
    Generator,
    /// Neither, or not known.
    Unknown,
}

/// Why a result may prove nothing of the claim, one sentence each: the measurement was not made under the conditions that
/// the claim states, or its figures are bounds only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unproven {
    /// What keeps a result that is good enough from being proof.
    pub good: Vec<String>,
    /// What made it harder than the claim states, so that a result that is not good enough says nothing.
    pub bad: Vec<String>,
}

/// What was measured in one layer. Values are in the base unit of the claim's quantity.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The layer.
    pub reading: Reading,
    /// The value with its interval; `None` when there were too few runs for one.
    pub figure: Option<Interval>,
    /// The value of each run, where runs have one each.
    pub runs: Vec<f64>,
    /// The probability that the claim, less its tolerance, holds here.
    pub holds: Option<f64>,
    /// Reasons why the measurement proves nothing, one phrase each.
    pub failed_guards: Vec<String>,
    /// What the result was limited by.
    pub limit: Limit,
    /// What the claim would cost on this machine, where that is known.
    pub feasibility: Option<Feasibility>,
    /// What a server that does nothing shows under the same load, where it was tried; for rates, `feasibility` tells.
    pub floor: Option<f64>,
    /// What the figure does not prove, and why.
    pub unproven: Unproven,
}

/// A verdict and the reason for it in one sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// One sentence.
    pub reason: String,
    /// The probability that the claim, less its tolerance, holds in this layer on this machine, from the posterior of
    /// the mean over the runs; `None` where nothing was measured or a guard failed.
    pub probability: Option<f64>,
}

impl Judgement {
    /// A judgement without a probability.
    pub fn new(verdict: Verdict, reason: String) -> Judgement {
        Judgement { verdict, reason, probability: None }
    }
}

/// On which side of the bar an interval lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Good,
    Bad,
    Astride,
}

fn side(claim: &Claim, range: &Range) -> Side {
    let bar = claim.threshold();
    let (good, bad) = match claim.quantity.is_at_least() {
        true => (range.lower >= bar, range.upper < bar),
        false => (range.upper <= bar, range.lower > bar),
    };
    match (good, bad) {
        (true, _) => Side::Good,
        (_, true) => Side::Bad,
        _ => Side::Astride,
    }
}

/// Judges the claim in one layer: can its figure be reached there?
///
/// One run that lies apart from the others stays in the interval, which it widens until it holds the others too; so it
/// can turn a verdict into INCONCLUSIVE by itself, never into another. It does so in any case where it lies on the other
/// side of the claim than all the rest. Runs in two modes, each seen more than once, have
/// no meaningful mean: the claim is then judged in each mode, and INCONCLUSIVE unless both give the same answer.
pub fn layer(claim: &Claim, evidence: &Evidence) -> Judgement {
    if let Some(failed) = evidence.failed_guards.first() {
        let more = match evidence.failed_guards.len() - 1 {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        return Judgement::new(Verdict::Invalid, format!("A guard failed: {failed}{more}."));
    }
    match evidence.figure {
        Some(figure) => measured(claim, evidence, &Range::from(&figure)),
        None => Judgement::new(Verdict::Inconclusive, "Too few runs for an interval.".to_owned()),
    }
}

fn measured(claim: &Claim, evidence: &Evidence, figure: &Range) -> Judgement {
    let show = |value: f64| claim.quantity.show(value);
    let range = |of: &Range| written(of.lower, of.upper, show);
    let two = modes::modes(&evidence.runs).filter(modes::Modes::are_repeated);
    let judged = match &two {
        None => {
            let side = side(claim, figure);
            let (apart, across) = apart(claim, &evidence.runs, side);
            let place = format!("The whole interval {} lies", range(figure));
            Judged { side, figure: *figure, place, modes: String::new(), apart, across }
        }
        Some(two) => {
            let [low, high] = two.ranges(&evidence.runs, LEVEL);
            let modes = format!(
                "{} {} ({} runs) and {} {} ({} runs)",
                show(low.estimate),
                range(&low),
                two.low_runs.len(),
                show(high.estimate),
                range(&high),
                two.high_runs.len()
            );
            let sides = (side(claim, &low), side(claim, &high));
            if sides.0 != sides.1 || sides.0 == Side::Astride {
                return Judgement::new(
                    Verdict::Inconclusive,
                    format!("The runs have two modes, {modes}, and not the same answer in both."),
                );
            }
            // What holds of the mode that is nearer to the claim holds of the other all the more.
            let nearer = match claim.quantity.is_at_least() == (sides.0 == Side::Good) {
                true => low,
                false => high,
            };
            let modes = format!("The runs have two modes, {modes}");
            let place = format!("{modes}; both lie");
            let modes = format!("{modes}, and both miss the claim. In the better one: ");
            Judged { side: sides.0, figure: nearer, place, modes, apart: String::new(), across: false }
        }
    };
    // The posterior is of the mean, which means nothing where there are two modes.
    let probability = evidence.holds.filter(|_| two.is_none());
    let (place, apart) = (&judged.place, &judged.apart);
    let (verdict, reason) = match judged.side {
        _ if judged.across => (
            Verdict::Inconclusive,
            format!("{place} on one side of the claim and a run on the other{apart}."),
        ),
        Side::Good => {
            let worst = if claim.quantity.is_at_least() { judged.figure.lower } else { judged.figure.upper };
            let reason = format!("{place} {}{apart}.", compared(claim, worst));
            match evidence.unproven.good.is_empty() {
                true => (Verdict::Confirmed, reason),
                // The probability would be that of a claim under other conditions.
                false => return unproven(Verdict::Inconclusive, reason, &evidence.unproven.good),
            }
        }
        Side::Astride => {
            let slack = if claim.quantity.is_at_least() { "less" } else { "and its" };
            let bar = show(claim.threshold());
            let interval = range(&judged.figure);
            let reason = format!("The interval {interval} holds {bar} (claim {slack} tolerance){apart}.");
            (Verdict::Inconclusive, reason)
        }
        Side::Bad => {
            let below = below(claim, evidence, &judged);
            if below.verdict != Verdict::NotReproducibleHere && !evidence.unproven.bad.is_empty() {
                return unproven(Verdict::NotReproducibleHere, below.reason, &evidence.unproven.bad);
            }
            (below.verdict, below.reason)
        }
    };
    Judgement { verdict, reason, probability }
}

/// What the runs say, before it is asked what that proves.
struct Judged {
    side: Side,
    /// The interval of the runs, or of the mode that is nearer to the claim.
    figure: Range,
    /// Where it lies, up to the verb.
    place: String,
    /// What is to be said of two modes before the rest; nothing for one.
    modes: String,
    /// The runs that lie apart, in words.
    apart: String,
    /// Whether one of them lies on the other side of the claim.
    across: bool,
}

fn unproven(verdict: Verdict, reason: String, why: &[String]) -> Judgement {
    Judgement::new(verdict, format!("{} {reason}", why.join(" ")))
}

/// The result is worse than the claim; the question is what that proves.
fn below(claim: &Claim, evidence: &Evidence, judged: &Judged) -> Judgement {
    let Judged { figure, apart, modes, .. } = judged;
    let show = |value: f64| claim.quantity.show(value);
    let bar = claim.threshold();
    if let Some(feasibility) = evidence.feasibility.filter(|f| !f.allows(bar)) {
        let reason = format!("{modes}{}.", feasibility.sentence(claim.figure()));
        return Judgement::new(Verdict::NotReproducibleHere, reason);
    }
    if let Some(floor) = evidence.floor.filter(|floor| *floor > bar && !claim.quantity.is_at_least()) {
        let reason = format!(
            "{modes}Even a server that does nothing shows {} under this load on this machine{apart}.",
            show(floor)
        );
        return Judgement::new(Verdict::NotReproducibleHere, reason);
    }
    let share = percent(figure.estimate / claim.figure());
    let reason = match (evidence.limit, claim.quantity) {
        (Limit::Subject, Quantity::Rate) => {
            format!("At most {} with the subject at its limit: {share} of the claim", show(figure.upper))
        }
        (Limit::Subject, Quantity::Memory) => {
            format!("At least {}: {share} of the claim", show(figure.lower))
        }
        (Limit::Subject, _) => {
            let floor = evidence.floor.map_or(String::new(), |floor| {
                format!(", where a server that does nothing shows {}", show(floor))
            });
            format!("At least {}{floor}: {share} of the claim", show(figure.lower))
        }
        (Limit::Generator, _) => {
            format!("{share} of the claim, but the generator was the limit, not the subject")
        }
        (Limit::Unknown, _) => {
            format!("{share} of the claim, but nothing shows that the subject was the limit")
        }
    };
    let verdict = if evidence.limit == Limit::Subject { Verdict::Refuted } else { Verdict::Inconclusive };
    Judgement::new(verdict, format!("{modes}{reason}{apart}."))
}

/// The runs that lie apart alone, in words, and whether one of them lies on the other side of the bar than the
/// interval; nothing for none.
fn apart(claim: &Claim, runs: &[f64], interval: Side) -> (String, bool) {
    let strays = match modes::modes(runs) {
        Some(modes) if modes.low_runs.len() == 1 => modes.low_runs,
        Some(modes) if modes.high_runs.len() == 1 => modes.high_runs,
        _ => spread::strays(runs),
    };
    let good = |value: f64| match claim.quantity.is_at_least() {
        true => value >= claim.threshold(),
        false => value <= claim.threshold(),
    };
    let across = strays.iter().any(|&run| match interval {
        Side::Good => !good(runs[run]),
        Side::Bad => good(runs[run]),
        Side::Astride => false,
    });
    let values: Vec<String> = strays.iter().map(|&run| claim.quantity.show(runs[run])).collect();
    let words = match values.len() {
        0 => String::new(),
        1 => format!("; one run of {} lies apart, at {}, and counts", runs.len(), values[0]),
        n => format!("; {n} runs of {} lie apart, at {}, and count", runs.len(), values.join(" and ")),
    };
    (words, across)
}

fn compared(claim: &Claim, worst: f64) -> String {
    let (value, at_least) = (claim.figure(), claim.quantity.is_at_least());
    let shown = claim.quantity.show(value);
    match (at_least, if at_least { worst >= value } else { worst <= value }) {
        (true, true) => format!("above the claim of {shown}"),
        (false, true) => format!("below the claim of {shown}"),
        (_, false) => format!("within {} of the claim of {shown}", percent(claim.tolerance)),
    }
}

/// Judges the claim as a whole from the judgements of its layers, given in the order of [`Claim::readings`].
///
/// A claim that was taken in one layer and is read in another is mis-specified whatever the measurements say: they
/// only show how far apart the layers are. One that leaves open what decides it, so that it is confirmed in one reading
/// and refuted in another, is mis-specified too, unless a guard failed in a third. Otherwise the worst judgement decides.
pub fn overall(claim: &Claim, layers: &[(Evidence, Judgement)]) -> Judgement {
    if let Some(taken) = claim.taken() {
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
    }
    let with = |verdict: Verdict| layers.iter().find(|(_, judgement)| judgement.verdict == verdict);
    let sound = with(Verdict::Invalid).is_none();
    if let (Some(yes), Some(no), true) = (with(Verdict::Confirmed), with(Verdict::Refuted), sound) {
        let reason = format!(
            "It does not say how it is meant, and that decides: confirmed as {}, refuted as {}.",
            yes.0.reading, no.0.reading
        );
        return Judgement::new(Verdict::MisSpecified, reason);
    }
    layers.iter().map(|(_, judgement)| judgement.clone()).max_by_key(|j| severity(j.verdict)).unwrap_or_else(
        || Judgement::new(Verdict::Inconclusive, "No layer of the claim could be measured.".to_owned()),
    )
}

/// How far apart the layers came out, in words.
fn distance(taken: Reading, layers: &[(Evidence, Judgement)]) -> String {
    let value_of = |evidence: &Evidence| evidence.figure.map(|figure| figure.estimate);
    // A guard that failed leaves no figure to compare with.
    let sound = || layers.iter().filter(|(e, _)| e.failed_guards.is_empty());
    let own = sound().find(|(e, _)| e.reading == taken).and_then(|(e, _)| value_of(e));
    let parts: Vec<String> = sound()
        .filter(|(e, _)| e.reading != taken)
        .filter_map(|(e, _)| Some((e.reading, own? / value_of(e)?)))
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
mod simulation;
#[cfg(test)]
mod tests;
