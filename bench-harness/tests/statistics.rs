//! The statistics against R, scipy, statsmodels and pymannkendall, on the fixtures that `scripts/stat-fixtures.py` wrote.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

use covet_bench::stats::distance::{
    Weighted, kolmogorov_smirnov, kolmogorov_smirnov_p, superiority, wasserstein,
};
use covet_bench::stats::modes::{limit, modes};
use covet_bench::stats::trend::{MannKendall, hamed_rao, slope};
use covet_bench::stats::warmup::{WarmUp, mser5};
use covet_bench::stats::{LogRatio, Scalability, effective, harrell_davis, holm, order, permutation, power};
use serde_json::Value;

fn fixtures(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap();
    let cases = all[name].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn pairs(value: &Value) -> Vec<(f64, f64)> {
    value.as_array().unwrap().iter().map(|pair| (number(&pair[0]), number(&pair[1]))).collect()
}

/// Equal to `tolerance`, in relation to the expected number where that is above 1.
#[track_caller]
fn close(got: f64, want: &Value, tolerance: f64) {
    let want = number(want);
    assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{got} is not {want}");
}

fn check_ratio(ratio: &LogRatio, case: &Value, margin: f64) {
    let interval = ratio.interval(0.95).unwrap();
    close(interval.estimate, &case["estimate"], 1e-9);
    close(interval.lower, &case["lower"], 1e-7);
    close(interval.upper, &case["upper"], 1e-7);
    close(ratio.p_value(), &case["p"], 1e-8);
    close(ratio.equivalence(margin), &case["equivalence"], 1e-8);
}

#[test]
fn ratios_and_equivalence_agree_with_scipy_and_statsmodels() {
    for case in fixtures("ratios") {
        let (a, b, margin) = (numbers(&case["a"]), numbers(&case["b"]), number(&case["margin"]));
        check_ratio(&LogRatio::unpaired(&b, &a).unwrap(), &case["unpaired"], margin);
        if case["paired"].is_object() {
            check_ratio(&LogRatio::paired(&b, &a).unwrap(), &case["paired"], margin);
            let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b.ln() - a.ln()).collect();
            close(permutation::sign_flip(&differences), &case["paired"]["sign_flip"], 1e-12);
        }
    }
}

#[test]
fn relabelling_agrees_with_scipy() {
    for case in fixtures("relabellings") {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let all: Vec<f64> = a.iter().chain(&b).copied().collect();
        let difference = |left: &[bool]| {
            let mean = |side: bool| {
                let of_side: Vec<f64> =
                    all.iter().zip(left).filter(|(_, l)| **l == side).map(|(v, _)| *v).collect();
                of_side.iter().sum::<f64>() / of_side.len() as f64
            };
            (mean(true) - mean(false)).abs()
        };
        close(permutation::relabel(a.len(), b.len(), difference), &case["p"], 1e-12);
    }
}

#[test]
fn modes_agree_with_the_best_split_and_their_limits_with_simulation() {
    let all: Value = serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap();
    for case in all["modes"]["cases"].as_array().unwrap() {
        let runs = numbers(&case["runs"]);
        let expected = number(&case["ratio"]).ln_1p() > limit(runs.len());
        let found = modes(&runs);
        assert_eq!(found.is_some(), expected, "{case}");
        let Some(found) = found else { continue };
        close(found.low, &case["low"], 1e-9);
        close(found.high, &case["high"], 1e-9);
        assert_eq!(Some(found.low_runs.len() as u64), case["low_count"].as_u64());
    }
    for (runs, simulated) in all["modes"]["limits"].as_object().unwrap() {
        let ours = limit(runs.parse().unwrap());
        assert!((ours / number(simulated) - 1.0).abs() < 0.02, "{runs} runs: {ours} is not {simulated}");
    }
    assert!((limit(41) - limit(40)).abs() < 0.02 && limit(22) < limit(20) && limit(22) > limit(25));
}

#[test]
fn series_agree_with_r_scipy_and_pymannkendall() {
    for case in fixtures("series") {
        let values = numbers(&case["values"]);
        let time = number(&case["autocorrelation_time"]).max(1.0);
        close(effective::autocorrelation_time(&values), &time.into(), 1e-9);
        close(slope(&values).unwrap(), &case["slope"], 1e-9);
        let (test, want) = (MannKendall::of(&values).unwrap(), &case["mann_kendall"]);
        close(test.variance, &want["variance"], 1e-9);
        close(test.z, &want["z"], 1e-9);
        close(test.p, &want["p"], 1e-9);
        close(test.variance * hamed_rao(&values).unwrap(), &case["hamed_rao"]["variance"], 1e-9);
        let dependent = MannKendall::of_dependent(&values).unwrap();
        assert!(
            dependent.variance >= test.variance.max(number(&case["hamed_rao"]["variance"])) * (1.0 - 1e-9)
        );
        close(MannKendall::of(&values).unwrap().s, &case["mann_kendall"]["s"], 0.0);
        let expected = if case["mser5_steady"] == true {
            WarmUp::Ends { discard: case["mser5"].as_u64().unwrap() as usize }
        } else {
            WarmUp::NeverSteady
        };
        assert_eq!(mser5(&values), expected, "{}", case["name"]);
    }
}

