//! The instrument's checks of itself, against what is known beforehand.

mod ceiling;
mod clock;
mod co;
mod stats;
mod timers;
mod witness;

use std::path::PathBuf;

use serde::Serialize;

/// What a check compares with what is known.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// What it should be, in words.
    pub expected: String,
    /// What it was.
    pub found: String,
    /// Whether the two agree.
    pub agrees: bool,
    /// What the machine did meanwhile that explains a disagreement as well, so that nothing follows from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<String>,
}

impl Finding {
    fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        agrees: bool,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into(), agrees, noise: None }
    }

    /// Notes the noise of the machine, where the finding disagrees in the direction in which noise shifts it.
    fn unless(self, noise: Option<String>) -> Self {
        Self { noise: noise.filter(|_| !self.agrees), ..self }
    }

    /// Whether this speaks against the instrument.
    pub fn disagrees(&self) -> bool {
        !self.agrees && self.noise.is_none()
    }
}

/// The checks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The clock that everything is timed with.
    Clock,
    /// The punctuality of the generator.
    Timers,
    /// Coordinated omission: a server that freezes for a known time, and the generator itself frozen.
    Omission,
    /// Known delays and a known capacity.
    Ceiling,
    /// The comparison of equals.
    Stats,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Clock, Self::Timers, Self::Omission, Self::Ceiling, Self::Stats];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Timers => "timers",
            Self::Omission => "co",
            Self::Ceiling => "ceiling",
            Self::Stats => "stats",
        }
    }
}

/// With what checks are made.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The covet-bench program, for servers and generators that can be frozen.
    pub program: PathBuf,
    /// The CPUs of the generator.
    pub generator: Vec<usize>,
    /// The CPUs of the servers.
    pub server: Vec<usize>,
    /// Whether to take a quarter of the time, with wider tolerances.
    pub short: bool,
}

/// Makes a check.
///
/// # Errors
/// When a server or a run does not begin; what disagrees is in the findings.
pub fn run(check: Check, bench: &Bench) -> anyhow::Result<Vec<Finding>> {
    match check {
        Check::Clock => Ok(clock::check()),
        Check::Timers => timers::check(bench),
        Check::Omission => co::check(bench),
        Check::Ceiling => ceiling::check(bench),
        Check::Stats => Ok(stats::check()),
    }
}
