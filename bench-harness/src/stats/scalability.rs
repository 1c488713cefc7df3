//! The Universal Scalability Law.

use serde::Serialize;

/// Throughput as a function of concurrency: `X(N) = λN / (1 + σ(N-1) + κN(N-1))`.
///
/// Source: Gunther, "A General Theory of Computational Scalability Based on Rational Functions", arXiv:0808.1431.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scalability {
    /// λ: throughput of one.
    pub single: f64,
    /// σ: the share that cannot be done side by side, at least 0.
    pub contention: f64,
    /// κ: the cost of keeping each pair coherent, at least 0.
    pub coherency: f64,
    /// 1 less the squares of the residuals over those around the mean.
    pub r_squared: f64,
}

/// Newton steps that are tried; a dozen are enough for data that follow the law at all.
const STEPS: usize = 200;

impl Scalability {
    /// The law fitted to `(N, throughput)` by least squares, with σ and κ kept at 0 or above.
    ///
    /// `None` with fewer than three different N, or with values that are not positive and finite.
    pub fn fit(points: &[(f64, f64)]) -> Option<Scalability> {
        if points.iter().any(|(n, x)| !(n.is_finite() && *n > 0.0 && x.is_finite() && *x > 0.0)) {
            return None;
        }
        let mut places: Vec<f64> = points.iter().map(|point| point.0).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        if places.len() < 3 {
            return None;
        }
        // With a coefficient at its bound the rest is a smaller problem; the least of the feasible ones is the answer.
        let candidates = [[true, true], [true, false], [false, true], [false, false]];
        let best = candidates
            .into_iter()
            .filter_map(|free| minimise(points, free))
            .filter(|fit| fit[1] >= 0.0 && fit[2] >= 0.0)
            .min_by(|a, b| squares(points, a).total_cmp(&squares(points, b)))?;
        let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
        let around: f64 = points.iter().map(|point| (point.1 - mean).powi(2)).sum();
        let residual = squares(points, &best);
        Some(Scalability {
            single: best[0],
            contention: best[1],
            coherency: best[2],
            r_squared: if around > 0.0 { 1.0 - residual / around } else { 1.0 },
        })
    }

    /// The throughput at concurrency `n`.
    pub fn at(&self, n: f64) -> f64 {
        model(&[self.single, self.contention, self.coherency], n)
    }

    /// The concurrency of the highest throughput, `sqrt((1-σ)/κ)`; `None` where more never harms.
    pub fn peak(&self) -> Option<f64> {
        (self.coherency > 0.0).then(|| ((1.0 - self.contention).max(0.0) / self.coherency).sqrt().max(1.0))
    }

    /// The knee: the concurrency at which throughput over response time is highest.
    ///
    /// With Little's law the response time is `N/X`, so it is where `X²/N` peaks. Below it more concurrency brings
    /// more throughput than delay, beyond it more delay than throughput. `None` where it never ends.
    ///
    /// Source: Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
    /// communications", ICC 1979.
    pub fn knee(&self) -> Option<f64> {
        // The derivative of ln(N / D²) is 1/N - 2D'/D, with D = 1 - σ + (σ-κ)N + κN²: zero where D = 2N·D', that is
        // 3κN² + (σ-κ)N - (1-σ) = 0.
        let (a, b, c) = (3.0 * self.coherency, self.contention - self.coherency, -(1.0 - self.contention));
        let knee = if a > 0.0 {
            (-b + (b * b - 4.0 * a * c).max(0.0).sqrt()) / (2.0 * a)
        } else if b > 0.0 {
            -c / b
        } else {
            return None;
        };
        Some(knee.max(1.0))
    }
}

fn model(fit: &[f64; 3], n: f64) -> f64 {
    fit[0] * n / denominator(fit, n)
}

fn denominator(fit: &[f64; 3], n: f64) -> f64 {
    1.0 + fit[1] * (n - 1.0) + fit[2] * n * (n - 1.0)
}

fn squares(points: &[(f64, f64)], fit: &[f64; 3]) -> f64 {
    points.iter().map(|&(n, x)| (x - model(fit, n)).powi(2)).sum()
}

