use serde_json::json;

use super::*;
use crate::bundle::sample::{hist, of, with_errors};
use crate::bundle::{Manifest, RunDocument, Series};
use crate::report::heat::HeatMap;
use crate::report::model::Condition;
use crate::report::sample;
use crate::verdict::Verdict;
use crate::verdict::threshold::Threshold;

/// Every element of a page is closed, in its order.
fn check_nesting(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("every tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        let void = ["!DOCTYPE", "meta", "br"].contains(&name) || tag.ends_with('/');
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !void {
            open.push(name);
        }
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style").expect("the style ends")..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Runs of so many seconds each, with their heat maps; every 50th second is slow.
fn seconds_of_runs(runs: usize, length: u64) -> (Vec<RunDocument>, Vec<HeatMap>) {
    let (usual, slow) = (hist(2_000, 400_000), hist(2_000, 90_000_000));
    let mut run = of(2_000, &usual);
    let intervals: Vec<serde_json::Value> = (0..length)
        .map(|second| {
            json!({
                "start_s": second, "length_s": 1.0, "completed": 2_000 + second % 7, "backlog": 0,
                "p50_ns": 400_000 + second % 11 * 1_000, "p99_ns": 900_000 + second % 50 * 10_000,
            })
        })
        .collect();
    run.other.insert("intervals".to_owned(), json!(intervals));
    run.other.insert("lateness".to_owned(), json!(Series::of(&hist(2_000, 5_000))));
    let mut map = HeatMap::default();
    let step = (length / 100).max(1);
    (0..length)
        .step_by(step as usize)
        .for_each(|at| map.add(at, if at / step % 50 == 49 { &slow } else { &usual }));
    (vec![run; runs], vec![map; runs])
}

fn run_page(runs: &[RunDocument], heat: &[HeatMap]) -> String {
    let manifest = Manifest::of(std::time::SystemTime::UNIX_EPOCH, runs);
    run::page(&run::Measured { runs, heat, manifest: &manifest, thresholds: &[] }).unwrap()
}

#[test]
fn one_run_has_a_ribbon_where_it_knows_how_its_requests_depend_on_each_other() {
    let (mut runs, heat) = seconds_of_runs(1, 20);
    let bounds = |lower: Option<u64>, upper: Option<u64>| {
        let borne = lower.is_some();
        json!({ "dispersion": 2.0, "effective_requests": 1e4, "borne": borne, "lower_ns": lower, "upper_ns": upper })
    };
    runs[0].other.insert(
        "within_run".to_owned(),
        json!({
            "p50": bounds(Some(390_000), Some(410_000)), "p90": bounds(Some(500_000), Some(600_000)),
            "p99.9": bounds(None, None),
        }),
    );
    let page = run_page(&runs, &heat);
    assert_eq!(page.matches("class=\"ribbon s0\"").count(), 2, "wide and narrow");
    assert!(page.contains("within this one run") && !page.contains("has no ribbon"));
}

#[test]
fn errors_and_thresholds_are_those_of_all_runs() {
    // 30 of 1,000 requests failed in the long run, and 10 of 20 in the short one: 40 of 1,020 in all.
    let runs = [(970, 30, "timeout"), (10, 10, "reset")].map(|(completed, failed, class)| {
        let mut run = with_errors(completed, failed);
        run.errors.insert(class.to_owned(), json!(failed));
        run
    });
    let mut runs = runs.to_vec();
    runs[1].errors.insert("timeout".to_owned(), json!(2));
    runs[1].errors.insert("first".to_owned(), json!("reset: by <peer>"));
    let manifest = Manifest::of(std::time::SystemTime::UNIX_EPOCH, &runs);
    let judged = ["errors<50%", "p99<1us"].map(|text| text.parse::<Threshold>().unwrap().judge(&runs));
    let measured = run::Measured { runs: &runs, heat: &[], manifest: &manifest, thresholds: &judged };
    let page = run::page(&measured).unwrap();
    for part in [
        "<dt>errors</dt><dd>3.9 %</dd>",
        "<dt>error timeout</dt><dd>32</dd>",
        "<dt>error reset</dt><dd>10</dd>",
        "<dt>first error, in run 2</dt><dd>reset: by &lt;peer&gt;</dd>",
        "3.9 %<br><span class=\"soft small\">of all</span></span></td>",
        "<h2>Thresholds</h2>",
        "p99&lt;1us",
        ">missed<",
        ">passed<",
    ] {
        assert!(page.contains(part), "{part}");
    }
    check_nesting(&page);
    assert!(!run_page(&runs, &[]).contains("Thresholds"));
}

#[test]
fn the_page_of_a_run_has_every_part() {
    let (runs, heat) = seconds_of_runs(1, 100);
    let page = run_page(&runs, &heat);
    for part in [
        "Latency by percentile",
        "Throughput over time",
        "Latency over time",
        "Heat map of response times",
        "over time as a table",
        "Guards",
        "Conditions",
        "Where it was measured",
        "Manifest",
        "lateness",
        "governor",
        ">VALID<",
        "One run has no ribbon",
        "20 % and more",
        "http://127.0.0.1:8080/plaintext",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<dt>arguments</dt>").count(), 1, "told once");
    check_nesting(&page);
    assert!(
        !page.contains("<script")
            && !page.contains("src=")
            && !page.contains("href=")
            && !page.contains("NaN")
    );
}

#[test]
fn the_page_of_a_day_and_of_many_repeats_stays_small() {
    let (day, heat) = seconds_of_runs(1, 86_400);
    let page = run_page(&day, &heat);
    assert!(page.len() < 300_000, "{}", page.len());
    assert!(page.contains("A point for each 360 seconds") && page.contains("hours since"));
    let (many, heat) = seconds_of_runs(200, 20);
    let page = run_page(&many, &heat);
    assert!(page.len() < 300_000, "{}", page.len());
    assert!(page.contains("class=\"ribbon s0\"") && page.contains("The first 40 of 200 runs"));
    assert!(page.contains("data-name=\"run\">40</td>"), "on a phone the number stands alone otherwise");
    check_nesting(&page);
}

#[test]
fn an_invalid_run_is_grey_and_another_tools_run_has_what_it_has() {
    let (mut runs, _) = seconds_of_runs(2, 10);
    runs[1].valid = false;
    runs[1].guards[0].outcome = "failed".to_owned();
    runs[1].guards[0].detail = "no <valid> response".to_owned();
    let page = run_page(&runs, &[]);
    assert!(
        page.contains("<strong>INVALID</strong>A guard failed in 1 of 2 runs: the numbers prove nothing. ")
            && page.contains("class=\"void\"")
    );
    let first = format!("{}: no &lt;valid&gt; response.</div>", runs[1].guards[0].name);
    assert!(page.contains(&first), "the first screen says what failed");
    let table = &page[page.find("<h2>Guards</h2>").unwrap()..];
    let rows: Vec<&str> = table.split("<tr><td").skip(1).collect();
    assert!(rows[0].contains(">failed<"), "what failed comes first: {}", rows[0]);
    assert!(page.contains("no &lt;valid&gt; response (run 2; 1 of 2 runs)"));
    assert!(!page.contains("Heat map"));
    runs.truncate(1);
    runs[0].response.hdr_v2_base64 = None;
    runs[0].other.clear();
    let page = run_page(&runs, &[]);
    assert!(page.contains("<h2>Result</h2>") && !page.contains("<svg"));
    check_nesting(&page);
}

fn sample_page() -> String {
    page(&sample::report())
}

/// How often a page has a part in both widths, and the part itself.
fn charts<'a>(page: &'a str, heading: &str) -> (usize, &'a str) {
    let start = page.find(heading).unwrap_or_else(|| panic!("{heading} is missing"));
    let part = &page[start..start + page[start..].find("</div></div>").unwrap()];
    (part.matches("class=\"name ").count() / 2, part)
}

#[test]
fn latency_is_shown_by_the_loop_that_it_was_measured_in() {
    let mut report = sample::report();
    let page = super::page(&report);
    assert_eq!(charts(&page, "<h2>Latency at full load</h2>").0, 2, "depths 1 and 16");
    assert!(!page.contains("Latency at a given rate"));
    // Two readings of one measurement at a rate, as those of the median and of the 99th percentile.
    report.layers[2] = report.layers[1].clone();
    for layer in &mut report.layers[1..] {
        layer.conditions[0] = Condition::new("loop", "open, 4,300/s at constant intervals");
        layer.judgement.verdict = Verdict::Invalid;
    }
    let page = super::page(&report);
    assert!(!page.contains("Latency at full load") && !page.contains("Closed loop:"));
    assert!(page.contains("<div class=\"void\"><h2>Latency at a given rate</h2>"));
    assert!(page.contains("Open loop: times count from when each request was due"));
    assert_eq!(charts(&page, "<h2>Latency at a given rate</h2>").0, 1, "one curve");
    assert_eq!(page.matches("<tr class=\"proves-nothing\">").count(), 2);
    check_nesting(&page);
    // Where one of two proves nothing it is named, and the other one is not grey.
    let mut report = sample::report();
    report.layers[2].judgement.verdict = Verdict::Invalid;
    let page = super::page(&report);
    let (curves, part) = charts(&page, "<div><h2>Latency at full load</h2>");
    assert!(curves == 2 && part.contains("depth 16 <span class=\"tag bad\">INVALID"), "{curves}");
    check_nesting(&page);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = sample_page();
    for reference in
        ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"]
    {
        assert!(!page.contains(reference), "the page holds {reference}");
    }
}

#[test]
fn the_page_is_small() {
    let size = sample_page().len();
    assert!(size < 300_000, "{size} bytes");
}

#[test]
fn text_from_outside_is_escaped() {
    let page = sample_page();
    assert!(page.contains("/tmp/&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("4.93x faster |"), "quotes of the source are there");
}

#[test]
fn every_element_is_closed() {
    check_nesting(&sample_page());
}

#[test]
fn it_shows_every_layer_both_colour_schemes_and_both_widths() {
    let page = sample_page();
    for text in
        ["MIS-SPECIFIED", "CONFIRMED", "NOT REPRODUCIBLE HERE", "depth 16", "prefers-color-scheme:dark"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("class=\"wide\"").count(), page.matches("class=\"narrow\"").count());
}

#[test]
fn the_json_form_names_its_schema_and_its_verdicts() {
    let json = serde_json::to_value(sample::report()).unwrap();
    assert_eq!(json["schema"], "covet-bench.report/1");
    assert_eq!(json["overall"]["verdict"], "mis-specified");
    assert_eq!(json["layers"][1]["judgement"]["verdict"], "not-reproducible-here");
    assert_eq!(json["layers"][1]["reading"]["layer"], "http-loopback");
    assert_eq!(json["layers"][0]["runs"].as_array().unwrap().len(), 7);
    assert!(json["latency"]["clocks"][0]["percentiles"][0]["value_ns"].as_u64().unwrap() > 0);
}
