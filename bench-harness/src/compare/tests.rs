use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::bundle::sample::{hist, of, run};

/// A side whose runs have these rates, and times around these nanoseconds.
fn side(name: &str, runs: &[(u64, u64)]) -> Side {
    let runs = runs.iter().map(|&(rate, nanos)| of(rate, &hist(rate, nanos))).collect();
    Side { name: name.to_owned(), runs }
}

fn before() -> Side {
    side("before", &[(10_000, 1_000_000), (10_100, 1_010_000), (9_900, 990_000), (10_050, 1_000_000)])
}

fn after() -> Side {
    side("after", &[(9_000, 1_200_000), (9_100, 1_190_000), (8_900, 1_210_000), (9_050, 1_200_000)])
}

fn gate(text: &str) -> Gate {
    text.parse().unwrap()
}

#[test]
fn a_change_is_found_in_every_number_and_quantile() {
    let found = Comparison::of(&before(), &after(), MARGIN, &[]).unwrap();
    let metric = |name: &str| found.metrics.iter().find(|metric| metric.name == name).unwrap();
    assert_eq!(metric("rate").finding, Finding::Lower);
    assert_eq!(metric("p99").finding, Finding::Higher);
    assert!((metric("p99").ratio - 1.2).abs() < 0.01, "{:?}", metric("p99"));
    assert!(found.metrics.iter().all(|metric| metric.name != "p99.99"), "40,000 requests, 10,000 a run");
    assert!(found.shift.iter().all(|point| (point.ratio - 1.2).abs() < 0.01));
    let distance = found.distance.as_ref().unwrap();
    assert!((distance.wasserstein_ns / 200_000.0 - 1.0).abs() < 0.05, "{distance:?}");
    assert!(distance.superiority > 0.6);
    let delta = distance.cliffs_delta;
    assert!((delta - (2.0 * distance.superiority - 1.0)).abs() < 1e-12 && delta > 0.2, "{distance:?}");
    // Two of the 70 ways to divide eight runs separate them so well.
    assert_eq!(distance.p, Some(2.0 / 70.0));
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}

#[test]
fn the_same_is_equivalent() {
    let found = Comparison::of(&before(), &before(), 0.05, &[]).unwrap();
    assert!(found.metrics.iter().all(|metric| metric.finding == Finding::Equivalent), "{:?}", found.metrics);
    assert!(found.distance.unwrap().p.unwrap() > 0.5);
}

#[test]
fn few_runs_have_a_p_value_of_their_own_by_the_independent_requests_that_they_are_worth() {
    let known = |mut side: Side, effective: f64| {
        let within = json!({ "p50": {
            "dispersion": 10_000.0 / effective, "effective_requests": effective, "borne": true,
            "lower_ns": 1, "upper_ns": 2,
        } });
        side.runs.iter_mut().for_each(|run| drop(run.other.insert("within_run".to_owned(), within.clone())));
        side
    };
    let one = |nanos: u64, effective: f64| known(side("one", &[(10_000, nanos)]), effective);
    let p = |a: &Side, b: &Side| Comparison::of(a, b, MARGIN, &[]).unwrap().distance.unwrap().p_of_these_runs;
    let (a, b) = (one(1_000_000, 1000.0), one(1_050_000, 1000.0));
    // All of the first and 0.975 / 1.05 of the second are at or below 1.5 ms: special.kolmogorov(0.0714 * sqrt(500)).
    let found = p(&a, &b).unwrap();
    assert!((found - 0.0122).abs() < 0.002, "{found}");
    assert!(p(&one(1_000_000, 10_000.0), &one(1_050_000, 10_000.0)).unwrap() < 1e-4);
    assert_eq!(p(&a, &a), Some(1.0));
    assert_eq!(p(&a, &side("another", &[(10_000, 1_000_000)])), None, "nothing is known of its requests");
    assert_eq!(p(&known(before(), 1000.0), &known(after(), 1000.0)), None, "there are runs enough");
    let page = Comparison::of(&a, &b, MARGIN, &[]).unwrap();
    assert!(page.to_html(&a, &b).unwrap().contains("of these runs and no others"));
}

