//! Several tests at once.

/// P-values adjusted for there being several, in the order given: compare each with the level as if it were alone, and the
/// chance of even one false alarm stays below that level.
///
/// Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.
pub fn adjust(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        least = least.max((p_values.len() - rank) as f64 * p_values[i]).min(1.0);
        adjusted[i] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adjusted_value_is_a_probability_and_keeps_the_order() {
        assert_eq!(adjust(&[0.9, 0.01, 0.8]), vec![1.0, 0.03, 1.0]);
        assert_eq!(adjust(&[]), Vec::<f64>::new());
    }
}
