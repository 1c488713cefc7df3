//! How often a verdict is wrong, by simulation: deterministic, so that the shares are the same on every machine.

use super::tests::{claim, of_runs};
use super::*;
use crate::clock::Random;

const EXPERIMENTS: u64 = 4000;

fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

/// Shares of verdicts on five runs around `truth` times the bar, each multiplied by what `disturb` makes of it.
fn verdicts(
    truth: f64,
    count: usize,
    seed: u64,
    disturb: impl Fn(usize, &mut Random) -> f64,
) -> impl Fn(Verdict) -> f64 {
    let claim = claim();
    let mut random = Random::new(seed, 0);
    let made: Vec<Verdict> = (0..EXPERIMENTS)
        .map(|_| {
            let runs: Vec<f64> = (0..count)
                .map(|run| {
                    let noise = (0.02 * normal(&mut random)).exp();
                    claim.threshold() * truth * noise * disturb(run, &mut random)
                })
                .collect();
            layer(&claim, &of_runs(&claim, &runs)).verdict
        })
        .collect();
    move |verdict| made.iter().filter(|made| **made == verdict).count() as f64 / EXPERIMENTS as f64
}

#[test]
fn undisturbed_runs_keep_the_promised_level() {
    for count in [3, 5, 7, 10] {
        // The truth lies at the bar: each side may err in 2.5 % of the experiments.
        let share = verdicts(1.0, count, 1, |_, _| 1.0);
        let (yes, no) = (share(Verdict::Confirmed), share(Verdict::Refuted));
        assert!((0.015..=0.035).contains(&yes), "{count} runs: confirmed {yes}");
        assert!((0.015..=0.035).contains(&no), "{count} runs: refuted {no}");
    }
}

#[test]
fn one_disturbed_run_never_makes_a_false_verdict_and_seldom_hides_a_clear_one() {
    let slow = |depth: f64| move |run: usize, _: &mut Random| if run == 0 { depth } else { 1.0 };
    for depth in [0.90, 0.75, 0.5] {
        // Without the disturbance the server keeps the claim, by 1 %: that must not be refuted.
        let refuted = verdicts(1.01, 5, 2, slow(depth))(Verdict::Refuted);
        assert!(refuted < 0.01, "a run at {depth}: refuted {refuted}");
        // It does not keep it, by 1 %: that must not be confirmed.
        let confirmed = verdicts(0.99, 5, 3, slow(depth))(Verdict::Confirmed);
        assert!(confirmed < 0.01, "a run at {depth}: confirmed {confirmed}");
    }
    // It keeps it by half: one disturbed run must not make that undecided, unless it was disturbed by half itself.
    for (depth, least) in [(0.90, 0.99), (0.75, 0.98)] {
        let confirmed = verdicts(1.5, 5, 4, slow(depth))(Verdict::Confirmed);
        assert!(confirmed >= least, "a run at {depth}: confirmed {confirmed}");
    }
    let undecided = verdicts(1.5, 5, 4, slow(0.5))(Verdict::Inconclusive);
    assert!(undecided > 0.99, "a run below the claim among four above it: undecided {undecided}");
    let fast = |run: usize, _: &mut Random| if run == 0 { 1.3 } else { 1.0 };
    assert!(verdicts(0.99, 5, 5, fast)(Verdict::Confirmed) < 0.01);
}

#[test]
fn a_server_of_two_states_is_not_judged_by_their_mean() {
    // One run in two ends 20 % slower: the mean lies at the bar, and the two states on either side of it.
    let states = |_: usize, random: &mut Random| if random.unit() < 0.5 { 0.8 } else { 1.0 };
    for count in [5, 7, 10] {
        let share = verdicts(1.12, count, 6, states);
        let wrong = share(Verdict::Confirmed) + share(Verdict::Refuted);
        // All five runs in one state happen in 6 % of the experiments, and nobody can tell then.
        let unseen = 2.0 * 0.5f64.powi(count as i32);
        assert!(wrong < 0.05 + unseen, "{count} runs: {wrong}");
    }
    // Both states are clear of the bar: the answer is the same, and given.
    let share = verdicts(1.6, 7, 7, states);
    assert!(share(Verdict::Confirmed) > 0.97, "{}", share(Verdict::Confirmed));
    let share = verdicts(0.7, 7, 8, states);
    assert!(share(Verdict::Refuted) > 0.97, "{}", share(Verdict::Refuted));
}

#[test]
fn the_probability_is_calibrated() {
    // Over truths around the bar, a claim that is said to hold with 90 % holds in nine of ten cases.
    let claim = claim();
    let mut random = Random::new(9, 0);
    let (mut said, mut held) = (0, 0);
    for _ in 0..40_000 {
        let truth = 0.95 + 0.10 * random.unit();
        let runs: Vec<f64> =
            (0..5).map(|_| claim.threshold() * truth * (0.02 * normal(&mut random)).exp()).collect();
        // Five runs that look like two modes by chance have none: it would be that of a mean.
        let Some(probability) = layer(&claim, &of_runs(&claim, &runs)).probability else { continue };
        if (0.88..0.92).contains(&probability) {
            said += 1;
            held += usize::from(truth >= 1.0);
        }
    }
    let share = held as f64 / f64::from(said);
    assert!(said > 500 && (0.86..=0.94).contains(&share), "{held} of {said}");
}
