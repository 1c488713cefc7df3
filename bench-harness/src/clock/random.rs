//! Random numbers that are the same for the same seed, on every machine and in every version.

/// xoshiro256++ 1.0 of Blackman and Vigna (<https://prng.di.unimi.it/>), seeded through SplitMix64.
///
/// Not for secrets. The sequence is part of what makes a run repeatable, so it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of stream number `stream` of a seed: each generator core has its own.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f);
        let mut next = || {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut value = mixed;
            value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            value ^ (value >> 31)
        };
        Self { state: [next(), next(), next(), next()] }
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        let state = &mut self.state;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// A number from 0 up to, and not, 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number of the exponential distribution with mean 1.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// A whole number from `low` to `high`, both included; `low` where they are in the wrong order.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low);
        if span == u64::MAX {
            return self.bits();
        }
        // The bias of a multiplication by 64 random bits is below 2^-64 per value.
        low + ((u128::from(self.bits()) * (u128::from(span) + 1)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The reference implementation, `xoshiro256plusplus.c`, from the state 1, 2, 3, 4.
    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let first: Vec<u64> = std::iter::repeat_with(|| random.bits()).take(5).collect();
        assert_eq!(
            first,
            [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386, 9_228_616_714_210_784_205]
        );
    }

    #[test]
    fn streams_of_a_seed_differ_and_come_again() {
        let mut a = Random::new(7, 0);
        let mut b = Random::new(7, 1);
        assert_ne!(a.bits(), b.bits());
        assert_eq!(Random::new(7, 1).bits(), Random::new(7, 1).bits());
    }

    #[test]
    fn the_moments_are_those_of_the_distributions() {
        let mut random = Random::new(1, 0);
        let n = 200_000;
        let mean = (0..n).map(|_| random.unit()).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 0.003, "{mean}");
        let gaps: Vec<f64> = (0..n).map(|_| random.exponential()).collect();
        let mean = gaps.iter().sum::<f64>() / f64::from(n);
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let dice: Vec<u64> = (0..60_000).map(|_| random.between(1, 6)).collect();
        for side in 1..=6 {
            let count = dice.iter().filter(|&&die| die == side).count();
            assert!((9_500..10_500).contains(&count), "{side}: {count}");
        }
        assert_eq!(random.between(5, 5), 5);
        assert_eq!(random.between(9, 2), 9);
    }
}
