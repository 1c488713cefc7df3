//! Tests by permutation: no assumption but that the labels could have been swapped.
//!
//! All permutations are tried where they are few; else a fixed number drawn from a fixed seed, so that the same runs
//! always give the same answer.

/// The most permutations that are tried.
const MOST: u64 = 20_000;
/// The relative tolerance within which two statistics are equal: rounding must not decide.
const EQUAL: f64 = 1e-12;

/// The two-sided p-value of "pairs have no difference", from the differences of pairs with their signs flipped in every
/// way. 1 without differences. Its floor is `2 / 2^pairs`: 0.031 with six.
pub fn sign_flip(differences: &[f64]) -> f64 {
    let count = differences.len();
    let size = |flip: u64| {
        let sum: f64 = differences
            .iter()
            .enumerate()
            .map(|(i, d)| if flip >> (i % 64) & 1 == 1 { -d } else { *d })
            .sum();
        sum.abs()
    };
    let observed = size(0);
    let limit = observed - observed.abs() * EQUAL;
    if count < 64 && 1 << count <= MOST {
        let all = 1u64 << count;
        let extreme = (0..all).filter(|&flip| size(flip) >= limit).count();
        return extreme as f64 / all as f64;
    }
    let mut random = Random::new();
    let drawn = (0..MOST)
        .filter(|_| {
            let sum: f64 = differences.iter().map(|d| if random.next() >> 63 == 1 { -d } else { *d }).sum();
            sum.abs() >= limit
        })
        .count();
    (drawn as f64 + 1.0) / (MOST as f64 + 1.0)
}

/// The p-value of "both sides are alike": the share of the relabellings of `left + right` runs whose statistic is at least
/// that of the labels given, where the first `left` runs are the one side.
///
/// `statistic` gets, for each run, whether it is on the left; large values speak for a difference. Its floor is one over
/// the number of labellings: 0.1 with three runs a side where left and right are interchangeable, 0.0079 with five.
pub fn relabel(left: usize, right: usize, statistic: impl Fn(&[bool]) -> f64) -> f64 {
    let total = left + right;
    let given: Vec<bool> = (0..total).map(|i| i < left).collect();
    let observed = statistic(&given);
    let limit = observed - observed.abs() * EQUAL;
    let (mut tried, mut extreme) = (0u64, 0u64);
    if labellings(total, left) <= MOST {
        let mut labels = given;
        loop {
            tried += 1;
            extreme += u64::from(statistic(&labels) >= limit);
            if !next_labelling(&mut labels) {
                return extreme as f64 / tried as f64;
            }
        }
    }
    let mut random = Random::new();
    let mut labels = given;
    for _ in 0..MOST {
        // Fisher and Yates.
        for i in (1..total).rev() {
            labels.swap(i, (random.next() % (i as u64 + 1)) as usize);
        }
        extreme += u64::from(statistic(&labels) >= limit);
    }
    (extreme as f64 + 1.0) / (MOST as f64 + 1.0)
}

/// The number of ways to choose `k` of `n`, or `u64::MAX`.
fn labellings(n: usize, k: usize) -> u64 {
    let k = k.min(n - k);
    let mut ways = 1u64;
    for i in 0..k {
        let Some(product) = ways.checked_mul((n - i) as u64) else { return u64::MAX };
        ways = product / (i as u64 + 1);
    }
    ways
}

/// The next arrangement in the order in which `true` moves to the right; `false` after the last.
fn next_labelling(labels: &mut [bool]) -> bool {
    let Some(at) = labels.windows(2).rposition(|pair| pair[0] && !pair[1]) else { return false };
    labels.swap(at, at + 1);
    let tail = &mut labels[at + 2..];
    let trues = tail.iter().filter(|&&label| label).count();
    let count = tail.len();
    for (i, label) in tail.iter_mut().enumerate() {
        *label = i < trues.min(count);
    }
    true
}

/// SplitMix64, by Steele, Lea and Flood.
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(0x5eed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labellings_are_each_tried_once() {
        for (n, k) in [(5, 2), (6, 3), (4, 4), (7, 1), (10, 5)] {
            let mut labels: Vec<bool> = (0..n).map(|i| i < k).collect();
            let mut seen = std::collections::HashSet::new();
            loop {
                assert_eq!(labels.iter().filter(|&&l| l).count(), k);
                assert!(seen.insert(labels.clone()));
                if !next_labelling(&mut labels) {
                    break;
                }
            }
            assert_eq!(seen.len() as u64, labellings(n, k), "{n} {k}");
        }
        assert_eq!(labellings(200, 100), u64::MAX);
    }

    #[test]
    fn floors_are_what_arithmetic_says() {
        assert_eq!(sign_flip(&[1.0; 6]), 2.0 / 64.0);
        assert_eq!(sign_flip(&[]), 1.0);
        let values = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0];
        let apart = |labels: &[bool]| {
            values.iter().zip(labels).map(|(v, &l)| if l { *v } else { -v }).sum::<f64>().abs()
        };
        assert_eq!(relabel(3, 3, apart), 0.1);
        assert_eq!(relabel(3, 3, |_| 0.0), 1.0, "where nothing differs every labelling is as good");
        assert_eq!(relabel(12, 12, |_| 0.0), 1.0, "drawn ones as well");
    }

    #[test]
    fn drawing_agrees_with_trying_all() {
        // 18 differences are drawn, and a test of all 262,144 by numpy gives 0.1005.
        let differences: Vec<f64> = (0..18).map(|i| f64::from((i * 7919) % 23) - 8.5).collect();
        let drawn = sign_flip(&differences);
        let all = {
            let observed: f64 = differences.iter().sum::<f64>().abs();
            let extreme = (0u32..1 << 18)
                .filter(|flip| {
                    let sum: f64 = differences
                        .iter()
                        .enumerate()
                        .map(|(i, d)| if flip >> i & 1 == 1 { -d } else { *d })
                        .sum();
                    sum.abs() >= observed - 1e-9
                })
                .count();
            extreme as f64 / f64::from(1 << 18)
        };
        assert!((drawn - all).abs() < 0.01, "{drawn} {all}");
    }
}
