use super::*;
use crate::report::sample;

// To renew: cargo test -p covet-bench report::text prints the report of a failed comparison in full.
fn same(width: usize, golden: &str) {
    let text = render(&sample::report(), width);
    assert!(text == golden, "at {width} columns the report is now:\n{text}");
}

#[test]
fn at_a_hundred_columns() {
    same(100, include_str!("golden_100.txt"));
}

#[test]
fn at_eighty_columns() {
    same(80, include_str!("golden_80.txt"));
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [72, 80, 97, 100, 140] {
        for line in render(&sample::report(), width).lines() {
            assert!(line.chars().count() <= width.max(80), "{} columns: {line}", line.chars().count());
        }
    }
}

#[test]
fn what_could_not_be_measured_is_said() {
    let mut report = sample::report();
    report.latency = None;
    report.layers.truncate(1);
    report.layers[0].rate = None;
    report.layers[0].runs.clear();
    report.notes.push("io_uring is refused here, so no HTTP layer was measured.".into());
    let text = render(&report, 80);
    assert!(text.contains("Note: io_uring is refused here"), "{text}");
    assert!(!text.contains("p99"), "{text}");
}

#[test]
fn failed_checks_stand_out() {
    let mut report = sample::report();
    report.layers[1].checks[1].outcome = Outcome::Failed;
    report.latency.as_mut().unwrap().checks[0].outcome = Outcome::Failed;
    let text = render(&report, 100);
    assert!(text.contains("  FAILED      closure: Little's law 0.998"));
    assert!(text.contains("requests per second: INVALID"));
}

#[test]
fn words_longer_than_the_width_are_kept_whole() {
    let mut out = String::new();
    wrap(&mut out, "ab ", "cdefghijk lm", 6);
    assert_eq!(out, "ab cdefghijk\n   lm\n");
}
