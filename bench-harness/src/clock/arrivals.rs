//! In which pattern requests arrive.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Profile, Random};

/// The arrival process of an open loop. All but a trace follow the run's rate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Constant,
    /// As of many independent users: the gaps have the exponential distribution.
    Poisson,
    /// With gaps from zero to twice their mean, all as likely.
    Uniform,
    /// This many at once, over all cores, and then none for as long as they stand for.
    Bursty(u64),
    /// At recorded times; the rate plays no part.
    Trace(Arc<Trace>),
}

/// Recorded times of arrival.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// From the start of the run, in ascending order.
    times: Vec<u64>,
    path: PathBuf,
}

/// Why an arrival process cannot be used.
#[derive(Debug, Error)]
pub enum ArrivalsError {
    /// The name is not one of them.
    #[error("`{0}` is not an arrival process: write constant, poisson, uniform, bursty:100 or trace:FILE")]
    Unknown(String),
    /// The file cannot be read.
    #[error("the trace {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A line is not a time, or earlier than the one before.
    #[error(
        "line {line} of the trace {path} is `{text}`: write one time of arrival per line, in seconds from the start, in \
         ascending order"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is there.
        text: String,
    },
    /// There is no time in it.
    #[error("the trace {path} has no time of arrival in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Arrivals {
    /// Reads the name of a process, and its file where it has one.
    ///
    /// # Errors
    /// When there is no such process, or its trace cannot be used.
    pub fn parse(text: &str) -> Result<Self, ArrivalsError> {
        let unknown = || ArrivalsError::Unknown(text.to_owned());
        match text.split_once(':') {
            None => match text {
                "constant" => Ok(Self::Constant),
                "poisson" => Ok(Self::Poisson),
                "uniform" => Ok(Self::Uniform),
                _ => Err(unknown()),
            },
            Some(("bursty", size)) => {
                size.parse().ok().filter(|&size| size > 0).map(Self::Bursty).ok_or_else(unknown)
            }
            Some(("trace", path)) => Trace::load(Path::new(path)).map(|trace| Self::Trace(Arc::new(trace))),
            Some(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::Uniform => f.write_str("uniform"),
            Self::Bursty(size) => write!(f, "bursty:{size}"),
            Self::Trace(trace) => write!(f, "trace:{}", trace.path.display()),
        }
    }
}

/// No line of a trace is longer, in bytes.
const LONGEST_LINE: u64 = 4096;

impl Trace {
    /// Reads a file with one time of arrival per line, in seconds from the start of the run; lines that are empty or
    /// begin with `#` count for nothing.
    ///
    /// # Errors
    /// When the file cannot be read, a line is no time, or the times do not ascend.
    pub fn load(path: &Path) -> Result<Self, ArrivalsError> {
        let failed = |source| ArrivalsError::Read { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let mut times: Vec<u64> = Vec::new();
        let mut text = String::new();
        for index in 0.. {
            text.clear();
            // What has no lines must not be read to its end to know that.
            if file.by_ref().take(LONGEST_LINE).read_line(&mut text).map_err(failed)? == 0 {
                break;
            }
            let line = text.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let nanos = line
                .parse::<f64>()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .and_then(|time| u64::try_from(time.as_nanos()).ok())
                .filter(|nanos| times.last().is_none_or(|last| last <= nanos));
            let bad = || ArrivalsError::Line {
                path: path.to_owned(),
                line: index + 1,
                text: line.chars().take(60).collect(),
            };
            times.push(nanos.ok_or_else(bad)?);
        }
        if times.is_empty() {
            return Err(ArrivalsError::Empty { path: path.to_owned() });
        }
        Ok(Self { times, path: path.to_owned() })
    }

    /// How many arrivals it has.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether it has none; never, as it was loaded.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The time of the last arrival.
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.times.last().copied().unwrap_or(0))
    }

    /// How many arrivals there are up to a time.
    pub fn arrivals_by(&self, time: Duration) -> usize {
        self.times.partition_point(|&at| u128::from(at) <= time.as_nanos())
    }
}

/// A place in one core's part of an arrival process.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// How many arrivals of this core come before.
    pub(super) index: u64,
    /// When the next one is due, in nanoseconds from the start; `u64::MAX` where there is none.
    pub(super) due: u64,
    /// Its number among the arrivals of all cores, where that is random.
    number: f64,
    random: Random,
}

/// What the cursors of one core share.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) arrivals: Arrivals,
    pub(super) profile: Profile,
    /// Before this a trace does not begin.
    pub(super) hold: u64,
    pub(super) core: u64,
    pub(super) cores: u64,
}

impl Course {
    pub(super) fn begin(&self, seed: u64) -> Cursor {
        let mut cursor = Cursor { index: 0, due: 0, number: 0.0, random: Random::new(seed, self.core) };
        self.settle(&mut cursor);
        cursor
    }

    #[inline]
    pub(super) fn advance(&self, cursor: &mut Cursor) {
        cursor.index += 1;
        self.settle(cursor);
    }