#[test]
fn gates_pass_fail_and_stay_open() {
    let verdict = |text: &str| gate(text).judge(&before(), &after()).verdict;
    assert_eq!(verdict("p99:+30%"), GateVerdict::Passed);
    assert_eq!(verdict("p99:+5%"), GateVerdict::Failed);
    assert_eq!(verdict("p99:+20%"), GateVerdict::Inconclusive);
    assert_eq!(verdict("p99:-5%"), GateVerdict::Failed);
    assert_eq!(verdict("rate:-20%"), GateVerdict::Passed);
    assert_eq!(verdict("rate:-2%"), GateVerdict::Failed);
    assert_eq!(verdict("rate:+0%"), GateVerdict::Failed);
    assert_eq!(verdict("errors:+0.1%"), GateVerdict::Passed);
    assert_eq!(verdict("p99.99:+5%"), GateVerdict::Inconclusive, "not borne");
    assert_eq!(verdict("lateness.p99:+5%"), GateVerdict::Inconclusive, "not recorded");
    let found = Comparison::of(&before(), &after(), MARGIN, &[gate("p99:+5%"), gate("rate:-20%")]).unwrap();
    assert_eq!(found.verdict(), GateVerdict::Failed);
}

#[test]
fn errors_are_counted_in_points() {
    let mut worse = after();
    for run in &mut worse.runs {
        run.errors_total = 100;
        run.requests.insert("failed".to_owned(), 100);
    }
    let result = gate("errors:+0.5%").judge(&before(), &worse);
    assert_eq!(result.verdict, GateVerdict::Failed);
    assert!(result.detail.contains("1.1 % against 0 %"), "{}", result.detail);
    assert_eq!(gate("errors:+2%").judge(&before(), &worse).verdict, GateVerdict::Passed);
}

#[test]
fn gates_that_make_no_sense_are_refused() {
    for text in ["p99", "p99:5%", "p99:+5", "p99:+x%", "p99:-100%", "nothing:+5%", ":+5%", "p99:+inf%"] {
        assert!(text.parse::<Gate>().is_err(), "{text}");
    }
    assert_eq!(gate(" rps : -2 %").change, -0.02);
}

#[test]
fn one_run_a_side_has_no_interval_and_says_so() {
    let (a, b) = (side("a", &[(10_000, 1_000_000)]), side("b", &[(10_000, 1_100_000)]));
    let found = Comparison::of(&a, &b, MARGIN, &[gate("p99:+5%")]).unwrap();
    assert!(found.metrics.iter().all(|metric| metric.interval.is_none()));
    assert!(found.warnings.iter().any(|text| text.contains("one run on a side")), "{:?}", found.warnings);
    assert_eq!(found.verdict(), GateVerdict::Failed);
    assert!(found.distance.unwrap().p.is_none());
}

#[test]
fn one_side_with_one_run_is_as_little_as_two() {
    let one = side("one", &[(10_000, 1_000_000)]);
    for (a, b) in [(before(), one.clone()), (one.clone(), before())] {
        let found = Comparison::of(&a, &b, MARGIN, &[]).unwrap();
        assert!(found.warnings.iter().any(|text| text.contains("one run on a side")), "{:?}", found.warnings);
    }
}

#[test]
fn only_four_runs_of_each_side_have_a_p_value_by_their_divisions() {
    let four = before();
    let three = Side { name: "three".to_owned(), runs: after().runs[..3].to_vec() };
    let p = |a: &Side, b: &Side| Comparison::of(a, b, MARGIN, &[]).unwrap().distance.unwrap().p;
    assert_eq!((p(&four, &three), p(&three, &four), p(&three, &three)), (None, None, None));
    assert!(p(&four, &four).is_some());
}

#[test]
fn what_one_number_of_five_shows_by_chance_is_not_found() {
    let faster =
        side("faster", &[(10_180, 1_000_000), (10_282, 1_010_000), (10_078, 990_000), (10_231, 1_000_000)]);
    let found = Comparison::of(&before(), &faster, MARGIN, &[]).unwrap();
    let rate = found.metrics.iter().find(|metric| metric.name == "rate").unwrap();
    // By itself it would be: scipy.stats.ttest_ind of the logarithms has p = 0.026.
    assert!(rate.interval.unwrap().lower > 1.0, "{rate:?}");
    assert_eq!(rate.finding, Finding::Inconclusive, "{rate:?}");
    assert!(rate.p.is_some_and(|p| p > 0.08 && p < 0.2), "of five numbers, {rate:?}");
}

