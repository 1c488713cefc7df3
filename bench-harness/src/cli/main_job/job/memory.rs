//! Claims about memory: no load, but connections that are opened and wait.

use std::io;

use super::super::{quantities, results};
use super::Job;
use crate::experiment::{Memory, MemoryError, memory};
use crate::report::LayerResult;
use crate::verdict::quantity::bytes;
use crate::verdict::{Judgement, Reading, Verdict};

impl Job {
    pub(super) fn memory(&mut self) -> Vec<LayerResult> {
        let readings = self.readings();
        let measured = match self.memory_runs() {
            Ok(measured) => measured,
            Err(error) => {
                if let Some(limit) = error.downcast_ref::<MemoryError>().filter(|e| e.is_of_this_machine()) {
                    let reason = format!("{limit}.");
                    return readings.into_iter().map(|reading| out_of_reach(reading, &reason)).collect();
                }
                self.fail("Memory could not be measured", error);
                Vec::new()
            }
        };
        let restarts = self.order.subject.restarts();
        readings
            .into_iter()
            .map(|reading| match self.reaches(&reading) && !measured.is_empty() {
                true => quantities::memory(self.claim(), reading, &measured, restarts, self.setting()),
                false => self.unmeasured(reading),
            })
            .collect()
    }

    fn memory_runs(&self) -> anyhow::Result<Vec<Memory>> {
        let mut measured = Vec::new();
        let mut standing = self.order.subject.start()?;
        for round in 0..self.order.pace.closed_runs {
            if round > 0 && self.order.subject.restarts() {
                standing.end()?;
                standing = self.order.subject.start()?;
            }
            let unknown = io::Error::from(io::ErrorKind::NotFound);
            let pid = standing.pid().ok_or(MemoryError::NoProcess(unknown))?;
            let memory = memory::measure(standing.url(), pid, self.order.connections())?;
            let open = bytes(memory.with_connections as f64);
            self.step(&format!("memory with {} connections: {open}", memory.connections));
            measured.push(memory);
        }
        standing.stop()?;
        Ok(measured)
    }
}

fn out_of_reach(reading: Reading, reason: &str) -> LayerResult {
    let judgement = Judgement::new(Verdict::NotReproducibleHere, reason.to_owned());
    LayerResult { judgement, ..results::absent(reading, "") }
}
