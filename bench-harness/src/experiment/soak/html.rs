//! A soak as a page.

use std::fmt::Write as _;

use super::{Finding, Growth, Reading, Soak, Verdict};
use crate::experiment::memory::SHARED_OFTEN;
use crate::record::REPORTED_QUANTILES;
use crate::report::html::facts::conditions_of;
use crate::report::html::parts::{checks, conditions, document, figure, number, tag};
use crate::report::html::plots::{Curves, overlay};
use crate::report::quantity::{grouped, range, time};
use crate::report::svg::latency::Bounds;
use crate::report::svg::time::{Line, Measure, chart};
use crate::report::svg::{NARROW, Size, WIDE, escape};
use crate::report::{Environment, Outcome};
use crate::stats::quantile::nines;
use crate::stats::spread::median;
use crate::verdict::quantity::bytes;

/// The height of the charts.
const FLAT: Size = Size { width: WIDE.width, height: 250.0 };

/// One quantity of the server: its name, how its values are written, and how it grew.
struct Grown<'a> {
    name: &'static str,
    show: fn(f64) -> String,
    measure: Measure,
    of: fn(&Reading) -> Option<f64>,
    growth: &'a Growth,
}

impl Soak {
    /// The soak as a page that needs nothing else: inline charts, no script, for light and dark, under 300 KB.
    ///
    /// `subject` is what was loaded, `memory` and `descriptors` what its readings came to.
    pub fn to_html(&self, subject: &str, memory: &Growth, descriptors: Option<&Growth>) -> String {
        let mut grown = vec![Grown {
            name: "memory",
            show: bytes,
            measure: Measure::Bytes,
            of: |reading| Some(reading.resident as f64),
            growth: memory,
        }];
        grown.extend(descriptors.map(|growth| Grown {
            name: "descriptors",
            show: |count| grouped(count),
            measure: Measure::Rate,
            of: |reading| reading.descriptors.map(|count| count as f64),
            growth,
        }));
        let verdict = self.verdict(grown.iter().map(|one| one.growth));
        let mut body = self.head(subject, verdict);
        self.table(&mut body, &grown, verdict);
        for one in &grown {
            self.over_time(&mut body, one);
        }
        // Latencies that prove nothing are shown grey; what the server had holds all the same.
        body.push_str(if self.record.is_valid() { "<div>\n" } else { "<div class=\"void\">\n" });
        overlay(&mut body, &[("response", Curves::of(&[&self.record.response]).with(self.within()))]);
        body.push_str("</div>\n");
        body.push_str("<h2>Guards</h2>\n");
        checks(&mut body, &self.checks());
        let known = serde_json::to_value(&self.record.conditions).unwrap_or_default();
        let rows = known.as_object().map(conditions_of).unwrap_or_default();
        let _ = writeln!(body, "<h2>Conditions</h2>\n{}", conditions(&rows));
        let _ = writeln!(body, "<h2>Where it was measured</h2>\n{}", conditions(&Environment::read().facts));
        document(&format!("Soak of {subject}: {}", verdict.label()), &body)
    }

    fn head(&self, subject: &str, verdict: Verdict) -> String {
        let record = &self.record;
        let (class, words) = match verdict {
            Verdict::Invalid => {
                let failed = self.checks().into_iter().find(|check| check.outcome == Outcome::Failed);
                let why =
                    failed.map_or_else(String::new, |check| format!(" {}: {}.", check.name, check.detail));
                ("bad", format!("The load failed a check, so nothing follows.{}", escape(&why)))
            }
            Verdict::Found(finding) => {
                let words = match finding {
                    Finding::Leak => "The whole interval of a slope lies above what is no leak.",
                    Finding::NoLeak => "The whole interval of each slope lies within what is no leak.",
                    Finding::Undecided => "An interval holds the limit: a longer soak makes it narrower.",
                };
                (class(finding), words.to_owned())
            }
        };
        format!(
            "<h1>Soak of {}</h1>\n<p class=\"soft\">{}, {} requests answered, {} errors</p>\n\
             <div class=\"verdict {class}\"><strong>{}</strong>{words}</div>\n",
            escape(subject),
            time(record.elapsed),
            grouped(record.completed as f64),
            grouped(record.errors.total() as f64),
            verdict.label()
        )
    }

