use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::verdict::Layer;

pub(super) fn claim() -> Claim {
    Claim::parse("claims/covetpy.toml", include_str!("../../../../claims/covetpy.toml")).unwrap()
}

fn reading(depth: Option<usize>) -> Reading {
    let layer = if depth.is_some() { Layer::HttpLoopback } else { Layer::RouteMatch };
    Reading { layer, depth, quantile: None }
}

fn evidence(lower: f64, upper: f64) -> Evidence {
    Evidence {
        reading: reading(Some(1)),
        figure: Some(Interval { estimate: (lower * upper).sqrt(), lower, upper, level: 0.95, runs: 5 }),
        runs: Vec::new(),
        holds: Some(0.5),
        failed_guards: Vec::new(),
        limit: Limit::Subject,
        feasibility: None,
        floor: None,
        unproven: Unproven::default(),
    }
}

pub(super) fn of_runs(claim: &Claim, runs: &[f64]) -> Evidence {
    let figure = Interval::of_runs(runs, 0.95).ok();
    let holds = figure.and_then(|figure| figure.probability_at_least(claim.threshold()));
    Evidence { figure, holds, runs: runs.to_vec(), ..evidence(1.0, 1.0) }
}

fn costs(server_ns: u64, generator_ns: u64) -> Option<Feasibility> {
    Some(Feasibility {
        server_cpu: Duration::from_nanos(server_ns),
        generator_cpu: Duration::from_nanos(generator_ns),
        cores: 2,
        traffic: None,
    })
}

#[test]
fn decisions() {
    let bar = claim().threshold();
    let base = |lower: f64, upper: f64| evidence(lower, upper);
    let cases: Vec<(&str, Evidence, Verdict, &str)> = vec![
        ("all above", base(2e6, 2.1e6), Verdict::Confirmed, "above the claim of 784,921"),
        ("at the bar", base(bar, bar * 1.1), Verdict::Confirmed, "within 5.0 % of the claim"),
        ("astride", base(bar - 1.0, bar + 1.0), Verdict::Inconclusive, "holds 745,675"),
        ("below, server-limited", base(3e5, 3.1e5), Verdict::Refuted, "At most 310,000"),
        (
            "below, generator-limited",
            Evidence { limit: Limit::Generator, ..base(3e5, 3.1e5) },
            Verdict::Inconclusive,
            "the generator was the limit",
        ),
        (
            "below, limit unknown",
            Evidence { limit: Limit::Unknown, ..base(3e5, 3.1e5) },
            Verdict::Inconclusive,
            "nothing shows",
        ),
        (
            "below, and no server could",
            Evidence { feasibility: costs(2_800, 1_900), ..base(3e5, 3.1e5) },
            Verdict::NotReproducibleHere,
            "2.20 + 1.49 cores; this machine has 2",
        ),
        (
            "below, though another server could",
            Evidence { feasibility: costs(200, 200), ..base(3e5, 3.1e5) },
            Verdict::Refuted,
            "of the claim",
        ),
        (
            "measured above what the arithmetic allows",
            Evidence { feasibility: costs(2_800, 1_900), ..base(2e6, 2.1e6) },
            Verdict::Confirmed,
            "above",
        ),
        ("one run", Evidence { figure: None, ..base(1.0, 2.0) }, Verdict::Inconclusive, "Too few runs"),
        (
            "a guard failed",
            Evidence { failed_guards: vec!["closure 0.58".into(), "errors".into()], ..base(2e6, 2.1e6) },
            Verdict::Invalid,
            "closure 0.58, and 1 more",
        ),
    ];
    for (name, evidence, verdict, words) in cases {
        let judgement = layer(&claim(), &evidence);
        assert_eq!(judgement.verdict, verdict, "{name}: {}", judgement.reason);
        assert!(judgement.reason.contains(words), "{name}: {:?} lacks {words:?}", judgement.reason);
        assert!(judgement.reason.ends_with('.'), "{name}");
    }
}

#[test]
fn a_claim_read_in_another_layer_is_mis_specified_whatever_was_measured() {
    let claim = claim();
    let mut own = evidence(30e6, 31e6);
    own.reading = reading(None);
    let slow = evidence(3e5, 3.1e5);
    let mut fast = evidence(2e6, 2.1e6);
    fast.reading = reading(Some(16));
    let judged = |own: Evidence| -> Judgement {
        let evidences = [own, slow.clone(), fast.clone()];
        overall(&claim, &evidences.map(|e| (e.clone(), layer(&claim, &e))))
    };
    let broken = Evidence { failed_guards: vec!["matches: 1 wrong".into()], ..own.clone() };
    let judgement = judged(broken);
    assert_eq!(judgement.verdict, Verdict::MisSpecified);
    assert!(judgement.reason.contains("one says nothing about the other"), "{}", judgement.reason);
    let judgement = judged(own);
    assert_eq!(judgement.verdict, Verdict::MisSpecified);
    assert!(
        judgement.reason.contains("100.0 times at depth 1 and 14.9 times at depth 16"),
        "{}",
        judgement.reason
    );
    assert_eq!(overall(&claim, &[]).verdict, Verdict::MisSpecified);
}

