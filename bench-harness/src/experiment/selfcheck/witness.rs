//! What the machine did to a run meanwhile, as those saw it to whom it happened.

use std::time::{Duration, Instant};

use crate::quantity::{percent, time};
use crate::record::RunRecord;
use crate::target::embedded::Embedded;

/// What waking the responder and the generator adds to each time, at most, on a quiet machine.
pub(super) const SLACK: Duration = Duration::from_millis(1);
/// Who waits for its CPU for a greater part of the time is not alone on it.
pub(super) const ANY: f64 = 0.05;

/// A responder of this process, from now on.
pub(super) struct Watch<'a> {
    responder: &'a Embedded,
    since: Instant,
    before: Vec<Duration>,
}

impl<'a> Watch<'a> {
    pub(super) fn on(responder: &'a Embedded) -> Self {
        Self { responder, since: Instant::now(), before: responder.waits() }
    }

    /// The part of the time that its core which waited most was ready to run and waited; `None` where the kernel does not
    /// tell.
    pub(super) fn waited(&self) -> Option<f64> {
        let (after, time) = (self.responder.waits(), self.since.elapsed().as_secs_f64());
        let waits = after.iter().zip(&self.before).map(|(after, before)| after.saturating_sub(*before));
        waits.max().filter(|_| after.len() == self.before.len()).map(|wait| wait.as_secs_f64() / time)
    }
}

/// What made times longer that nobody measured on purpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Witness {
    /// By how much late one sleep in fifty ended, or more.
    hiccup: Duration,
    /// The part of the time that the generator was ready to run and waited for its CPU.
    generator: f64,
    /// That of the responder; `None` where nobody watched it.
    responder: Option<f64>,
}

impl Witness {
    pub(super) fn of(record: &RunRecord, responder: Option<f64>) -> Self {
        let platform = record.platform.as_ref();
        Self {
            hiccup: platform.map_or(Duration::ZERO, |platform| platform.hiccups.quantile(0.98)),
            generator: record.waited.iter().copied().fold(0.0, f64::max),
            responder,
        }
    }

    /// What was not quiet, in words: sleeps that ended late by more than the slack, a generator or a responder that was not
    /// alone on its CPU, or the two of them without theirs for this part of the time; `None` where all of it was.
    pub(super) fn noise(&self, least: f64) -> Option<String> {
        let responder = self.responder.unwrap_or(0.0);
        let waited = self.generator + responder;
        let noisy = self.hiccup > SLACK || self.generator.max(responder) > ANY || waited > least;
        noisy.then(|| {
            let responder = self.responder.map(|part| format!(", the responder {}", percent(part)));
            format!(
                "one sleep in fifty ended {} late or more, and the generator waited for its CPU {} of the time{}",
                time(self.hiccup),
                percent(self.generator),
                responder.unwrap_or_default()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Witness =
        Witness { hiccup: Duration::from_micros(80), generator: 0.001, responder: Some(0.002) };

    #[test]
    fn a_quiet_machine_explains_nothing() {
        assert_eq!(QUIET.noise(0.008), None);
        assert_eq!(Witness { responder: None, ..QUIET }.noise(0.008), None);
        assert_eq!(Witness { hiccup: SLACK, generator: ANY, ..QUIET }.noise(1.0), None);
    }

    #[test]
    fn each_of_the_three_witnesses_is_heard() {
        let late = Witness { hiccup: Duration::from_micros(1010), ..QUIET };
        let said = late.noise(1.0).expect("late sleeps are noise");
        let wanted = "one sleep in fifty ended 1.01 ms late or more, and the generator waited for its CPU 0.1 % of the time, \
                      the responder 0.2 %";
        assert_eq!(said, wanted);
        assert!(Witness { generator: 0.06, ..QUIET }.noise(1.0).is_some());
        assert!(Witness { responder: Some(0.06), ..QUIET }.noise(1.0).is_some());
    }

    #[test]
    fn the_waits_of_both_add_up() {
        let both = Witness { generator: 0.005, responder: Some(0.004), ..QUIET };
        assert!(both.noise(0.008).is_some());
        assert_eq!(both.noise(0.04), None, "so short a wait can't have moved this");
    }
}
