//! Scales and the values that they are marked at.

use super::{Plot, Size, line, text};
use crate::report::quantity::percentile;
use crate::stats::quantile::nines;

/// The quantiles that an axis of nines is marked at.
const MARKS: [f64; 7] = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
/// How much room the name of a mark takes on a vertical axis.
const LINE: f64 = 16.0;
/// How far apart the names of two percentiles must be.
const APART: f64 = 36.0;
/// The width of a character of a name, more or less.
const CHARACTER: f64 = 6.6;

/// A scale from values to positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    log: bool,
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    /// A linear scale that takes `from.0` to `to.0` and `from.1` to `to.1`.
    pub(super) fn linear(from: (f64, f64), to: (f64, f64)) -> Scale {
        Scale { log: false, from, to }
    }

    /// As [`Scale::linear`] on logarithms; the values are positive.
    pub(super) fn log(from: (f64, f64), to: (f64, f64)) -> Scale {
        Scale { log: true, from: (from.0.log10(), from.1.log10()), to }
    }

    /// The position of a value; one outside the range is put at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let width = self.from.1 - self.from.0;
        let share = if width == 0.0 { 0.5 } else { ((value - self.from.0) / width).clamp(0.0, 1.0) };
        self.to.0 + share * (self.to.1 - self.to.0)
    }
}

/// The marks of a log axis from `low` to `high`, both positive: 1, 2 and 5 of each decade where there are few decades,
/// else the decades; the first lies at or below `low` and the last at or above `high`.
pub(super) fn log_marks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let steps: &[f64] = if decades <= 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let all: Vec<f64> = (first..=last).flat_map(|e| steps.iter().map(move |s| s * 10f64.powi(e))).collect();
    let begin = all.iter().rposition(|&v| v <= low * (1.0 + 1e-9)).unwrap_or(0);
    let end = all.iter().position(|&v| v >= high * (1.0 - 1e-9)).unwrap_or(all.len() - 1);
    all[begin..=end.max(begin)].to_vec()
}

/// About `count` round marks within `low` to `high`.
pub(super) fn linear_marks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    if !(raw.is_finite() && raw > 0.0) {
        return vec![low];
    }
    let power = 10f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|s| s * power).into_iter().find(|&s| s >= raw).unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// The marks of a vertical log axis, without those between decades where they would run into each other.
pub(super) fn spaced(marks: Vec<f64>, plot: Plot) -> Vec<f64> {
    if marks.len() as f64 * LINE <= plot.bottom - plot.top {
        return marks;
    }
    // Here there are more marks than fit, so there is a first one.
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    let decade = |mark: &f64| (mark.log10() - mark.log10().round()).abs() < 1e-9;
    let ends = |mark: &f64| *mark == first || *mark == last;
    let decades = marks.iter().filter(|mark| decade(mark)).count();
    marks.into_iter().filter(|mark| decade(mark) || (ends(mark) && decades < 3)).collect()
}

/// Draws the lines and names of an axis of nines that ends at `end`.
pub(super) fn percentile_marks(out: &mut String, x: &Scale, plot: Plot, end: f64, size: Size) {
    let mut taken = f64::NEG_INFINITY;
    for q in MARKS.into_iter().filter(|&q| nines(q) <= end + 1e-9) {
        let at = x.at(nines(q));
        line(out, "grid", (at, plot.top), (at, plot.bottom));
        // A name that would touch the one before it is left out; of the least value and the median, the former.
        let crowds_median = q == 0.0 && x.at(nines(0.5)) - at < APART;
        let name = if q == 0.0 { "min".to_owned() } else { percentile(q) };
        let half = name.len() as f64 * CHARACTER / 2.0;
        // The last one may stand at the edge of the picture, which cuts off what is beyond.
        let middle = at.min(size.width - half);
        if crowds_median || middle - half < taken {
            continue;
        }
        taken = middle + half + CHARACTER;
        text(out, "tick", (middle, plot.bottom + 18.0), "middle", &name);
    }
    let middle = ((plot.left + plot.right) / 2.0, size.height - 4.0);
    text(out, "axis", middle, "middle", "percentile of requests");
}

/// A round length of time without needless decimals: `50 µs`.
pub(super) fn short_time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n >= 1e9 => (n / 1e9, "s"),
        n if n >= 1e6 => (n / 1e6, "ms"),
        n if n >= 1e3 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    format!("{value} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_round() {
        assert_eq!(log_marks(30e3, 2.1e6), vec![20e3, 50e3, 100e3, 200e3, 500e3, 1e6, 2e6, 5e6]);
        assert_eq!(log_marks(1.0, 1e6).len(), 7);
        assert_eq!(linear_marks(0.0, 10.0, 5), vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear_marks(5.0, 5.0, 3), vec![5.0]);
    }

    #[test]
    fn scales_end_where_they_should() {
        let scale = Scale::log((1e3, 1e5), (0.0, 100.0));
        assert_eq!((scale.at(1e3), scale.at(1e4), scale.at(1e9)), (0.0, 50.0, 100.0));
        assert_eq!(Scale::linear((0.0, 2.0), (10.0, 0.0)).at(0.5), 7.5);
        assert_eq!(Scale::linear((3.0, 3.0), (0.0, 10.0)).at(3.0), 5.0);
    }

    proptest! {
        #[test]
        fn log_marks_enclose_the_data(low in 1e-9..1e9f64, factor in 1.0..1e9f64) {
            let high = low * factor;
            let marks = log_marks(low, high);
            prop_assert!(marks[0] <= low * 1.000001, "{marks:?}");
            prop_assert!(*marks.last().unwrap() >= high * 0.999999, "{marks:?}");
            prop_assert!(marks.len() < 40);
        }

        #[test]
        fn linear_marks_lie_within(low in -1e9..1e9f64, width in 1e-3..1e9f64, count in 1usize..10) {
            let marks = linear_marks(low, low + width, count);
            prop_assert!(marks.iter().all(|m| *m >= low - width * 1e-6 && *m <= low + width * (1.0 + 1e-6)));
            prop_assert!(marks.len() <= count + 1);
        }
    }
}