#[test]
fn without_a_change_of_layer_the_worst_judgement_decides() {
    let mut claim = claim();
    claim.read_as.truncate(1);
    let taken = claim.taken_in.as_mut().unwrap();
    (taken.layer, taken.depth) = (Layer::HttpLoopback, Some(1));
    let confirmed = evidence(2e6, 2.1e6);
    let mut invalid = evidence(2e6, 2.1e6);
    invalid.failed_guards.push("errors".into());
    for (evidences, verdict) in [
        (vec![confirmed.clone()], Verdict::Confirmed),
        (vec![invalid, confirmed], Verdict::Invalid),
        (vec![], Verdict::Inconclusive),
    ] {
        let layers: Vec<_> = evidences.into_iter().map(|e| (e.clone(), layer(&claim, &e))).collect();
        assert_eq!(overall(&claim, &layers).verdict, verdict);
    }
}

#[test]
fn one_run_apart_counts_and_is_named() {
    let claim = claim();
    let judgement = layer(&claim, &of_runs(&claim, &[2.00e6, 2.01e6, 1.99e6, 1.60e6, 2.00e6]));
    assert_eq!(judgement.verdict, Verdict::Confirmed, "{}", judgement.reason);
    assert!(judgement.reason.contains("one run of 5 lies apart, at 1,600,000, and counts"), "{judgement:?}");
    assert!(judgement.probability.unwrap() > 0.99);
    // The interval lies above the claim still, and that run below it.
    let judgement = layer(&claim, &of_runs(&claim, &[2.00e6, 2.01e6, 1.99e6, 2.02e6, 2.00e6, 2.01e6, 7.0e5]));
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    assert!(judgement.reason.contains("a run on the other; one run of 7"), "{judgement:?}");
    // So far apart that what it means for the mean is open.
    let judgement = layer(&claim, &of_runs(&claim, &[8.1e5, 8.0e5, 8.2e5, 3.0e5, 8.1e5]));
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    assert!(judgement.reason.contains("one run of 5 lies apart"), "{judgement:?}");
}

#[test]
fn two_modes_are_both_told_and_decide_only_together() {
    let claim = claim();
    let on_both_sides = [5.00e5, 9.02e5, 5.01e5, 8.98e5, 4.99e5, 9.00e5];
    let judgement = layer(&claim, &of_runs(&claim, &on_both_sides));
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    for words in ["two modes, 499,999 [", " and 899,999 [", "(3 runs)"] {
        assert!(judgement.reason.contains(words), "{} lacks {words}", judgement.reason);
    }
    let above = on_both_sides.map(|rate| rate * 4.0);
    let judgement = layer(&claim, &of_runs(&claim, &above));
    assert_eq!(judgement.verdict, Verdict::Confirmed, "{}", judgement.reason);
    assert!(judgement.reason.contains("both lie above the claim"), "{}", judgement.reason);
    assert_eq!(judgement.probability, None, "that would be of the mean");
    let below = on_both_sides.map(|rate| rate / 4.0);
    let judgement = layer(&claim, &of_runs(&claim, &below));
    assert_eq!(judgement.verdict, Verdict::Refuted);
    assert_eq!(judgement.probability, None);
    for words in
        ["two modes, 125,000 [", " and 225,000 [", "In the better one: At most 22", ": 28.7 % of the claim"]
    {
        assert!(judgement.reason.contains(words), "{} lacks {words}", judgement.reason);
    }
}

#[test]
fn what_was_measured_under_other_conditions_proves_nothing_of_these() {
    let claim = claim();
    let says = |text: &str| vec![format!("The claim is of {text}.")];
    let judged = |lower: f64, good: Vec<String>, bad: Vec<String>| {
        let unproven = Unproven { good, bad };
        layer(&claim, &Evidence { unproven, ..evidence(lower, lower * 1.05) })
    };
    let (high, low) = (2e6, 3e5);
    let easier = judged(high, says("HTTPS"), vec![]);
    assert_eq!((easier.verdict, easier.probability), (Verdict::Inconclusive, None));
    assert!(easier.reason.starts_with("The claim is of HTTPS. The whole interval"), "{easier:?}");
    let harder = judged(low, vec![], says("32 cores"));
    assert_eq!((harder.verdict, harder.probability), (Verdict::NotReproducibleHere, None));
    assert!(harder.reason.starts_with("The claim is of 32 cores. At most 315,000"), "{harder:?}");
    // It holds although it was made harder, or does not although it was made easier.
    assert_eq!(judged(high, vec![], says("32 cores")).verdict, Verdict::Confirmed);
    assert_eq!(judged(low, says("HTTPS"), vec![]).verdict, Verdict::Refuted);
}