    fn table(&self, out: &mut String, grown: &[Grown<'_>], verdict: Verdict) {
        out.push_str(
            "<h2>Growth</h2>\n<table class=\"stack\"><thead><tr><th></th><th class=\"n\">First reading</th>\
             <th class=\"n\">Last reading</th><th class=\"n\">Per hour</th><th class=\"n\">95 % interval</th>\
             <th class=\"n\">No leak up to</th><th>Finding</th></tr></thead><tbody>\n",
        );
        for Grown { name, show, growth, .. } in grown {
            let finding = match verdict {
                Verdict::Invalid => tag("", "not judged"),
                Verdict::Found(_) => tag(class(growth.finding), &growth.finding.label().to_lowercase()),
            };
            let _ = writeln!(
                out,
                "<tr><td class=\"lead\">{name}</td>{}{}{}{}{}<td data-name=\"Finding\">{finding}</td></tr>",
                number("First reading", &show(growth.first)),
                number("Last reading", &show(growth.last)),
                number("Per hour", &show(growth.per_hour)),
                number("95 % interval", &range(growth.lower, growth.upper, show)),
                number("No leak up to", &show(growth.limit))
            );
        }
        let _ = writeln!(
            out,
            "</tbody></table>\n<p class=\"soft small\">Theil-Sen slopes over {} readings {} apart, the first fifth left \
             out; the intervals allow for readings that depend on each other.</p>",
            self.settled().len(),
            time(self.period)
        );
        if !self.shared_pages_once {
            let _ = writeln!(out, "<p>{} {SHARED_OFTEN}</p>", tag("warn", "note"));
        }
    }

    /// The readings and the slope through those that count.
    fn over_time(&self, out: &mut String, grown: &Grown<'_>) {
        let points = |readings: &[Reading]| -> Vec<(f64, f64)> {
            readings
                .iter()
                .filter_map(|reading| Some((reading.at_s.max(0.0), (grown.of)(reading)?)))
                .collect()
        };
        let settled = points(self.settled());
        let (Some(&first), Some(&last)) = (settled.first(), settled.last()) else { return };
        let rise = grown.growth.per_hour / 3600.0;
        let levels: Vec<f64> = settled.iter().map(|(at, value)| value - rise * at).collect();
        let level = median(&levels).unwrap_or_default();
        let slope = [first.0, last.0].map(|at| (at, (level + rise * at).max(0.0)));
        let lines = [
            Line { name: "read", runs: vec![points(&self.readings)] },
            Line { name: "slope", runs: vec![slope.to_vec()] },
        ];
        let heading = format!("Server's {} over time", grown.name);
        let length = self.record.elapsed.as_secs_f64().max(last.0);
        let draw = |size| chart(&heading, &[length], &lines, grown.measure, size);
        let _ = writeln!(out, "<h2>{heading}</h2>");
        figure(out, draw(FLAT), draw(NARROW));
    }

    /// What the load alone says of the percentiles of its response times.
    fn within(&self) -> Vec<Bounds> {
        let bounds = |(q, _): (f64, &str)| {
            let (lower, upper) = self.record.interval_within(q).filter(|_| self.record.bears_alone(q))?;
            Some((nines(q), lower.as_nanos() as f64, upper.as_nanos() as f64))
        };
        REPORTED_QUANTILES.into_iter().filter_map(bounds).collect()
    }
}

/// The colour of a finding.
fn class(finding: Finding) -> &'static str {
    match finding {
        Finding::Leak => "bad",
        Finding::NoLeak => "good",
        Finding::Undecided => "warn",
    }
}
