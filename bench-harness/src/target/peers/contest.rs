//! Several servers measured in turns, so that what changes on the machine changes for all of them.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use super::mode::Mode;
use crate::target::child::Child;

const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Makes the command that serves on a port of 127.0.0.1.
pub type Launch = Box<dyn Fn(u16) -> Command>;

/// A server that takes part.
pub struct Contestant {
    /// Its name in the table.
    pub name: String,
    /// What it is, in a phrase.
    pub about: String,
    /// How it is started.
    pub launch: Launch,
}

/// One run of one server in one mode.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// The round, from 0.
    pub round: usize,
    /// Valid answers per second.
    pub rate: f64,
    /// The server's CPU time per valid answer, in microseconds, by the scheduler's books.
    pub cpu_us: f64,
    /// The server's CPU time per second of the run: 1.0 is one core.
    pub server_busy: f64,
    /// The generator's CPU time per second of the run and generator core: near 1.0 it is the bottleneck.
    pub generator_busy: f64,
    /// The median and the 99th percentile of the answers' times, in microseconds.
    pub p50_us: f64,
    /// See `p50_us`.
    pub p99_us: f64,
    /// Memory of the server resident right after the run, in bytes.
    pub resident: u64,
    /// Requests and connections that failed.
    pub errors: u64,
    /// CPU time per second of the run that went to anything but the server and the generator.
    pub foreign: f64,
}

/// What became of one server in one mode.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The server's name.
    pub name: String,
    /// How it was loaded.
    pub mode: Mode,
    /// One sample for each round that succeeded.
    pub samples: Vec<Sample>,
    /// Why rounds are missing: the first failure.
    pub failure: Option<String>,
}

/// The plan of a contest.
pub struct Contest {
    /// Who takes part; the first is what the others are compared with.
    pub contestants: Vec<Contestant>,
    /// The modes, in the order in which a started server is loaded.
    pub modes: Vec<Mode>,
    /// How often every server is measured.
    pub rounds: usize,
    /// The CPUs that servers are confined to.
    pub server_cpus: Vec<usize>,
    /// What decides the order of each round.
    pub seed: u64,
}

/// Loads a started server in a mode and says what came of it.
pub trait Loader {
    /// Makes one run; `round` is to be noted in the sample.
    ///
    /// # Errors
    /// A phrase that says why there is no sample.
    fn load(&mut self, server: &Child, mode: Mode, round: usize) -> Result<Sample, String>;

    /// Is told of each sample or failure as it comes.
    fn observe(&mut self, name: &str, mode: Mode, outcome: Result<&Sample, &str>);
}

impl Contest {
    /// Measures every server once in each round, in an order that the seed shuffles anew for each round; a
    /// server runs only while it is measured.
    pub fn run(&self, loader: &mut dyn Loader) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for &mode in &self.modes {
            entries.extend(self.contestants.iter().map(|contestant| Entry {
                name: contestant.name.clone(),
                mode,
                samples: Vec::new(),
                failure: None,
            }));
        }
        let mut order: Vec<usize> = (0..self.contestants.len()).collect();
        let mut random = self.seed;
        for round in 0..self.rounds {
            shuffle(&mut order, &mut random);
            for &index in &order {
                self.turn(index, round, loader, &mut entries);
            }
        }
        entries
    }

    fn turn(&self, index: usize, round: usize, loader: &mut dyn Loader, entries: &mut [Entry]) {
        let contestant = &self.contestants[index];
        let started = Child::start(&contestant.launch, Some(&self.server_cpus), START_PATIENCE);
        for (number, &mode) in self.modes.iter().enumerate() {
            let outcome = match &started {
                Ok(server) => loader.load(server, mode, round),
                Err(error) => Err(with_causes(error)),
            };
            loader.observe(&contestant.name, mode, outcome.as_ref().map_err(String::as_str));
            let entry = &mut entries[number * self.contestants.len() + index];
            match outcome {
                Ok(sample) => entry.samples.push(sample),
                Err(reason) => entry.failure = entry.failure.take().or(Some(reason)),
            }
        }
        if let Ok(server) = started
            && let Err(error) = server.stop(STOP_PATIENCE)
        {
            let entry = &mut entries[index];
            entry.failure = entry.failure.take().or(Some(with_causes(&error)));
        }
    }
}

pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Fisher and Yates, on the splitmix64 sequence: the same order for the same seed on every machine.
fn shuffle(order: &mut [usize], state: &mut u64) {
    for last in (1..order.len()).rev() {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = *state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^= word >> 31;
        order.swap(last, (word % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_differ_between_rounds_and_repeat_with_the_seed() {
        let orders = |seed: u64| {
            let (mut order, mut state) = ((0..9).collect::<Vec<usize>>(), seed);
            (0..4)
                .map(|_| {
                    shuffle(&mut order, &mut state);
                    order.clone()
                })
                .collect::<Vec<_>>()
        };
        let first = orders(1);
        assert_eq!(first, orders(1));
        assert_ne!(first, orders(2));
        assert!(first.windows(2).all(|pair| pair[0] != pair[1]), "{first:?}");
        for mut order in first {
            order.sort_unstable();
            assert_eq!(order, (0..9).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_server_that_does_not_start_is_reported_in_every_mode() {
        struct Never;
        impl Loader for Never {
            fn load(&mut self, _: &Child, _: Mode, _: usize) -> Result<Sample, String> {
                Err("nothing should have been started".to_owned())
            }
            fn observe(&mut self, _: &str, _: Mode, outcome: Result<&Sample, &str>) {
                assert!(outcome.is_err());
            }
        }
        let contest = Contest {
            contestants: vec![Contestant {
                name: "absent".to_owned(),
                about: String::new(),
                launch: Box::new(|_| Command::new("/nowhere/server")),
            }],
            modes: vec![Mode { connections: 1, depth: 1 }, Mode { connections: 2, depth: 1 }],
            rounds: 2,
            server_cpus: vec![0],
            seed: 7,
        };
        let entries = contest.run(&mut Never);
        assert_eq!(entries.len(), 2);
        for entry in entries {
            let failure = entry.failure.expect("a reason");
            assert!(failure.contains("/nowhere/server") && entry.samples.is_empty(), "{failure}");
        }
    }
}
