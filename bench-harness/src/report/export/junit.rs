//! JUnit XML: a test case for each guard and threshold.

use std::fmt::Write as _;

use super::Exported;
use crate::report::svg::escape;

/// The runs as a test suite, which CI systems show beside other tests.
///
/// A failed guard is an error (the measurement proves nothing), a failed threshold a failure, and a warning a passed
/// case with a line of output.
pub fn junit(exported: &Exported<'_>) -> String {
    let (mut cases, mut count, mut errors, mut failures) = (String::new(), 0, 0, 0);
    let suite = xml(&exported.name);
    for (index, run) in exported.bundle.runs.iter().enumerate() {
        let class = format!("{suite}.run-{}", index + 1);
        for guard in &run.guards {
            count += 1;
            let (name, detail) = (xml(&guard.name), xml(&guard.detail));
            let _ = write!(cases, "  <testcase classname=\"{class}\" name=\"guard {name}\"");
            let _ = match guard.outcome.as_str() {
                "passed" => writeln!(cases, "/>"),
                "not measured" => writeln!(cases, "><skipped message=\"{detail}\"/></testcase>"),
                "warning" => writeln!(cases, "><system-out>warning: {detail}</system-out></testcase>"),
                _ => {
                    errors += 1;
                    writeln!(cases, "><error message=\"{detail}\"/></testcase>")
                }
            };
        }
    }
    for threshold in &exported.thresholds {
        count += 1;
        let (name, detail) = (xml(&threshold.threshold), xml(&threshold.detail));
        let _ = write!(cases, "  <testcase classname=\"{suite}\" name=\"threshold {name}\">");
        if !threshold.passed {
            failures += 1;
            let _ = write!(cases, "<failure message=\"{detail}\"/>");
        }
        let _ = writeln!(cases, "<system-out>{detail}</system-out></testcase>");
    }
    let seconds: f64 = exported.bundle.runs.iter().filter_map(|run| run.elapsed_s).sum();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{suite}\" tests=\"{count}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{seconds:.3}\" timestamp=\"{}\">\n{cases}</testsuite>\n",
        xml(exported.bundle.manifest.created.trim_end_matches('Z'))
    )
}

/// Text for XML 1.0, which has no way to write most control characters.
fn xml(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() || matches!(c, '\t' | '\n');
    escape(&text.chars().filter(allowed).collect::<String>())
}
