//! The table of a contest, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::contest::{Contestant, Entry, Sample};
use crate::stats::spread::median;

/// CPUs that anything else may take during a run before the table says so.
pub const FOREIGN_LIMIT: f64 = 0.1;

/// A peer that takes no part, and why.
#[derive(Debug, Clone)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// Why it is not measured.
    pub reason: String,
}

/// What a contest found, ready to be written.
pub struct Table<'a> {
    /// Who took part; the first is the base of the ratios.
    pub contestants: &'a [Contestant],
    /// What became of each server in each mode.
    pub entries: &'a [Entry],
    /// Peers that were not built.
    pub absent: &'a [Absent],
    /// The conditions, which hold for every entry.
    pub conditions: Value,
    /// The same in words.
    pub conditions_text: String,
}

struct Row<'a> {
    entry: &'a Entry,
    cpu: Option<f64>,
    rate_ratio: Option<f64>,
    cpu_ratio: Option<f64>,
}

impl Entry {
    /// The median over the rounds of one quantity; `None` without samples.
    pub fn median(&self, quantity: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(&self.samples.iter().map(quantity).collect::<Vec<_>>())
    }

    /// The median of the ratios to `base`, each of the two taken in the same round.
    pub fn ratio(&self, base: &Entry, quantity: impl Fn(&Sample) -> f64) -> Option<f64> {
        let ratios = self.samples.iter().filter_map(|sample| {
            let other = base.samples.iter().find(|other| other.round == sample.round)?;
            Some(quantity(sample) / quantity(other))
        });
        median(&ratios.filter(|ratio| ratio.is_finite()).collect::<Vec<_>>())
    }

    /// Errors of all rounds.
    pub fn errors(&self) -> u64 {
        self.samples.iter().map(|sample| sample.errors).sum()
    }
}

impl Table<'_> {
    /// The table as text: one part for each mode, the server with the least CPU time per request first.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let base = self.base();
        for rows in self.modes() {
            let mode = rows[0].entry.mode;
            let _ = writeln!(
                out,
                "\n{mode}: {} connections, {} in flight on each\n{:<10} {:>10} {:>21} {:>10} {:>12} {:>11} {:>8} {:>9} {:>7}",
                mode.connections,
                mode.depth,
                "server",
                "requests/s",
                "min - max",
                "CPU µs/req",
                format!("req/s ÷{base}"),
                format!("CPU ÷{base}"),
                "RSS MiB",
                "load CPU",
                "errors"
            );
            for row in &rows {
                line(&mut out, row);
            }
        }
        for absent in self.absent {
            let _ = writeln!(out, "\n{} takes no part: {}", absent.name, absent.reason);
        }
        let _ = writeln!(out, "\n{}", self.conditions_text);
        if let Some(caution) = self.caution() {
            let _ = writeln!(out, "{caution}");
        }
        out
    }

    /// The table as JSON, with every sample.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .modes()
            .iter()
            .flatten()
            .map(|row| {
                json!({
                    "server": row.entry.name,
                    "mode": row.entry.mode,
                    "connections": row.entry.mode.connections,
                    "depth": row.entry.mode.depth,
                    "requests_per_second": row.entry.median(|sample| sample.rate),
                    "cpu_us_per_request": row.cpu,
                    "resident_bytes": row.entry.median(|sample| sample.resident as f64),
                    "rate_ratio": row.rate_ratio,
                    "cpu_ratio": row.cpu_ratio,
                    "errors": row.entry.errors(),
                    "failure": row.entry.failure,
                    "samples": row.entry.samples,
                })
            })
            .collect();
        let about: Vec<Value> = self
            .contestants
            .iter()
            .map(|contestant| json!({"name": contestant.name, "about": contestant.about}))
            .collect();
        let absent: Vec<Value> =
            self.absent.iter().map(|peer| json!({"name": peer.name, "reason": peer.reason})).collect();
        json!({
            "schema": "covet-bench peers 1",
            "base": self.base(),
            "conditions": self.conditions,
            "servers": about,
            "absent": absent,
            "rows": rows,
        })
    }

    /// What to say where something else had the machine.
    fn caution(&self) -> Option<String> {
        let samples = self.entries.iter().flat_map(|entry| entry.samples.iter());
        let (disturbed, all) = samples.fold((0, 0), |(disturbed, all), sample| {
            (disturbed + usize::from(sample.foreign > FOREIGN_LIMIT), all + 1)
        });
        (disturbed > 0).then(|| {
            format!(
                "CAUTION: in {disturbed} of {all} runs something else took more than {:.0} % of a CPU. Stop it and \
                 measure again before quoting any of this.",
                FOREIGN_LIMIT * 100.0
            )
        })
    }

    fn base(&self) -> &str {
        self.contestants.first().map_or("", |contestant| &contestant.name)
    }

    fn modes(&self) -> Vec<Vec<Row<'_>>> {
        let width = self.contestants.len().max(1);
        self.entries.chunks(width).map(rows).collect()
    }
}