fn target(quantity: &str, value: f64, unit: &str) -> Claim {
    let quantile = if quantity == "latency" { "quantile = 0.99\n" } else { "" };
    let text = format!(
        "schema = 1\nname = \"n\"\nquantity = \"{quantity}\"\nvalue = {value:?}\nunit = \"{unit}\"\n\
         tolerance = 0\n[source]\nproject = \"p\"\ndocument = \"d\"\nquotes = []\n\
         [measure]\nconnections = 10\n\
         [[read_as]]\nlayer = \"http-loopback\"\ndepth = 1\n{quantile}why = \"w\"\n"
    );
    Claim::parse("x.toml", &text).unwrap()
}

#[test]
fn what_must_be_small_is_judged_the_other_way_round() {
    let latency = target("latency", 10.0, "ms");
    let with = |lower: f64, upper: f64, floor: Option<f64>, limit: Limit| {
        layer(&latency, &Evidence { floor, limit, ..evidence(lower, upper) })
    };
    let small = Some(0.001);
    let confirmed = with(0.004, 0.006, small, Limit::Subject);
    assert_eq!(confirmed.verdict, Verdict::Confirmed);
    assert!(confirmed.reason.contains("[4.00 ms, 6.00 ms] lies below the claim of 10.0 ms"), "{confirmed:?}");
    assert_eq!(with(0.009, 0.011, small, Limit::Subject).verdict, Verdict::Inconclusive);
    let refuted = with(0.012, 0.014, small, Limit::Subject);
    assert_eq!(refuted.verdict, Verdict::Refuted);
    assert!(refuted.reason.contains("a server that does nothing shows 1.00 ms"), "{refuted:?}");
    assert_eq!(with(0.012, 0.014, None, Limit::Unknown).verdict, Verdict::Inconclusive);
    let machine = with(0.012, 0.014, Some(0.011), Limit::Unknown);
    assert_eq!(machine.verdict, Verdict::NotReproducibleHere);
    assert!(machine.reason.starts_with("Even a server that does nothing"), "{machine:?}");

    let memory = target("memory", 500.0, "MB");
    assert_eq!(layer(&memory, &evidence(501e6, 502e6)).verdict, Verdict::Refuted);
    assert_eq!(layer(&memory, &evidence(401e6, 402e6)).verdict, Verdict::Confirmed);
    let errors = target("errors", 1.0, "%");
    assert_eq!(layer(&errors, &evidence(0.0, 0.0002)).verdict, Verdict::Confirmed);
    assert_eq!(layer(&errors, &evidence(0.02, 0.03)).verdict, Verdict::Refuted);
}

#[test]
fn a_target_that_leaves_open_what_decides_is_mis_specified() {
    let claim = target("latency", 10.0, "ms");
    let mut fast = evidence(0.004, 0.006);
    fast.reading.quantile = Some(0.5);
    let slow = Evidence { floor: Some(0.001), ..evidence(0.012, 0.014) };
    let judged = |evidences: Vec<Evidence>| -> Judgement {
        let layers: Vec<_> = evidences.into_iter().map(|e| (e.clone(), layer(&claim, &e))).collect();
        overall(&claim, &layers)
    };
    let both = judged(vec![fast.clone(), slow.clone()]);
    assert_eq!(both.verdict, Verdict::MisSpecified);
    assert!(both.reason.contains("confirmed as HTTP over loopback, depth 1, p50"), "{both:?}");
    let broken = Evidence { failed_guards: vec!["closure".into()], ..slow.clone() };
    assert_eq!(judged(vec![fast.clone(), slow.clone(), broken]).verdict, Verdict::Invalid);
    assert_eq!(judged(vec![fast]).verdict, Verdict::Confirmed);
    assert_eq!(judged(vec![slow]).verdict, Verdict::Refuted);
}

proptest! {
    #[test]
    fn confirmed_and_refuted_never_overlap(lower in 1.0..3e6f64, width in 0.0..1e6f64) {
        let claim = claim();
        let upper = lower + width;
        let verdict = layer(&claim, &evidence(lower, upper)).verdict;
        match verdict {
            Verdict::Confirmed => prop_assert!(lower >= claim.threshold()),
            Verdict::Refuted => prop_assert!(upper < claim.threshold()),
            _ => prop_assert!(lower < claim.threshold() && upper >= claim.threshold()),
        }
    }
}