/// Levenberg and Marquardt's method over λ and the coefficients that are `free`; the others are 0.
fn minimise(points: &[(f64, f64)], free: [bool; 2]) -> Option<[f64; 3]> {
    let active: Vec<usize> =
        [true, free[0], free[1]].into_iter().enumerate().filter_map(|(i, on)| on.then_some(i)).collect();
    let start = points.iter().map(|(n, x)| x / n).fold(0.0, f64::max);
    let mut fit = [start, if free[0] { 0.01 } else { 0.0 }, if free[1] { 1e-5 } else { 0.0 }];
    let (mut error, mut damping) = (squares(points, &fit), 1e-3);
    for _ in 0..STEPS {
        let (mut matrix, mut vector) = ([[0.0; 3]; 3], [0.0; 3]);
        for &(n, x) in points {
            let below = denominator(&fit, n);
            let value = model(&fit, n);
            let slopes = [value / fit[0], -value * (n - 1.0) / below, -value * n * (n - 1.0) / below];
            for (i, &p) in active.iter().enumerate() {
                vector[i] += slopes[p] * (x - value);
                for (j, &r) in active.iter().enumerate() {
                    matrix[i][j] += slopes[p] * slopes[r];
                }
            }
        }
        let mut damped = matrix;
        for (i, row) in damped.iter_mut().enumerate().take(active.len()) {
            row[i] *= 1.0 + damping;
        }
        let step = solve(damped, vector, active.len())?;
        let mut next = fit;
        for (i, &p) in active.iter().enumerate() {
            next[p] += step[i];
        }
        let bounded = next[0] > 0.0 && points.iter().all(|&(n, _)| denominator(&next, n) > 0.0);
        let next_error = if bounded { squares(points, &next) } else { f64::INFINITY };
        if next_error <= error {
            let gain = error - next_error;
            (fit, error, damping) = (next, next_error, (damping / 10.0f64).max(1e-15));
            if gain <= error * 1e-15 {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    Some(fit)
}

/// The solution of the leading `size` equations, by elimination with pivots; `None` for a singular matrix.
fn solve(mut matrix: [[f64; 3]; 3], mut vector: [f64; 3], size: usize) -> Option<[f64; 3]> {
    for column in 0..size {
        let pivot =
            (column..size).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))?;
        if matrix[pivot][column] == 0.0 {
            return None;
        }
        matrix.swap(column, pivot);
        vector.swap(column, pivot);
        for row in column + 1..size {
            let factor = matrix[row][column] / matrix[column][column];
            let above = matrix[column];
            for (cell, value) in matrix[row].iter_mut().zip(above).take(size).skip(column) {
                *cell -= factor * value;
            }
            vector[row] -= factor * vector[column];
        }
    }
    let mut solution = [0.0; 3];
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| matrix[row][column] * solution[column]).sum();
        solution[row] = (vector[row] - known) / matrix[row][row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn law(single: f64, contention: f64, coherency: f64) -> Scalability {
        Scalability { single, contention, coherency, r_squared: 1.0 }
    }

    #[test]
    fn refuses_what_it_cannot_fit() {
        assert_eq!(Scalability::fit(&[(1.0, 10.0), (2.0, 20.0), (2.0, 21.0)]), None);
        assert_eq!(Scalability::fit(&[(1.0, 10.0), (2.0, f64::NAN), (4.0, 20.0)]), None);
        assert_eq!(Scalability::fit(&[(1.0, 10.0), (2.0, 0.0), (4.0, 20.0)]), None);
    }

    #[test]
    fn linear_scaling_has_neither_peak_nor_knee() {
        let fit = Scalability::fit(&[(1.0, 10.0), (2.0, 20.0), (4.0, 40.0), (8.0, 80.0)]).unwrap();
        assert!(fit.contention < 1e-9 && fit.coherency < 1e-9, "{fit:?}");
        assert_eq!((law(10.0, 0.0, 0.0).peak(), law(10.0, 0.0, 0.0).knee()), (None, None));
    }

    #[test]
    fn better_than_linear_is_kept_at_the_bound() {
        let fit = Scalability::fit(&[(1.0, 10.0), (2.0, 25.0), (4.0, 60.0), (8.0, 130.0)]).unwrap();
        assert_eq!((fit.contention, fit.coherency), (0.0, 0.0), "{fit:?}");
    }

    proptest! {
        #[test]
        fn known_coefficients_come_back(single in 10.0..1e5f64, contention in 0.001..0.5f64, coherency in 1e-5..0.05f64) {
            let truth = law(single, contention, coherency);
            let points: Vec<(f64, f64)> = [1, 2, 4, 8, 16, 32, 64, 128]
                .map(|n| (f64::from(n), truth.at(f64::from(n))))
                .to_vec();
            let fit = Scalability::fit(&points).unwrap();
            prop_assert!((fit.single / single - 1.0).abs() < 1e-5, "{fit:?}");
            prop_assert!((fit.contention - contention).abs() < 1e-5, "{fit:?}");
            prop_assert!((fit.coherency - coherency).abs() < 1e-6, "{fit:?}");
        }

        #[test]
        fn the_peak_and_the_knee_are_where_they_are_said_to_be(contention in 0.0..0.5f64, coherency in 1e-5..0.01f64) {
            let law = law(1000.0, contention, coherency);
            let (peak, knee) = (law.peak().unwrap(), law.knee().unwrap());
            prop_assert!(knee <= peak + 1e-9);
            let power = |n: f64| law.at(n).powi(2) / n;
            for near in [0.9, 1.1] {
                if knee > 1.0 { prop_assert!(power(knee * near) <= power(knee)); }
                prop_assert!(law.at(peak * near) <= law.at(peak));
            }
        }
    }
}
