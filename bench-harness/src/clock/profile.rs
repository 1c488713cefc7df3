//! How the rate of an open loop changes over time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A part of a profile: the rate goes in a straight line from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// How long it takes.
    pub length: Duration,
    /// The rate at its beginning, per second.
    pub from: f64,
    /// The rate at its end, per second.
    pub to: f64,
}

/// A rate over time: stages one after another, then the last rate for ever.
///
/// Arrivals are numbered by the integral of the rate, so that any process with a mean gap of 1 follows the profile when
/// its positions are read as numbers of arrivals.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pieces: Vec<Piece>,
    last: Piece,
}

/// A stage at its place. Times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    begin: f64,
    length: f64,
    from: f64,
    to: f64,
    /// Arrivals before it.
    before: f64,
}

/// Why a text is not a list of stages.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StageError {
    /// A stage is not written as a length of time, a colon and a rate.
    #[error(
        "`{0}` is not a stage: write 30s:10k to hold a rate, 30s:1k..10k to go from one to another, or 30s:..10k to go on \
         from the last"
    )]
    Form(String),
    /// The first stage goes on from a rate that there is not.
    #[error("the first stage has no rate before it: write 30s:1k..10k, or give --rate")]
    NoRate,
    /// No stage lasts, or no rate is above zero.
    #[error("the stages ask for no request at all")]
    Empty,
}

impl Profile {
    /// The same rate for ever, in requests per second.
    pub fn constant(rate: f64) -> Self {
        Self {
            pieces: Vec::new(),
            last: Piece { begin: 0.0, length: f64::INFINITY, from: rate, to: rate, before: 0.0 },
        }
    }

    /// `stages` one after another, after `hold` at the rate with which the first begins.
    ///
    /// # Panics
    /// When there is no stage.
    pub fn stages(stages: &[Stage], hold: Duration) -> Self {
        let first = stages.first().expect("a profile has a stage");
        let held = Stage { length: hold, from: first.from, to: first.from };
        let mut pieces: Vec<Piece> = Vec::with_capacity(stages.len() + 1);
        let (mut begin, mut before, mut rate) = (0.0, 0.0, first.from);
        for stage in std::iter::once(&held).chain(stages) {
            let length = stage.length.as_secs_f64();
            rate = stage.to;
            if length > 0.0 {
                pieces.push(Piece { begin, length, from: stage.from, to: stage.to, before });
                begin += length;
                before += length * (stage.from + stage.to) / 2.0;
            }
        }
        Self { pieces, last: Piece { begin, length: f64::INFINITY, from: rate, to: rate, before } }
    }

    /// How many arrivals there are up to `seconds`, as a real number.
    pub fn arrivals_by(&self, seconds: f64) -> f64 {
        let begun = |piece: &&Piece| piece.begin <= seconds;
        let piece = match self.last.begin <= seconds {
            true => &self.last,
            false => self.pieces.iter().rev().find(begun).unwrap_or(&self.last),
        };
        let inside = (seconds - piece.begin).max(0.0);
        piece.before + inside * (piece.from + piece.slope() * inside / 2.0)
    }

    /// When arrival number `number` is due, in seconds; infinite where the rate ends at zero before it.
    #[inline]
    pub fn time_of(&self, number: f64) -> f64 {
        let next = self.pieces.partition_point(|piece| piece.end_number() <= number);
        let piece = self.pieces.get(next).unwrap_or(&self.last);
        let inside = number - piece.before;
        if inside <= 0.0 {
            return piece.begin;
        }
        if piece.from == piece.to {
            return piece.begin + inside / piece.from;
        }
        // The root of from·x + slope·x²/2 = inside in the form that loses no digits where the slope is small.
        let root = (piece.from * piece.from + 2.0 * piece.slope() * inside).max(0.0).sqrt();
        piece.begin + 2.0 * inside / (piece.from + root)
    }
}

impl Piece {
    fn slope(&self) -> f64 {
        if self.from == self.to { 0.0 } else { (self.to - self.from) / self.length }
    }

    fn end_number(&self) -> f64 {
        self.before + self.length * (self.from + self.to) / 2.0
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.length.as_secs_f64();
        if self.from == self.to {
            write!(f, "{length}s:{}", self.to)
        } else {
            write!(f, "{length}s:{}..{}", self.from, self.to)
        }
    }
}