#[test]
fn conditions_that_differ_are_named() {
    let (a, mut b) = (before(), after());
    assert_eq!(differences(&a, &b), []);
    for run in &mut b.runs {
        run.conditions.insert("url".to_owned(), json!("http://other:9/plaintext"));
        run.conditions.insert("seed".to_owned(), json!(7));
    }
    assert_eq!(differences(&a, &b), [], "host, port and seed may differ");
    b.runs[1].conditions.insert("pipeline".to_owned(), json!(16));
    b.runs[2].conditions.insert("pipeline".to_owned(), json!(16));
    b.runs[3].conditions.insert("url".to_owned(), json!("http://other:9/json"));
    b.runs[3].conditions.insert("think".to_owned(), json!("5ms"));
    b.runs[3].conditions.insert("loop".to_owned(), json!({ "model": "open", "rate": 500.0 }));
    let found: Vec<String> = differences(&a, &b).iter().map(ToString::to_string).collect();
    let others = found.iter().filter(|one| !one.starts_with("loop is "));
    assert!(others.eq([
        "pipeline is 1 and 16",
        "path is /plaintext and /json",
        "think is not known and 5ms"
    ]));
    assert!(found.iter().any(|one| one.ends_with("and open, rate 500.0")), "as people read it: {found:?}");
}

#[test]
fn two_modes_and_failed_guards_are_warned_of() {
    let mut modal = side(
        "modal",
        &[(10_000, 1_000_000), (10_050, 1_000_000), (12_000, 900_000), (9_990, 1_000_000), (12_020, 900_000)],
    );
    modal.runs[0].guards[0].outcome = "warning".to_owned();
    let found = Comparison::of(&before(), &modal, MARGIN, &[]).unwrap();
    assert!(found.warnings.iter().any(|text| text.contains("two modes, 3 around")), "{:?}", found.warnings);
    assert!(found.warnings.iter().any(|text| text.starts_with("modal run 1: responses")));
}

#[test]
fn percentiles_alone_compare_without_distributions() {
    let mut foreign = after();
    for run in &mut foreign.runs {
        run.response.hdr_v2_base64 = None;
    }
    let found = Comparison::of(&before(), &foreign, MARGIN, &[]).unwrap();
    assert!(found.distance.is_none() && found.shift.is_empty());
    assert!(found.metrics.iter().any(|metric| metric.name == "p99"));
}

#[test]
fn every_form_names_both_sides_and_the_gate() {
    let found = Comparison::of(&before(), &after(), MARGIN, &[gate("p99:+5%")]).unwrap();
    let (text, markdown) = (found.to_text(), found.to_markdown());
    let json = serde_json::to_value(&found).unwrap();
    for form in [&text, &markdown] {
        for part in ["before", "after", "p99", "+20.", "p99:+5%", "higher"] {
            assert!(form.contains(part), "{part} in\n{form}");
        }
    }
    assert!(text.contains("FAILED") && markdown.contains("❌ failed"), "{text}{markdown}");
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["gates"][0]["verdict"], "failed");
    assert_eq!(json["metrics"][0]["finding"], "lower");
}

#[test]
fn runs_within_a_percent_do_not_decide() {
    let a = Side { name: "a".to_owned(), runs: vec![run(5_000, 1_000_000), run(5_400, 1_010_000)] };
    let b = Side { name: "b".to_owned(), runs: vec![run(5_100, 1_005_000), run(5_300, 1_000_000)] };
    let found = Comparison::of(&a, &b, MARGIN, &[]).unwrap();
    assert_eq!(found.metrics[0].finding, Finding::Inconclusive, "{:?}", found.metrics[0]);
}