    #[inline]
    fn settle(&self, cursor: &mut Cursor) {
        let number = cursor.index * self.cores + self.core;
        let position = match &self.arrivals {
            Arrivals::Constant => number as f64,
            Arrivals::Bursty(size) => (number / size * size) as f64,
            Arrivals::Poisson => {
                cursor.number += cursor.random.exponential() * self.cores as f64;
                cursor.number
            }
            Arrivals::Uniform => {
                cursor.number += 2.0 * cursor.random.unit() * self.cores as f64;
                cursor.number
            }
            Arrivals::Trace(trace) => {
                let time = usize::try_from(number).ok().and_then(|number| trace.times.get(number));
                cursor.due = time.map_or(u64::MAX, |time| self.hold.saturating_add(*time));
                return;
            }
        };
        // Beyond the range, and for infinity, the conversion saturates.
        cursor.due = (self.profile.time_of(position) * 1e9) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn gaps(arrivals: &str, n: usize) -> Vec<f64> {
        let course = Course {
            arrivals: Arrivals::parse(arrivals).unwrap(),
            profile: Profile::constant(1000.0),
            hold: 0,
            core: 0,
            cores: 1,
        };
        let mut cursor = course.begin(42);
        (0..n)
            .map(|_| {
                let before = cursor.due;
                course.advance(&mut cursor);
                (cursor.due - before) as f64 / 1e6
            })
            .collect()
    }

    fn mean_and_variation(gaps: &[f64]) -> (f64, f64) {
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        (mean, variance.sqrt() / mean)
    }

    #[test]
    fn each_process_has_its_rate_and_its_variation() {
        for (name, variation, tolerance) in
            [("constant", 0.0, 1e-6), ("poisson", 1.0, 0.02), ("uniform", 1.0 / 3.0_f64.sqrt(), 0.01)]
        {
            let (mean, seen) = mean_and_variation(&gaps(name, 100_000));
            assert!((mean - 1.0).abs() < 0.01, "{name}: mean {mean}");
            assert!((seen - variation).abs() < tolerance, "{name}: variation {seen}");
        }
        let bursts = gaps("bursty:10", 100_000);
        assert_eq!(bursts.iter().filter(|&&gap| gap == 0.0).count(), 90_000);
        assert!((mean_and_variation(&bursts).0 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn cores_share_the_rate_and_not_their_luck() {
        const CORES: u64 = 4;
        let due = |arrivals: &str, core| {
            let course = Course {
                arrivals: Arrivals::parse(arrivals).unwrap(),
                profile: Profile::constant(1000.0),
                hold: 0,
                core,
                cores: CORES,
            };
            let (mut cursor, mut due) = (course.begin(7), Vec::new());
            while cursor.due < 100_000_000_000 {
                due.push(cursor.due / 1000);
                course.advance(&mut cursor);
            }
            due
        };
        for name in ["constant", "poisson", "uniform", "bursty:10"] {
            let cores: Vec<Vec<u64>> = (0..CORES).map(|core| due(name, core)).collect();
            let counts: Vec<usize> = cores.iter().map(Vec::len).collect();
            assert!(counts.iter().all(|&count| count.abs_diff(25_000) < 700), "{name}: {counts:?}");
            let differ = name == "poisson" || name == "uniform";
            let same = cores[0].iter().filter(|&at| cores[1].binary_search(at).is_ok()).count();
            assert!(!differ || same < 1000, "{name}: {same} of {counts:?} at the same time");
            let mut all = cores.concat();
            all.sort_unstable();
            if name == "bursty:10" {
                assert!(all.chunks(10).all(|burst| burst.iter().all(|at| at.abs_diff(burst[0]) <= 1)));
            }
        }
    }

    // Anderson and Darling's test against the exponential distribution (Stephens 1974, case 2): the 5 % point of
    // A²(1 + 0.6/n) is 1.321.
    #[test]
    fn poisson_gaps_pass_the_test_of_anderson_and_darling() {
        let mut gaps = gaps("poisson", 5000);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let below = |gap: f64| 1.0 - (-gap / mean).exp();
        let sum: f64 = (0..gaps.len())
            .map(|i| {
                let upper = gaps[gaps.len() - 1 - i];
                (2.0 * i as f64 + 1.0) * (below(gaps[i]).max(1e-12).ln() - upper / mean)
            })
            .sum();
        let statistic = (-n - sum / n) * (1.0 + 0.6 / n);
        assert!(statistic < 1.321, "{statistic}");
    }

    #[test]
    fn a_trace_is_read_and_split_over_cores() {
        let path = std::env::temp_dir().join(format!("covet-trace-{}", std::process::id()));
        fs::write(&path, "# seconds\n0\n0.5\n\n0.5\n2.25\n").unwrap();
        let trace = Arrivals::parse(&format!("trace:{}", path.display())).unwrap();
        let due = |core| {
            let course = Course {
                arrivals: trace.clone(),
                profile: Profile::constant(1.0),
                hold: 1_000_000_000,
                core,
                cores: 2,
            };
            let mut cursor = course.begin(0);
            let mut due = Vec::new();
            while cursor.due < u64::MAX {
                due.push(cursor.due / 1_000_000);
                course.advance(&mut cursor);
            }
            due
        };
        assert_eq!((due(0), due(1)), (vec![1000, 1500], vec![1500, 3250]));
        let Arrivals::Trace(trace) = &trace else { panic!("it was read as a trace") };
        let by = |millis| trace.arrivals_by(Duration::from_millis(millis));
        assert_eq!([0, 499, 500, 2249, 2250, 9999].map(by), [1, 1, 3, 3, 4, 4]);
        assert_eq!((trace.len(), trace.length()), (4, Duration::from_millis(2250)));
        for (text, line) in [("1\n0.5\n", 2), ("x\n", 1), ("-1\n", 1), ("0\nnan\n", 2)] {
            fs::write(&path, text).unwrap();
            let error = Trace::load(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line} of")), "{error}");
        }
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Trace::load(&path), Err(ArrivalsError::Empty { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Trace::load(&path), Err(ArrivalsError::Read { .. })));
    }

    #[test]
    fn names_print_as_they_parse() {
        for name in ["constant", "poisson", "uniform", "bursty:7"] {
            assert_eq!(Arrivals::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "bursty", "bursty:0", "poison", "x:y"] {
            assert!(Arrivals::parse(name).is_err(), "{name}");
        }
    }
}
