//! Numbered places in blocks: growing copies nothing, so that a million of them take the memory of a million.

use std::ops::{Index, IndexMut};

const BLOCK_BITS: u32 = 10;
/// Places in a block.
const BLOCK: usize = 1 << BLOCK_BITS;
const NONE: u32 = u32::MAX;

/// Gives each value a number that stays its own until it is removed; vacant places are taken again.
pub(super) struct Places<T> {
    /// Full blocks, but for the last.
    blocks: Vec<Vec<Place<T>>>,
    /// The vacant place that is taken next.
    vacant: u32,
}

enum Place<T> {
    Taken(T),
    /// Names the vacant place after it.
    Vacant(u32),
}

impl<T> Places<T> {
    pub(super) const fn new() -> Places<T> {
        Places { blocks: Vec::new(), vacant: NONE }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        let index = self.vacant;
        if index == NONE {
            return self.append(value);
        }
        let place = self.place_mut(index);
        if let Place::Vacant(next) = std::mem::replace(place, Place::Taken(value)) {
            self.vacant = next;
        }
        index
    }

    fn append(&mut self, value: T) -> u32 {
        if self.blocks.last().is_none_or(|last| last.len() == BLOCK) {
            // The first one grows with its needs, as most cores have few timers.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room));
        }
        let block = self.blocks.len() - 1;
        let places = &mut self.blocks[block];
        let index = block * BLOCK + places.len();
        places.push(Place::Taken(value));
        u32::try_from(index).ok().filter(|&index| index != NONE).expect("fewer than four billion")
    }

    /// # Panics
    /// If the place is vacant.
    pub(super) fn remove(&mut self, index: u32) -> T {
        let next = self.vacant;
        match std::mem::replace(self.place_mut(index), Place::Vacant(next)) {
            Place::Taken(value) => {
                self.vacant = index;
                value
            }
            Place::Vacant(_) => panic!("the place is vacant"),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.blocks.iter().flatten().zip(0..).filter_map(|(place, index)| match place {
            Place::Taken(value) => Some((index, value)),
            Place::Vacant(_) => None,
        })
    }

    /// Gives the vacant places behind the last one that is taken back.
    pub(super) fn shrink_to_fit(&mut self) {
        while let Some(last) = self.blocks.last_mut() {
            let used = last.iter().rposition(|place| matches!(place, Place::Taken(_)));
            last.truncate(used.map_or(0, |used| used + 1));
            if !last.is_empty() {
                break;
            }
            self.blocks.pop();
        }
        if let [.., last] = &mut self.blocks[..] {
            last.shrink_to_fit();
        }
        self.blocks.shrink_to_fit();
        self.vacant = NONE;
        for (place, index) in self.blocks.iter_mut().flatten().zip(0..) {
            if let Place::Vacant(next) = place {
                *next = std::mem::replace(&mut self.vacant, index);
            }
        }
    }

    #[inline]
    fn place_mut(&mut self, index: u32) -> &mut Place<T> {
        &mut self.blocks[(index >> BLOCK_BITS) as usize][index as usize & (BLOCK - 1)]
    }
}

impl<T> Index<u32> for Places<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        match &self.blocks[(index >> BLOCK_BITS) as usize][index as usize & (BLOCK - 1)] {
            Place::Taken(value) => value,
            Place::Vacant(_) => panic!("the place is vacant"),
        }
    }
}

impl<T> IndexMut<u32> for Places<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        match self.place_mut(index) {
            Place::Taken(value) => value,
            Place::Vacant(_) => panic!("the place is vacant"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Against a map, over random spells of insertion and removal.
    #[test]
    fn agrees_with_a_map() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let mut places = Places::new();
        let mut model = BTreeMap::new();
        let mut serial = 0;
        for _ in 0..if cfg!(miri) { 12 } else { 400 } {
            match random(5) {
                0 | 1 => {
                    for _ in 0..random(700) {
                        serial += 1;
                        let index = places.insert(serial);
                        assert_eq!(model.insert(index, serial), None, "{index} was taken");
                    }
                }
                2 | 3 => {
                    for _ in 0..random(700).min(model.len()) {
                        let (&index, &value) =
                            model.range(random(3000) as u32..).next().or(model.first_key_value()).unwrap();
                        model.remove(&index);
                        assert_eq!(places.remove(index), value);
                    }
                }
                _ => {
                    places.shrink_to_fit();
                    let room: usize = places.blocks.iter().map(Vec::len).sum();
                    assert_eq!(room, model.last_key_value().map_or(0, |(&last, _)| last as usize + 1));
                }
            }
            let found: BTreeMap<u32, i32> = places.iter().map(|(index, &value)| (index, value)).collect();
            assert_eq!(found, model);
            assert!(model.iter().all(|(&index, value)| places[index] == *value));
        }
    }

    #[test]
    fn vacant_places_are_taken_before_new_ones() {
        let mut places = Places::new();
        let indices: Vec<u32> = (0..3000).map(|value| places.insert(value)).collect();
        for &index in &indices {
            places.remove(index);
        }
        assert!((0..3000).all(|value| places.insert(value) < 3000));
        assert_eq!(places.insert(0), 3000);
    }
}