#[test]
fn harrell_davis_agrees_with_scipy_and_hmisc() {
    for case in fixtures("harrell_davis") {
        let (sample, q) = (numbers(&case["sample"]), number(&case["q"]));
        let found = harrell_davis::quantile(&sample, q).unwrap();
        close(found.value, &case["value"], 1e-8);
        if case["error"].is_number() {
            close(found.value, &case["value_r"], 1e-8);
            close(found.error, &case["error"], 1e-7);
        }
    }
}

#[test]
fn harrell_davis_of_grouped_values_agrees_with_scipy() {
    for case in fixtures("harrell_davis_grouped") {
        let groups: Vec<(f64, u64)> =
            pairs(&case["groups"]).into_iter().map(|(value, count)| (value, count as u64)).collect();
        let found = harrell_davis::grouped(groups.into_iter(), number(&case["q"])).unwrap();
        close(found, &case["value"], 1e-8);
    }
}

#[test]
fn order_statistics_agree_with_scipy() {
    for case in fixtures("order") {
        let (n, q) = (case["n"].as_u64().unwrap(), number(&case["q"]));
        let found = order::ranks(q, n, 0.95).unwrap();
        let (lower, upper) = (case["lower"].as_u64().unwrap(), case["upper"].as_u64().unwrap());
        assert_eq!((found.lower, found.upper), (lower, upper), "{case}");
    }
}

#[test]
fn distances_agree_with_scipy() {
    for case in fixtures("distances") {
        let (a, b) = (Weighted::new(pairs(&case["a"])), Weighted::new(pairs(&case["b"])));
        let distance = kolmogorov_smirnov(&a, &b).unwrap();
        close(distance, &case["ks"], 1e-12);
        let count = |side: &Value| pairs(side).iter().map(|pair| pair.1).sum::<f64>();
        close(kolmogorov_smirnov_p(distance, count(&case["a"]), count(&case["b"])), &case["ks_p"], 1e-9);
        close(wasserstein(&a, &b).unwrap(), &case["wasserstein"], 1e-9);
        close(superiority(&a, &b).unwrap(), &case["superiority"], 1e-12);
    }
}

#[test]
fn several_tests_at_once_agree_with_statsmodels() {
    for case in fixtures("holm") {
        for (got, want) in holm::adjust(&numbers(&case["p"])).iter().zip(case["adjusted"].as_array().unwrap())
        {
            close(*got, want, 1e-12);
        }
    }
}

#[test]
fn the_runs_that_a_question_takes_agree_with_scipy() {
    for case in fixtures("power") {
        let of = |name: &str| number(&case[name]);
        let found = power::pairs(of("deviation"), of("effect"), of("a"), of("power"));
        assert_eq!(found, case["pairs"].as_u64(), "{case}");
    }
}

#[test]
fn the_power_of_the_t_test_agrees_with_r_and_statsmodels() {
    use power::Design;
    let mut seen = 0;
    for case in fixtures("t_power") {
        let of = |name: &str| number(&case[name]);
        for (name, design) in [("paired", Design::Paired), ("apart", Design::Apart)] {
            let found = power::runs(of("deviation"), of("effect"), of("a"), of("power"), design);
            assert_eq!(found, case[name].as_u64(), "{name} {case}");
        }
        for one in case["by_runs"].as_array().unwrap() {
            let design = if one["design"] == "paired" { Design::Paired } else { Design::Apart };
            let runs = one["runs"].as_u64().unwrap();
            let size = of("effect").ln_1p();
            let found = power::power(size, of("deviation"), of("a"), runs, design).unwrap();
            close(found, &one["found"], 1e-6);
            seen += 1;
        }
    }
    assert!(seen >= 50, "{seen}");
}

#[test]
fn the_scalability_law_is_fitted_as_scipy_fits_it() {
    for case in fixtures("scalability") {
        let points = pairs(&case["points"]);
        let fit = Scalability::fit(&points).unwrap();
        assert!((fit.single / number(&case["single"]) - 1.0).abs() < 1e-5, "{fit:?} {case}");
        close(fit.contention, &case["contention"], 1e-6);
        close(fit.coherency, &case["coherency"], 1e-7);
        let squares: f64 = points.iter().map(|(n, x)| (x - fit.at(*n)).powi(2)).sum();
        assert!(squares <= number(&case["squares"]) * (1.0 + 1e-8), "{squares} {case}");
    }
}
