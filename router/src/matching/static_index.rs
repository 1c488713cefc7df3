//! A hash index over the paths that have no parameter.
//!
//! A static route always wins over a parametrised one that matches the same path, so looking it
//! up first changes no answer and spares the walk down the tree, which costs several times more.

/// Maps whole paths to the index of their route.
#[derive(Debug, Clone, Default)]
pub(crate) struct StaticIndex {
    paths: Vec<(Box<str>, u32)>,
    /// Open addressing over a power of two of places, at most half of them filled; a place holds
    /// one more than the position in `paths`.
    places: Vec<u32>,
}

/// Mixes the length and the bytes, eight at a time.
///
/// The keys are fixed when the service is built, so a request can at worst probe the longest run
/// that is already there: a keyed hash would buy nothing.
#[inline]
fn hash(path: &[u8]) -> usize {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut state = path.len() as u64;
    let mut chunks = path.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks_exact(8) gives eight bytes"));
        state = (state.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
    let tail = chunks.remainder();
    // Two overlapping loads cover 4 to 7 bytes without a loop.
    let word = if tail.len() >= 4 {
        let low = u32::from_le_bytes(tail[..4].try_into().expect("four bytes"));
        let high = u32::from_le_bytes(tail[tail.len() - 4..].try_into().expect("four bytes"));
        u64::from(low) | u64::from(high) << 32
    } else if let [first, .., last] = tail {
        u64::from(*first) | u64::from(tail[tail.len() / 2]) << 8 | u64::from(*last) << 16
    } else {
        tail.first().copied().map_or(0, u64::from)
    };
    state = (state.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    (state >> 32) as usize
}

impl StaticIndex {
    /// Adds a path that is not in the index yet.
    pub(crate) fn insert(&mut self, path: Box<str>, route: u32) {
        self.paths.push((path, route));
        let places = (self.paths.len() * 2).next_power_of_two().max(4);
        self.places = vec![0; places];
        for (position, (path, _)) in self.paths.iter().enumerate() {
            let mut place = hash(path.as_bytes()) & (places - 1);
            while self.places[place] != 0 {
                place = (place + 1) & (places - 1);
            }
            self.places[place] = position as u32 + 1;
        }
    }

    /// The route of exactly this path.
    #[inline]
    pub(crate) fn get(&self, path: &str) -> Option<u32> {
        let mask = self.places.len().checked_sub(1)?;
        let mut place = hash(path.as_bytes()) & mask;
        loop {
            let (known, route) = &self.paths[(self.places[place] as usize).checked_sub(1)?];
            if **known == *path {
                return Some(*route);
            }
            place = (place + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(StaticIndex::default().get("/"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_hash_map(
            paths in proptest::collection::vec("/[ab/]{0,20}", 0..60),
            probes in proptest::collection::vec("/[ab/]{0,20}", 0..60),
        ) {
            let mut index = StaticIndex::default();
            let mut model = HashMap::new();
            for (number, path) in paths.iter().enumerate() {
                if !model.contains_key(path) {
                    model.insert(path.clone(), number as u32);
                    index.insert(path.as_str().into(), number as u32);
                }
            }
            for path in paths.iter().chain(&probes) {
                prop_assert_eq!(index.get(path), model.get(path).copied());
            }
        }
    }
}