fn rows(entries: &[Entry]) -> Vec<Row<'_>> {
    let base = &entries[0];
    let mut rows: Vec<Row<'_>> = entries
        .iter()
        .map(|entry| Row {
            entry,
            cpu: entry.median(|sample| sample.cpu_us),
            rate_ratio: entry.ratio(base, |sample| sample.rate),
            cpu_ratio: entry.ratio(base, |sample| sample.cpu_us),
        })
        .collect();
    rows.sort_by(|a, b| a.cpu.unwrap_or(f64::INFINITY).total_cmp(&b.cpu.unwrap_or(f64::INFINITY)));
    rows
}

fn line(out: &mut String, row: &Row<'_>) {
    let entry = row.entry;
    let rates = entry.samples.iter().map(|sample| sample.rate);
    let (least, most) =
        rates.fold((f64::INFINITY, 0.0_f64), |(low, high), rate| (low.min(rate), high.max(rate)));
    if let Some(rate) = entry.median(|sample| sample.rate) {
        let _ = writeln!(
            out,
            "{:<10} {rate:>10.0} {:>21} {:>10.3} {:>12} {:>11} {:>8.1} {:>7.0} % {:>7}",
            entry.name,
            format!("{least:.0} - {most:.0}"),
            row.cpu.unwrap_or_default(),
            ratio(row.rate_ratio),
            ratio(row.cpu_ratio),
            entry.median(|sample| sample.resident as f64).unwrap_or_default() / 1_048_576.0,
            entry.median(|sample| sample.generator_busy).unwrap_or_default() * 100.0,
            entry.errors(),
        );
    }
    if let Some(failure) = &entry.failure {
        let _ = writeln!(out, "{:<10} failed: {failure}", entry.name);
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::peers::mode::Mode;

    fn sample(round: usize, rate: f64, cpu_us: f64) -> Sample {
        Sample {
            round,
            rate,
            cpu_us,
            server_busy: 1.0,
            generator_busy: 0.5,
            p50_us: 100.0,
            p99_us: 200.0,
            resident: 1 << 20,
            errors: 0,
            foreign: rate / 1000.0,
        }
    }

    fn entry(name: &str, samples: Vec<Sample>, failure: Option<&str>) -> Entry {
        let mode = Mode { connections: 64, depth: 1 };
        Entry { name: name.to_owned(), mode, samples, failure: failure.map(str::to_owned) }
    }

    fn contestant(name: &str) -> Contestant {
        Contestant {
            name: name.to_owned(),
            about: String::new(),
            launch: Box::new(|_| std::process::Command::new("true")),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let base =
            entry("covet", vec![sample(0, 100.0, 1.0), sample(1, 50.0, 2.0), sample(2, 90.0, 1.1)], None);
        let slow = entry("slow", vec![sample(0, 50.0, 2.0), sample(1, 25.0, 4.0)], None);
        assert_eq!(slow.ratio(&base, |sample| sample.rate), Some(0.5));
        assert_eq!(slow.ratio(&base, |sample| sample.cpu_us), Some(2.0));
        assert_eq!(base.ratio(&base, |sample| sample.rate), Some(1.0));
    }

    #[test]
    fn the_cheapest_comes_first_and_failures_stay_visible() {
        let contestants = ["covet", "slow", "broken"].map(contestant);
        let entries = [
            entry("covet", vec![sample(0, 101.0, 1.5)], None),
            entry("slow", vec![sample(0, 50.0, 1.2)], None),
            entry("broken", Vec::new(), Some("no ring")),
        ];
        let absent = [Absent { name: "ntex".to_owned(), reason: "needs a newer compiler".to_owned() }];
        let table = Table {
            contestants: &contestants,
            entries: &entries,
            absent: &absent,
            conditions: json!({}),
            conditions_text: "on one core".to_owned(),
        };
        let text = table.text();
        let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle} in {text}"));
        assert!(at("\nslow ") < at("\ncovet ") && at("\ncovet ") < at("\nbroken "));
        assert!(at("failed: no ring") < at("ntex takes no part: needs a newer compiler"));
        assert!(at("on one core\n") < at("CAUTION: in 1 of 2 runs"));
        let json = table.json();
        assert_eq!(json["base"], "covet");
        assert_eq!(json["rows"][2]["failure"], "no ring");
        assert_eq!(json["rows"][0]["rate_ratio"], 50.0 / 101.0);
    }
}
