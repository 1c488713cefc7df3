//! Claims about latency and errors: the same load on the server that is judged and on one that does nothing.

use super::super::http::{Rig, Shape, Target};
use super::super::quantities::{self, Loaded};
use super::{Job, OPEN_SHARE, round_rate};
use crate::report::{LayerResult, quantity};
use crate::verdict::{Quantity, Reading};

impl Job {
    /// Latencies or failures: at the claim's rate in an open loop, or as fast as it goes for failures without one.
    pub(super) fn under_load(&mut self) -> Vec<LayerResult> {
        let readings = self.readings();
        let mut loads: Vec<Loaded> = Vec::new();
        if let Some(mut rig) = self.rig.take() {
            for reading in readings.iter().filter(|reading| self.reaches(reading)) {
                let depth = reading.depth.unwrap_or(1);
                if loads.iter().any(|load| load.depth == depth) {
                    continue;
                }
                match self.load(&mut rig, depth) {
                    Ok(load) => loads.push(load),
                    Err(error) => {
                        self.fail("HTTP could not be measured", error);
                        break;
                    }
                }
            }
            self.rig = Some(rig);
        }
        let (claim, setting) = (self.claim(), self.setting());
        let result = |reading: Reading| {
            let load = loads.iter().find(|load| Some(load.depth) == reading.depth)?;
            Some(match claim.quantity {
                Quantity::Latency => quantities::latency(claim, reading, load, setting),
                _ => quantities::failures(claim, reading, load, setting),
            })
        };
        readings
            .into_iter()
            .map(|reading| {
                let measured = Some(reading).filter(|reading| self.reaches(reading)).and_then(result);
                measured.unwrap_or_else(|| self.unmeasured(reading))
            })
            .collect()
    }

    fn load(&self, rig: &mut Rig, depth: usize) -> anyhow::Result<Loaded> {
        let pace = &self.order.pace;
        let rate = match (self.claim().rate(), self.claim().quantity) {
            (Some(rate), _) => {
                let how =
                    if self.claim().stated.rate.is_some() { "as stated" } else { "the claim file's choice" };
                Some((rate, how.to_owned()))
            }
            (None, Quantity::Latency) => {
                let full = rig.closed(Target::Subject, depth, pace.null_time)?.record.rate();
                let share = quantity::percent(OPEN_SHARE);
                round_rate(full * OPEN_SHARE).map(|rate| (rate, format!("{share} of the closed loop")))
            }
            (None, _) => None,
        };
        let length = if rate.is_some() { pace.open_time } else { pace.closed_time };
        // As many as of any claim, and not as few as show the latency beside a rate.
        let count = pace.closed_runs;
        let rate_of = rate.as_ref().map(|(rate, _)| *rate);
        let shape = Shape { rate: rate_of, ..Shape::closed(depth, length) };
        let null = rig.run(Target::Null, shape)?;
        let mut runs = Vec::with_capacity(count);
        for round in 0..count {
            if self.order.thorough && round > 0 {
                rig.renew()?;
            }
            let run = rig.run(Target::Subject, shape)?;
            let p99 = quantity::time(run.record.quantile(0.99));
            self.step(&format!("run {}: p99 {p99}, {} errors", round + 1, run.record.errors.total()));
            runs.push(run);
        }
        Ok(Loaded { depth, rate, runs, null })
    }
}
