use super::Finding;
use crate::clock::Random;
use crate::experiment::ab;

/// Experiments for each figure: their rate is then known to one percent and a half, four standard errors.
const EXPERIMENTS: u64 = 4000;
const PAIRS: usize = 8;

/// Comparisons of a server with itself, on a machine that drifts, find a difference as often as the level says.
pub(super) fn check() -> Vec<Finding> {
    let mut random = Random::new(20_261, 0);
    let mut findings = Vec::new();
    for (name, drift, walk) in [
        ("steady machine", 0.0, 0.0),
        ("machine that slows down by 0.5 % a run", 0.005, 0.0),
        ("machine that wanders by 1 % a run", 0.0, 0.01),
    ] {
        let found = (0..EXPERIMENTS)
            .filter(|&seed| {
                let (a, b) = equals(&mut random, seed, drift, walk);
                let judged = ab::judge("rate", &a, &b, 0.0, true);
                judged.is_ok_and(|c| matches!(c.finding, ab::Finding::Better | ab::Finding::Worse))
            })
            .count();
        let rate = found as f64 / EXPERIMENTS as f64;
        findings.push(Finding::new(
            format!("A against A, {name}: differences found"),
            "5 % ± 2 %",
            format!("{:.1} %", rate * 100.0),
            (0.03..=0.07).contains(&rate),
        ));
    }
    findings
}

/// The rates of the two sides, 1 % of noise on each run.
fn equals(random: &mut Random, seed: u64, drift: f64, walk: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut a, mut b, mut level) = (Vec::new(), Vec::new(), 0.0);
    for is_a in ab::order(PAIRS, seed) {
        level += walk * normal(random) - drift;
        let rate = (level + 0.01 * normal(random)).exp() * 1000.0;
        if is_a { a.push(rate) } else { b.push(rate) }
    }
    (a, b)
}

/// Nearly normal: the sum of twelve (Irwin and Hall).
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    #[test]
    fn equals_are_found_to_differ_at_the_level() {
        for finding in super::check() {
            assert!(finding.agrees, "{finding:?}");
        }
    }
}
