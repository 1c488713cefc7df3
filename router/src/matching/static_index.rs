//! A hash index over static text: whole paths, or what stands before a last parameter.
//!
//! Looking a path up here spares the walk down the tree, which costs several times more.

/// Maps static text to the index of a route.
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
    let mut state = path.len() as u64;
    let mut rest = path;
    while let Some((word, tail)) = rest.split_first_chunk() {
        state = mix(state, u64::from_le_bytes(*word));
        rest = tail;
    }
    // The last word overlaps the one before it: a load, where a partial word would take a loop.
    let last = match (path.last_chunk(), rest) {
        (Some(word), _) => u64::from_le_bytes(*word),
        (None, [first, .., last]) => {
            u64::from(*first) | u64::from(rest[rest.len() / 2]) << 8 | u64::from(*last) << 16
        }
        (None, _) => 0,
    };
    (mix(state, last) >> 32) as usize
}

#[inline]
fn mix(state: u64, word: u64) -> u64 {
    (state.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
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
