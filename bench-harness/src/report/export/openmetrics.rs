//! OpenMetrics text, which Prometheus scrapes or a push gateway takes.

use std::fmt::Write as _;

use super::{Exported, SERIES, bounds, max_queued, outcomes};
use crate::bundle::RunDocument;

/// The runs as OpenMetrics 1.0 text: each number labelled with its run.
///
/// Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub fn openmetrics(exported: &Exported<'_>) -> String {
    let mut out = String::new();
    let target = exported.bundle.manifest.conditions.get("url").and_then(|url| url.as_str()).unwrap_or("");
    let labels = |run: usize| {
        format!("bundle=\"{}\",target=\"{}\",run=\"{run}\"", label(&exported.name), label(target))
    };
    let runs = || exported.bundle.runs.iter().enumerate().map(|(index, run)| (index + 1, run));
    gauge(&mut out, "covet_bench_rate", "Validated responses per second");
    for (number, run) in runs() {
        if let Some(rate) = run.rate {
            let _ = writeln!(out, "covet_bench_rate{{{}}} {rate}", labels(number));
        }
    }
    gauge(&mut out, "covet_bench_valid", "1 when no guard failed");
    for (number, run) in runs() {
        let _ = writeln!(out, "covet_bench_valid{{{}}} {}", labels(number), u8::from(run.valid));
    }
    gauge(&mut out, "covet_bench_max_queued", "The most requests that were due and unsent at once");
    for (number, run) in runs() {
        if let Some(most) = max_queued(run) {
            let _ = writeln!(out, "covet_bench_max_queued{{{}}} {most}", labels(number));
        }
    }
    counter(&mut out, "covet_bench_requests", "Requests by what became of them");
    for (number, run) in runs() {
        by_kind(&mut out, "covet_bench_requests_total", &labels(number), "outcome", outcomes(run));
    }
    counter(&mut out, "covet_bench_responses", "Responses by the class of their status");
    for (number, run) in runs() {
        by_kind(&mut out, "covet_bench_responses_total", &labels(number), "class", classes(run));
    }
    for (series, help) in SERIES {
        let name = format!("covet_bench_{series}_seconds");
        let mut begun = false;
        for (number, run) in runs() {
            let Some(hist) = run.series(series).and_then(|series| series.histogram().ok().flatten()) else {
                continue;
            };
            if !begun {
                let _ = writeln!(out, "# TYPE {name} histogram\n# UNIT {name} seconds\n# HELP {name} {help}");
                begun = true;
            }
            let labels = labels(number);
            for bound in bounds() {
                let le = bound as f64 / 1e9;
                let _ =
                    writeln!(out, "{name}_bucket{{{labels},le=\"{le:?}\"}} {}", hist.count_between(0, bound));
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", hist.len());
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", hist.len());
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", hist.mean() * hist.len() as f64 / 1e9);
        }
    }
    out.push_str("# EOF\n");
    out
}

fn gauge(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# TYPE {name} gauge\n# HELP {name} {help}");
}

fn counter(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# TYPE {name} counter\n# HELP {name} {help}");
}

fn classes(run: &RunDocument) -> impl Iterator<Item = (&str, u64)> {
    run.status.iter().map(|(class, count)| (class.as_str(), *count))
}

fn by_kind<'a>(
    out: &mut String,
    name: &str,
    labels: &str,
    kind: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
) {
    for (key, count) in counts {
        let _ = writeln!(out, "{name}{{{labels},{kind}=\"{}\"}} {count}", label(key));
    }
}

/// A label's value, escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
