//! Whether the seconds of a window look alike.

use std::time::Duration;

use super::{Guard, GuardOutcome, Interval, LoopModel, RunRecord};
use crate::quantity::time;
use crate::stats::trend::drift;
use crate::stats::warmup::{WarmUp, mser5};

/// How a warm-up ended that was to last until the load was steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmedUp {
    /// How long it took.
    pub took: Duration,
    /// Whether the load was steady then; if not, that was the longest that was allowed.
    pub steady: bool,
    /// Whether there were observations enough to tell.
    pub known: bool,
    /// The part of it at its beginning that was not like the rest.
    pub transient: Duration,
}

impl RunRecord {
    /// What came of a warm-up until the load is steady; `None` where its length was given.
    pub(super) fn warm_up(&self) -> Option<Guard> {
        let WarmedUp { took, steady, known, transient } = self.warmed_up?;
        let took = time(took);
        let (outcome, detail) = if steady {
            let transient = time(transient);
            let detail = format!("steady after {took}, the first {transient} of which were transient");
            (GuardOutcome::Passed, detail)
        } else if known {
            let detail = format!("never steady within {took}: the window may be like no other");
            (GuardOutcome::Warning, detail)
        } else {
            let detail = format!("{took} are too short to tell whether this load was steady: allow more");
            (GuardOutcome::Warning, detail)
        };
        Some(Guard { name: "warm-up", outcome, detail })
    }

    /// The check for a drift from the first second to the last: of the rate in a closed loop, of the median in an open
    /// one, whose rate is given. `None` with fewer than eight whole seconds, and where the rate changes by plan.
    ///
    /// It warns only, since a run that drifts may still be compared with one that drifts alike.
    pub(super) fn steadiness(&self) -> Option<Guard> {
        if self.conditions.arrivals.as_deref().is_some_and(|arrivals| arrivals.contains("stages")) {
            return None;
        }
        let (what, value): (&str, fn(&Interval) -> f64) = match self.conditions.loop_model {
            LoopModel::Closed => ("rate", |second| second.completed as f64 / second.length.as_secs_f64()),
            LoopModel::Open { .. } | LoopModel::PartlyOpen { .. } => {
                ("median", |second| second.p50.as_secs_f64())
            }
        };
        let whole = self.intervals.iter().filter(|second| second.length.as_secs_f64() > 0.9);
        let series: Vec<f64> = whole.map(value).collect();
        let drift = drift(&series)?;
        let change = format!("the {what} changed by {:+.1} % over the window", drift.change * 100.0);
        let (outcome, detail) = if drift.is_steady() {
            (GuardOutcome::Passed, change)
        } else {
            let advice = match mser5(&series) {
                WarmUp::Ends { discard } if discard > 0 => {
                    format!("the first {discard} seconds belong to the warm-up")
                }
                WarmUp::NeverSteady => "it was never steady".to_owned(),
                WarmUp::Ends { .. } | WarmUp::TooShort => "a longer warm-up may help".to_owned(),
            };
            (GuardOutcome::Warning, format!("{change} (p {:.3}): {advice}", drift.p))
        };
        Some(Guard { name: "steadiness", outcome, detail })
    }
}
