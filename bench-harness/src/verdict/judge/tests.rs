use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::verdict::Layer;

fn claim() -> Claim {
    Claim::parse("claims/covetpy.toml", include_str!("../../../../claims/covetpy.toml")).unwrap()
}

fn reading(depth: Option<usize>) -> Reading {
    Reading { layer: if depth.is_some() { Layer::HttpLoopback } else { Layer::RouteMatch }, depth }
}

fn evidence(lower: f64, upper: f64) -> Evidence {
    Evidence {
        reading: reading(Some(1)),
        rate: Some(Interval { estimate: (lower * upper).sqrt(), lower, upper, level: 0.95, runs: 5 }),
        strays: 0,
        failed_guards: Vec::new(),
        limit: Limit::Subject,
        feasibility: None,
    }
}

fn costs(server_ns: u64, generator_ns: u64) -> Option<Feasibility> {
    Some(Feasibility {
        server_cpu: Duration::from_nanos(server_ns),
        generator_cpu: Duration::from_nanos(generator_ns),
        cores: 2,
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
        ("one run", Evidence { rate: None, ..base(1.0, 2.0) }, Verdict::Inconclusive, "Too few runs"),
        (
            "two modes",
            Evidence { strays: 1, ..base(2e6, 2.1e6) },
            Verdict::Inconclusive,
            "1 of 5 runs differ",
        ),
        (
            "a guard failed",
            Evidence { failed_guards: vec!["closure 0.58".into(), "errors".into()], ..base(2e6, 2.1e6) },
            Verdict::Invalid,
            "closure 0.58 (and 1 more)",
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
    let layers: Vec<_> = [own, slow, fast].into_iter().map(|e| (e.clone(), layer(&claim, &e))).collect();
    let judgement = overall(&claim, &layers);
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
    claim.taken_in.layer = Layer::HttpLoopback;
    claim.taken_in.depth = Some(1);
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
