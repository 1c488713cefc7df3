//! Statistics of a whole runtime, and how they are printed.

use std::fmt;
use std::time::Duration;

use super::histogram::Histogram;
use super::record::CoreStats;

/// The statistics of all cores. Its text is a table.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RuntimeStats {
    /// One for each core that answered, in the order of their indices.
    pub cores: Vec<CoreStats>,
    /// The indices of cores that did not answer in time: they are stalled.
    pub silent: Vec<usize>,
}

impl RuntimeStats {
    /// All cores together.
    pub fn total(&self) -> CoreStats {
        let mut total = CoreStats::default();
        self.cores.iter().for_each(|core| total.merge(core));
        total
    }
}

/// Half, 99 in a hundred, and all.
fn quantiles(histogram: &Histogram, unit: impl Fn(u64) -> String) -> String {
    let values = [histogram.quantile(0.5), histogram.quantile(0.99), histogram.max()];
    values.map(unit).join(" / ")
}

/// A count with at most four digits and a unit.
fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..10_000_000 => format!("{}k", count / 1000),
        10_000_000..10_000_000_000 => format!("{}M", count / 1_000_000),
        _ => format!("{}G", count / 1_000_000_000),
    }
}

fn time(nanos: u64) -> String {
    match nanos {
        0..10_000 => format!("{nanos}ns"),
        10_000..10_000_000 => format!("{}us", nanos / 1000),
        10_000_000..10_000_000_000 => format!("{}ms", nanos / 1_000_000),
        _ => format!("{}s", nanos / 1_000_000_000),
    }
}

const HEAD: [&str; 14] = [
    "core",
    "cpu",
    "busy",
    "tasks",
    "turns",
    "polls",
    "sleeps",
    "turn time",
    "batch",
    "ready",
    "buffers",
    "woken",
    "operations",
    "accepted",
];

fn row(name: String, core: &CoreStats, cores: usize) -> [String; 14] {
    let buffers = &core.free_buffers;
    let lacking = match core.no_buffers {
        0 => String::new(),
        times => format!(" ({}x none)", short(times)),
    };
    [
        name,
        core.cpu.map_or_else(|| "-".to_owned(), |cpu| cpu.to_string()),
        format!("{:.1}%", core.utilisation(cores) * 100.0),
        short(core.tasks as u64),
        short(core.turns()),
        short(core.polls),
        short(core.sleeps),
        quantiles(&core.turn_time, time),
        quantiles(&core.batch, short),
        quantiles(&core.ready, short),
        format!("{} .. {}{lacking}", buffers.min(), buffers.max()),
        short(core.remote_wakes),
        short(core.operations),
        short(core.accepted),
    ]
}

impl fmt::Display for RuntimeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let uptime = Duration::from_millis(total.uptime.as_millis() as u64);
        writeln!(
            f,
            "covet: {} cores, {uptime:?}; p50 / p99 / max, buffers free at least .. at most",
            self.cores.len()
        )?;
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.cores.iter().map(|core| row(core.index.to_string(), core, 1)));
        if self.cores.len() > 1 {
            rows.push(row("all".to_owned(), &CoreStats { cpu: None, ..total.clone() }, self.cores.len()));
        }
        let mut widths = [0; 14];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.len().max(*width);
            }
        }
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        for group in total.groups.iter().filter(|group| !group.busy.is_zero()) {
            writeln!(f, "group {}: {} shares, busy for {:?}", group.name, group.shares, group.busy)?;
        }
        for core in &self.silent {
            writeln!(f, "core {core} did not answer: it is stalled")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Recorder;
    use super::super::record::GroupStats;
    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let recorder = Recorder::default();
        values.iter().for_each(|&value| recorder.record(value));
        recorder.snapshot()
    }

    /// A core that has counted something different in each of its columns.
    fn core(index: usize) -> CoreStats {
        let n = index as u64;
        CoreStats {
            index,
            cpu: Some(4 + index),
            uptime: Duration::from_secs(2),
            busy: Duration::from_millis(500 * (n + 1)),
            tasks: 10 + index,
            turn_time: of(&[11, 11]),
            batch: of(&[2]),
            ready: of(&[3]),
            free_buffers: of(&[5, 9]),
            polls: 12_345 + n,
            sleeps: 14,
            remote_wakes: 15,
            operations: 16,
            no_buffers: n,
            accepted: 17,
            groups: vec![GroupStats { name: "batch".into(), shares: 70, busy: Duration::from_millis(n) }],
        }
    }

    #[test]
    fn every_core_has_a_row_and_every_count_a_column() {
        let stats = RuntimeStats { cores: vec![core(0), core(1)], silent: vec![2] };
        let text = stats.to_string();
        let cells: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let turns = "11ns / 11ns / 11ns 2 / 2 / 2 3 / 3 / 3 5 .. 9";
        let wanted = [
            "covet: 2 cores, 2s; p50 / p99 / max, buffers free at least .. at most".to_owned(),
            HEAD.join(" "),
            format!("0 4 25.0% 10 2 12k 14 {turns} 15 16 17"),
            format!("1 5 50.0% 11 2 12k 14 {turns} (1x none) 15 16 17"),
            format!("all - 37.5% 21 4 24k 28 {turns} (1x none) 30 32 34"),
            "group batch: 70 shares, busy for 1ms".to_owned(),
            "core 2 did not answer: it is stalled".to_owned(),
        ];
        assert_eq!(cells, wanted, "{text}");
        // One core is all of them: no sum is needed, and groups that did nothing are left out.
        let one = RuntimeStats { cores: vec![core(0)], silent: Vec::new() }.to_string();
        assert_eq!(one.lines().count(), 3, "{one}");
    }
}
