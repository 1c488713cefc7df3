//! The shift function: the ratio of two sides at each percentile, on a nines axis.

use super::axis::{Scale, linear_marks, log_marks, percentile_marks};
use super::{Plot, Size, area, dot, line, open, path, text};
use crate::report::quantity::{change, percentile, seconds};
use crate::report::text::wrap::shortened;
use crate::stats::Interval;
use crate::stats::quantile::nines;
use crate::stats::shift::Shift;

/// An interval reaches at most so many times beyond the ratios: with two runs a side it would flatten everything else.
const REACH: f64 = 2.0;
/// A side has a name of at most so many characters in a chart.
const NAME: usize = 24;
/// The least part of the axis, on both sides of 1: a change of 5 %.
const LEAST: f64 = 1.05;

/// The chart, or `None` without a point.
///
/// The horizontal axis is -log10(1-q); the vertical one is the ratio of the second side over the first, logarithmic.
/// The light band holds at all percentiles at once, the dark one at each of them alone.
pub fn chart(sides: [&str; 2], shift: &[Shift], size: Size) -> Option<String> {
    let last = shift.last()?;
    let [a, b] = sides.map(|name| shortened(name, NAME));
    let (low, high) = range(shift);
    let plot = Plot { left: 58.0, right: size.width - 16.0, top: 14.0, bottom: size.height - 40.0 };
    let end = nines(last.q).max(1.0);
    let x = Scale::linear((0.0, end), (plot.left, plot.right));
    let y = Scale::log((low, high), (plot.bottom, plot.top));

    let mut out = open(size, &format!("Ratio of {b} over {a} at each percentile"));
    for mark in marks(low, high) {
        line(&mut out, "grid", (plot.left, y.at(mark)), (plot.right, y.at(mark)));
        text(&mut out, "tick", (plot.left - 8.0, y.at(mark) + 4.0), "end", &tick(mark, high / low));
    }
    percentile_marks(&mut out, &x, plot, end, size);
    line(&mut out, "one", (plot.left, y.at(1.0)), (plot.right, y.at(1.0)));
    band(&mut out, "band", shift, |point| point.simultaneous, (&x, &y));
    band(&mut out, "inner", shift, |point| point.pointwise, (&x, &y));
    path(&mut out, "merged s0", shift.iter().map(|point| (x.at(nines(point.q)), y.at(point.ratio))));
    for point in shift {
        let title = format!(
            "{}: {}, {} against {}",
            percentile(point.q),
            change(point.ratio),
            seconds(point.b_ns / 1e9),
            seconds(point.a_ns / 1e9)
        );
        dot(&mut out, "mark s0", (x.at(nines(point.q)), y.at(point.ratio)), 2.6, &title);
    }
    text(&mut out, "side", (plot.right - 4.0, plot.top + 12.0), "end", &format!("{b} is slower"));
    text(&mut out, "side", (plot.right - 4.0, plot.bottom - 6.0), "end", &format!("{b} is faster"));
    out.push_str("</svg>");
    Some(out)
}

/// What the vertical axis holds: every ratio, no change, and the intervals as far as they leave the ratios visible.
fn range(shift: &[Shift]) -> (f64, f64) {
    let enclose = |(low, high): (f64, f64), value: f64| (f64::min(low, value), f64::max(high, value));
    let ratios = shift.iter().map(|point| point.ratio).fold((1.0 / LEAST, LEAST), enclose);
    let reach = (ratios.0 / REACH, ratios.1 * REACH);
    let ends = shift.iter().filter_map(|point| point.simultaneous).flat_map(|i| [i.lower, i.upper]);
    let (low, high) = ends.map(|end| end.clamp(reach.0, reach.1)).fold(ratios, enclose);
    (low / 1.02, high * 1.02)
}

fn marks(low: f64, high: f64) -> Vec<f64> {
    if high / low < 4.0 {
        return linear_marks(low, high, 6);
    }
    log_marks(low, high).into_iter().filter(|mark| (low..=high).contains(mark)).collect()
}

/// A ratio as the axis names it: `+20 %`, with decimals where the whole axis is narrow.
fn tick(ratio: f64, width: f64) -> String {
    let percent = (ratio - 1.0) * 100.0;
    match ratio {
        r if (r - 1.0).abs() < 1e-9 => "0 %".to_owned(),
        r if r >= 10.0 => format!("×{r:.0}"),
        _ if width > 1.2 => format!("{percent:+.0} %"),
        _ => format!("{percent:+.1} %"),
    }
}

fn band(
    out: &mut String,
    class: &str,
    shift: &[Shift],
    of: impl Fn(&Shift) -> Option<Interval>,
    (x, y): (&Scale, &Scale),
) {
    let known = || shift.iter().filter_map(|point| Some((x.at(nines(point.q)), of(point)?)));
    let upper: Vec<_> = known().map(|(at, interval)| (at, y.at(interval.upper))).collect();
    let lower: Vec<_> = known().map(|(at, interval)| (at, y.at(interval.lower))).collect();
    area(out, class, &upper, &lower);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::svg::{NARROW, WIDE};

    fn shift(ratio: f64, half: Option<f64>) -> Vec<Shift> {
        let interval = |half: f64| Interval {
            estimate: ratio,
            lower: ratio / half,
            upper: ratio * half,
            level: 0.95,
            runs: 6,
        };
        let point = |q: f64| Shift {
            q,
            a_ns: 1e6,
            b_ns: 1e6 * ratio,
            ratio,
            pointwise: half.map(interval),
            simultaneous: half.map(|half| interval(half * half)),
        };
        [0.01, 0.5, 0.9, 0.99, 0.999].map(point).into()
    }

    #[test]
    fn it_has_both_bands_where_the_runs_allow_them() {
        let svg = chart(["before", "after"], &shift(1.2, Some(1.05)), WIDE).unwrap();
        assert_eq!((svg.matches("<path").count(), svg.matches("<circle").count()), (3, 5), "{svg}");
        assert!(svg.contains("class=\"band\"") && svg.contains("class=\"inner\""), "{svg}");
        assert!(svg.contains("p99.9: +20.0 %, 1.20 ms against 1.00 ms"), "{svg}");
        assert!(svg.contains("after is slower") && svg.contains("+20 %</text>"), "{svg}");
        let bare = chart(["before", "after"], &shift(1.2, None), NARROW).unwrap();
        assert_eq!(bare.matches("<path").count(), 1);
        assert_eq!(chart(["a", "b"], &[], WIDE), None);
    }

    #[test]
    fn no_interval_flattens_the_ratios() {
        let (low, high) = range(&shift(1.0, Some(1e6)));
        assert!(low > 0.4 && high < 2.4, "{low} {high}");
        let (low, high) = range(&shift(300.0, None));
        assert!(low < 1.0 && (300.0..310.0).contains(&high), "{low} {high}");
        assert!(
            marks(low, high).contains(&100.0) && marks(low, high).contains(&1.0),
            "{:?}",
            marks(low, high)
        );
    }
}