/// Parses `10s:1k,30s:1k..10k,5s:..0`: lengths of time with the rate to hold, or the rates to go between.
///
/// `duration` and `rate` read the parts; `before` is the rate that an open first stage goes on from.
///
/// # Errors
/// When a part has another form, or all of it asks for nothing.
pub fn parse_stages(
    text: &str,
    before: Option<f64>,
    duration: impl Fn(&str) -> Result<Duration, String>,
    rate: impl Fn(&str) -> Result<f64, String>,
) -> Result<Vec<Stage>, StageError> {
    let mut stages = Vec::new();
    let mut last = before;
    for part in text.split(',').map(str::trim) {
        let bad = || StageError::Form(part.to_owned());
        let rate =
            |text: &str| if f64::from_str(text) == Ok(0.0) { Ok(0.0) } else { rate(text).map_err(|_| bad()) };
        let (length, rates) = part.split_once(':').ok_or_else(bad)?;
        let length = duration(length).map_err(|_| bad())?;
        let (from, to) = match rates.split_once("..") {
            None => (rate(rates)?, rate(rates)?),
            Some(("", to)) => (last.ok_or(StageError::NoRate)?, rate(to)?),
            Some((from, to)) => (rate(from)?, rate(to)?),
        };
        last = Some(to);
        stages.push(Stage { length, from, to });
    }
    if stages.iter().all(|stage| stage.length.is_zero() || stage.from + stage.to == 0.0) {
        return Err(StageError::Empty);
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Stage>, StageError> {
        let seconds = |text: &str| {
            text.trim_end_matches('s').parse().map(Duration::from_secs_f64).map_err(|_| String::new())
        };
        let rate = |text: &str| text.parse::<f64>().map_err(|_| String::new());
        parse_stages(text, None, seconds, rate)
    }

    #[test]
    fn stages_hold_go_between_and_go_on() {
        let stages = parse("10s:100,20s:100..300,5s:..0").unwrap();
        let text: Vec<String> = stages.iter().map(Stage::to_string).collect();
        assert_eq!(text, ["10s:100", "20s:100..300", "5s:300..0"]);
        let profile = Profile::stages(&stages, Duration::from_secs(2));
        for (seconds, arrivals) in
            [(0.0, 0.0), (2.0, 200.0), (12.0, 1200.0), (32.0, 5200.0), (37.0, 5950.0), (99.0, 5950.0)]
        {
            assert!((profile.arrivals_by(seconds) - arrivals).abs() < 1e-9, "{seconds} s");
        }
        assert!((profile.time_of(5200.0) - 32.0).abs() < 1e-9);
        assert_eq!(profile.time_of(5951.0), f64::INFINITY);
    }

    #[test]
    fn what_is_no_stage_is_named() {
        for text in ["", "10s", "10s:", "x:5", "10s:5..x", "10s:1,"] {
            assert!(matches!(parse(text), Err(StageError::Form(_))), "{text:?}");
        }
        assert_eq!(parse("10s:..5"), Err(StageError::NoRate));
        assert_eq!(parse("10s:0"), Err(StageError::Empty));
    }

    proptest! {
        #[test]
        fn times_and_numbers_are_inverse(
            stages in prop::collection::vec((0.01_f64..20.0, 0.0_f64..1e5, 0.0_f64..1e5, prop::bool::ANY), 1..6),
            share in 0.0_f64..1.0,
        ) {
            let stages: Vec<Stage> = stages
                .into_iter()
                .map(|(length, from, to, hold)| Stage {
                    length: Duration::from_secs_f64(length),
                    from,
                    to: if hold { from } else { to },
                })
                .collect();
            let profile = Profile::stages(&stages, Duration::ZERO);
            let total: f64 = stages.iter().map(|s| s.length.as_secs_f64() * (s.from + s.to) / 2.0).sum();
            let number = share * total;
            let time = profile.time_of(number);
            prop_assert!((profile.arrivals_by(time) - number).abs() <= 1e-6 * total.max(1.0), "{number} at {time}");
            prop_assert!(profile.time_of(number) <= profile.time_of((number + 1.0).min(total)) + 1e-9);
        }
    }
}