#[test]
fn the_text_fits_eighty_columns() {
    let (mut a, mut b) = (before(), after());
    (a.name, b.name) = ("results/2026-11-28/before".to_owned(), "results/2026-11-28/after".to_owned());
    let found = Comparison::of(&a, &b, MARGIN, &[gate("p99:+5%"), gate("lateness.p99:+5%")]).unwrap();
    let text = found.to_text();
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(text.contains("…1-28/before"), "{text}");
}

#[test]
fn facts_of_two_machines_that_differ_are_told() {
    let facts = |governor: &str, load: &str| {
        [("governor", governor), ("load average", load)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    };
    let found = environment(&facts("performance", "1"), &facts("powersave", "2"));
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["governor is performance and powersave"]
    );
    assert_eq!(environment(&facts("a", "1"), &BTreeMap::new())[0].b, "not known");
}

#[test]
fn the_page_has_every_part_and_needs_nothing_else() {
    let (mut a, b) = (before(), after());
    a.name = "<script>".to_owned();
    let mut found = Comparison::of(&a, &b, MARGIN, &[gate("p99:+5%")]).unwrap();
    found.differences =
        vec![Difference { name: "governor".into(), a: "performance".into(), b: "<b>".into() }];
    let page = found.to_html(&a, &b).unwrap();
    for part in [
        "is slower",
        "class=\"band\"",
        "class=\"inner\"",
        "class=\"ribbon s1\"",
        "Kolmogorov-Smirnov D",
        "Wasserstein",
        "Cliff&#39;s delta",
        "p99:+5%",
        ">failed<",
        "governor",
        "As a table",
        "&lt;b&gt;",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for reference in ["<script", "//", "src=", "href=", "url(", "@import", "<link", "NaN"] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.len() < 300_000, "{}", page.len());
    let one = Side { name: "one".to_owned(), runs: vec![run(5_000, 1_000_000)] };
    let found = Comparison::of(&one, &one, MARGIN, &[]).unwrap();
    let page = found.to_html(&one, &one).unwrap();
    assert!(page.contains("No bands: two or more runs") && !page.contains("class=\"band\""));
    assert!(page.contains("No condition differs"));
}

#[test]
fn the_page_of_many_runs_has_ribbons_instead_of_lines() {
    let many = |name: &str, nanos| Side { name: name.to_owned(), runs: vec![run(5_000, nanos); 11] };
    let (a, b) = (many("a", 1_000_000), many("b", 1_100_000));
    let found = Comparison::of(&a, &b, MARGIN, &[]).unwrap();
    let page = found.to_html(&a, &b).unwrap();
    assert!(page.len() < 100_000 && !page.contains("class=\"run s0\""), "{}", page.len());
    assert!(page.contains("class=\"ribbon s0\""));
}

#[test]
fn a_side_that_is_invalid_is_said_to_prove_nothing_before_anything_else() {
    let mut bad = after();
    bad.runs[2].valid = false;
    let guard = |name: &str, outcome: &str| crate::bundle::GuardDocument {
        name: name.to_owned(),
        outcome: outcome.to_owned(),
        detail: "time was lost".to_owned(),
    };
    bad.runs[2].guards = vec![guard("lateness", "warning"), guard("closure", "failed")];
    let gates = [gate("p99:+50%")];
    let found = Comparison::of(&before(), &bad, MARGIN, &gates).unwrap();
    let said = "after has a run that is INVALID: closure";
    assert_eq!(found.invalid.as_deref(), Some(said));
    let text = found.to_text();
    assert!(text.starts_with(&format!("INVALID    {said}")), "{text}");
    let markdown = found.to_markdown();
    assert!(markdown.lines().nth(2).unwrap().starts_with(&format!("**INVALID** {said}")), "{markdown}");
    let page = found.to_html(&before(), &bad).unwrap();
    assert!(page.contains(&format!("<strong>INVALID</strong>{said}")), "{page}");
    assert!(page.contains("class=\"void\"") && !page.contains("Every gate holds"));
    let good = Comparison::of(&before(), &after(), MARGIN, &gates).unwrap();
    assert!(
        good.invalid.is_none() && good.to_html(&before(), &after()).unwrap().contains("Every gate holds")
    );
}
