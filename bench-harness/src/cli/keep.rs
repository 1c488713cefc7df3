//! `run --out`: the bundle of the runs, begun before them and ended after their result was printed.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::bundles;
use super::interrupt::{self, Interrupt};
use crate::bundle::{BundleError, BundleWriter, RunDocument, RunLogs};
use crate::load::{Beside, LoadPlan, Progress};
use crate::record::{CoreInterval, Hist, RunRecord};

/// A bundle that is written while its runs are made.
pub(super) struct Keep {
    out: PathBuf,
    state: RefCell<State>,
}

/// What is written so far.
struct State {
    /// The logs of the run that is being made; dropped before the folder that they are in.
    logs: Option<RunLogs>,
    writer: BundleWriter,
    runs: usize,
    failed: Option<BundleError>,
}

impl Keep {
    /// Creates the folder now, so that a run is not made in vain; writes beside whoever watches the runs.
    pub(super) fn begin<'a>(out: &Path, inner: &'a dyn Progress) -> anyhow::Result<Beside<'a, Self>> {
        let writer = bundles::create(out)?;
        let begun = out.to_owned();
        interrupt::undo(move || {
            if !Interrupt::has_come() {
                // Nothing was measured yet. Where it cannot be removed, it has no manifest.
                let _ = fs::remove_dir_all(begun);
            }
        });
        let state = RefCell::new(State { logs: None, writer, runs: 0, failed: None });
        Ok(Beside::new(Self { out: out.to_owned(), state }, inner))
    }

    /// Writes what is left, and says on standard error where the bundle is.
    pub(super) fn finish(self, runs: &[RunRecord]) -> anyhow::Result<()> {
        let hash =
            self.state.into_inner().finish(runs).map_err(|error| {
                bundles::advise(error, "The result is printed, and the bundle is not whole")
            })?;
        eprintln!("bundle {} (manifest SHA-256 {hash})", self.out.display());
        Ok(())
    }
}

impl State {
    fn end_run(&mut self) {
        match self.logs.take().map(RunLogs::finish) {
            Some(Ok(files)) => self.writer.add(files),
            // The first reason is the one that is told.
            Some(Err(error)) => self.failed = self.failed.take().or(Some(error)),
            None => {}
        }
    }

    fn finish(mut self, runs: &[RunRecord]) -> Result<String, BundleError> {
        self.end_run();
        if let Some(error) = self.failed {
            return Err(error);
        }
        for (index, run) in runs.iter().enumerate() {
            let mut logs = self.writer.logs(index + 1);
            for (series, hist) in
                [("censored", &run.censored), ("connect", &run.connect), ("first_byte", &run.first_byte)]
            {
                logs.add(series, 0, Duration::ZERO, run.elapsed, hist);
            }
            self.writer.add(logs.finish()?);
        }
        self.writer.finish(runs.iter().map(RunDocument::of).collect())
    }
}

impl Progress for Keep {
    fn started(&self, _plan: &LoadPlan) {
        let mut state = self.state.borrow_mut();
        state.end_run();
        state.runs += 1;
        state.logs = Some(state.writer.logs(state.runs));
    }

    fn opens(&self, at: Instant) {
        if let Some(logs) = &mut self.state.borrow_mut().logs {
            logs.begin(SystemTime::now() + at.saturating_duration_since(Instant::now()));
        }
    }

    fn part(&self, part: &CoreInterval) {
        if let Some(logs) = &mut self.state.borrow_mut().logs {
            let mut add = |series: &str, hist: &Hist| {
                logs.add(series, part.core, Duration::from_secs(part.index as u64), part.length, hist);
            };
            add("response", &part.response);
            // A closed loop has none of these apart from the response times.
            for (series, hist) in [
                ("service", &part.service),
                ("lateness", &part.lateness),
                ("generator_lateness", &part.generator_lateness),
            ] {
                if let Some(hist) = hist {
                    add(series, hist);
                }
            }
        }
    }
}
