//! Lengths of time of a known distribution.

use std::fmt;
use std::time::Duration;

use super::Random;

/// A distribution of lengths of time: of the think time between requests, or of a server that answers late on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always the same.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Any length between the two, all as likely.
    Uniform(Duration, Duration),
    /// The second length for this share of the times, else the first.
    Two(Duration, Duration, f64),
}

impl Delay {
    /// Parses `5ms`, `exp:5ms`, `uniform:1ms..9ms` or `two:1ms..50ms@0.02`; `duration` reads a length of time.
    ///
    /// # Errors
    /// A sentence for the terminal.
    pub fn parse(text: &str, duration: impl Fn(&str) -> Result<Duration, String>) -> Result<Self, String> {
        let bad =
            || format!("`{text}` is not a delay: write 5ms, exp:5ms, uniform:1ms..9ms or two:1ms..50ms@0.02");
        let pair = |text: &str| {
            let (low, high) = text.split_once("..")?;
            let (low, high) = (duration(low).ok()?, duration(high).ok()?);
            (low <= high).then_some((low, high))
        };
        match text.split_once(':') {
            None | Some(("const", _)) => {
                duration(text.trim_start_matches("const:")).map(Self::Constant).map_err(|_| bad())
            }
            Some(("exp", mean)) => duration(mean).map(Self::Exponential).map_err(|_| bad()),
            Some(("uniform", range)) => {
                pair(range).map(|(low, high)| Self::Uniform(low, high)).ok_or_else(bad)
            }
            Some(("two", rest)) => {
                let (range, share) = rest.split_once('@').ok_or_else(bad)?;
                let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(bad)?;
                pair(range).map(|(low, high)| Self::Two(low, high, share)).ok_or_else(bad)
            }
            Some(_) => Err(bad()),
        }
    }

    /// The next length of time.
    #[inline]
    pub fn sample(&self, random: &mut Random) -> Duration {
        match *self {
            Self::Constant(length) => length,
            Self::Exponential(mean) => mean.mul_f64(random.exponential()),
            Self::Uniform(low, high) => low + (high - low).mul_f64(random.unit()),
            Self::Two(short, long, share) => {
                if random.unit() < share {
                    long
                } else {
                    short
                }
            }
        }
    }

    /// The quantile `q` (0 up to, and not, 1) of the distribution.
    pub fn quantile(&self, q: f64) -> Duration {
        match *self {
            Self::Constant(length) => length,
            Self::Exponential(mean) => mean.mul_f64(-(1.0 - q).ln()),
            Self::Uniform(low, high) => low + (high - low).mul_f64(q),
            Self::Two(short, long, share) => {
                if q > 1.0 - share {
                    long
                } else {
                    short
                }
            }
        }
    }

    /// The mean of the distribution.
    pub fn mean(&self) -> Duration {
        match *self {
            Self::Constant(mean) | Self::Exponential(mean) => mean,
            Self::Uniform(low, high) => (low + high) / 2,
            Self::Two(short, long, share) => short.mul_f64(1.0 - share) + long.mul_f64(share),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(length) => write!(f, "{length:?}"),
            Self::Exponential(mean) => write!(f, "exp:{mean:?}"),
            Self::Uniform(low, high) => write!(f, "uniform:{low:?}..{high:?}"),
            Self::Two(short, long, share) => write!(f, "two:{short:?}..{long:?}@{share}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Delay, String> {
        Delay::parse(text, |text| {
            text.strip_suffix("ms")
                .and_then(|n| n.parse().ok())
                .map(Duration::from_millis)
                .ok_or_else(String::new)
        })
    }

    #[test]
    fn samples_have_the_quantiles_that_are_promised() {
        for text in ["5ms", "exp:5ms", "uniform:1ms..9ms", "two:1ms..50ms@0.02"] {
            let delay = parse(text).unwrap();
            assert_eq!(delay.to_string(), text);
            let mut random = Random::new(9, 0);
            let mut samples: Vec<Duration> = (0..100_000).map(|_| delay.sample(&mut random)).collect();
            samples.sort();
            for q in [0.1, 0.5, 0.9, 0.99] {
                let (seen, want) =
                    (samples[(q * 1e5) as usize].as_secs_f64(), delay.quantile(q).as_secs_f64());
                assert!((seen / want - 1.0).abs() < 0.03, "{text} at {q}: {seen} for {want}");
            }
            let mean = samples.iter().sum::<Duration>().as_secs_f64() / 1e5;
            assert!((mean / delay.mean().as_secs_f64() - 1.0).abs() < 0.03, "{text}: {mean}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_forms() {
        for text in [
            "",
            "5",
            "exp",
            "exp:x",
            "uniform:9ms..1ms",
            "uniform:1ms",
            "two:1ms..2ms",
            "two:1ms..2ms@2",
            "a:b",
        ] {
            assert!(parse(text).unwrap_err().contains("exp:5ms"), "{text}");
        }
    }
}
