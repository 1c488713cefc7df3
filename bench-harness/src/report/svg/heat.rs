//! The heat map: response times over time, darker where more requests lie.

use std::fmt::Write;

use super::axis::{Scale, log_marks, short_time, spaced};
use super::time::Timeline;
use super::{Plot, Size, line, open, text};
use crate::report::heat::{HeatMap, aligned, least};

/// The least share of a column's requests that each shade stands for, from the lightest.
pub const SHADES: [f64; 5] = [0.0, 0.001, 0.01, 0.05, 0.2];
/// How many rows there are at most.
const ROWS: usize = 48;

/// The chart of runs one after the other with at most `columns` columns, or `None` where nothing was recorded.
///
/// Every cell of a shade is part of one path, and neighbours of a shade are one stroke: so the chart stays small.
pub fn chart(maps: &[HeatMap], columns: usize, size: Size) -> Option<String> {
    let maps = aligned(maps, columns);
    let used = |class: &usize| maps.iter().flat_map(HeatMap::columns).any(|column| column[*class] > 0);
    let classes = maps.iter().flat_map(HeatMap::columns).map(Vec::len).max()?;
    let first = (0..classes).find(|class| used(class))?;
    let last = (0..classes).rfind(|class| used(class))?;
    // Rows of several classes where there are too many of them.
    let step = (last + 1 - first).div_ceil(ROWS);
    let rows = (last + 1 - first).div_ceil(step);
    let lengths: Vec<f64> =
        maps.iter().map(|map| (map.columns().len() as u64 * map.seconds) as f64).collect();
    let plot = Plot { left: 58.0, right: size.width - 16.0, top: 14.0, bottom: size.height - 40.0 };
    let x = Timeline::new(&lengths, plot);
    let (low, high) = (least(first), least(first + rows * step));
    let y = Scale::log((low, high), (plot.bottom, plot.top));

    let label = format!(
        "Heat map of response times over time, from {} to {}: darker where a larger share of the requests lies",
        short_time(low.round()),
        short_time(high.round())
    );
    let mut out = open(size, &label);
    let within = log_marks(low, high).into_iter().filter(|mark| (low..=high * 1.001).contains(mark));
    for mark in spaced(within.collect(), plot) {
        line(&mut out, "grid", (plot.left, y.at(mark)), (plot.right, y.at(mark)));
        text(&mut out, "tick", (plot.left - 8.0, y.at(mark) + 4.0), "end", &short_time(mark));
    }
    x.marks(&mut out, plot, size);
    let all: usize = maps.iter().map(|map| map.columns().len()).sum();
    let (width, height) = ((plot.right - plot.left) / all as f64, (plot.bottom - plot.top) / rows as f64);
    let _ = write!(
        out,
        "<g class=\"heat\" transform=\"translate({:.2} {:.2}) scale({width:.4} {:.4})\">",
        plot.left,
        plot.bottom - height / 2.0,
        -height
    );
    let cells = shades(&maps, first, step, rows);
    for (shade, strokes) in strokes(&cells, rows).iter().enumerate() {
        if !strokes.is_empty() {
            let _ = write!(out, "<path class=\"h{shade}\" d=\"{strokes}\"/>");
        }
    }
    out.push_str("</g>");
    out.push_str("</svg>");
    Some(out)
}

/// The shade of each cell, row by row in each column; `None` where no request lies.
fn shades(maps: &[HeatMap], first: usize, step: usize, rows: usize) -> Vec<Vec<Option<usize>>> {
    let shade = |count: u64, total: u64| {
        let share = count as f64 / total as f64;
        (count > 0).then(|| SHADES.iter().rposition(|&least| share >= least).unwrap_or(0))
    };
    maps.iter()
        .flat_map(HeatMap::columns)
        .map(|column| {
            let total: u64 = column.iter().sum();
            let classes = &column[first..];
            (0..rows)
                .map(|row| {
                    let part = classes.iter().skip(row * step).take(step);
                    shade(part.sum(), total.max(1))
                })
                .collect()
        })
        .collect()
}

/// The strokes of each shade: `M column row h length`, in units of cells.
fn strokes(cells: &[Vec<Option<usize>>], rows: usize) -> [String; SHADES.len()] {
    let mut out: [String; SHADES.len()] = Default::default();
    for row in 0..rows {
        let mut column = 0;
        while column < cells.len() {
            let shade = cells[column][row];
            let alike = cells[column..].iter().take_while(|other| other[row] == shade).count();
            if let Some(shade) = shade {
                let _ = write!(out[shade], "M{column} {row}h{alike}");
            }
            column += alike;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Hist;
    use crate::report::heat::COLUMNS;
    use crate::report::svg::{NARROW, WIDE};
    use std::time::Duration;

    /// A second of noise over six decades, which is the most that a map can hold.
    fn noise(seed: u64) -> Hist {
        let (mut hist, mut state) = (Hist::new(), seed * 2 + 88_172_645_463_325_252);
        for _ in 0..400 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let exponent = 3.0 + 6.0 * (state >> 11) as f64 / (1u64 << 53) as f64;
            hist.record(Duration::from_nanos(10f64.powf(exponent) as u64), 1 + state % 50);
        }
        hist
    }

    #[test]
    fn a_day_of_noise_is_small() {
        let mut map = HeatMap::default();
        (0..86_400).step_by(300).for_each(|second| map.add(second, &noise(second)));
        let wide = chart(&[map.clone()], COLUMNS, WIDE).unwrap();
        let narrow = chart(&[map], COLUMNS / 2, NARROW).unwrap();
        assert!(wide.len() + narrow.len() < 120_000, "{} and {}", wide.len(), narrow.len());
        assert!(wide.contains("hours since") && wide.contains("1 ms<"), "{}", &wide[wide.len() - 2000..]);
    }

    #[test]
    fn a_stall_is_a_mark_above_the_rest() {
        let mut map = HeatMap::default();
        let (mut usual, mut stalled) = (Hist::new(), Hist::new());
        usual.record(Duration::from_micros(100), 1000);
        stalled.record(Duration::from_micros(100), 900);
        stalled.record(Duration::from_millis(900), 100);
        (0..12).for_each(|second| map.add(second, if second == 5 { &stalled } else { &usual }));
        let svg = chart(&[map], COLUMNS, WIDE).unwrap();
        assert!(svg.contains("class=\"h4\" d=\"M0 0h12\""), "the usual in one stroke: {svg}");
        let stall = svg.split("class=\"h3\" d=\"M5 ").nth(1).expect("a tenth of the sixth second");
        assert!(stall.split('h').nth(1).unwrap().starts_with("1\""), "{stall}");
        assert!(svg.contains("from 100 µs to") || svg.contains("from 9"), "{svg}");
    }

    #[test]
    fn nothing_recorded_is_no_chart() {
        assert_eq!(chart(&[], COLUMNS, WIDE), None);
        assert_eq!(chart(&[HeatMap::default()], COLUMNS, WIDE), None);
        let mut map = HeatMap::default();
        map.add(3, &Hist::new());
        assert_eq!(chart(&[map], COLUMNS, WIDE), None);
    }
}
