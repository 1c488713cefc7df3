//! A hierarchical timing wheel (Varghese and Lauck, SOSP 1987): insert, move and cancel in constant time.
//!
//! Eight levels of 64 slots; a tick is 1.024 µs, so the wheel spans nine years. A timer sits at the level of the
//! highest bit in which its deadline differs from the wheel's time, and moves down as that time comes near: at
//! most seven moves in its life, and none if it is cancelled before.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::places::Places;

const LEVELS: usize = 8;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// A tick is 2^10 nanoseconds.
const TICK_SHIFT: u32 = 10;
const MAX_TICK: u64 = (1 << (SLOT_BITS as u64 * LEVELS as u64)) - 1;
const NONE: u32 = u32::MAX;

pub(crate) struct Wheel {
    start: Instant,
    /// All timers due before this tick have fired.
    tick: u64,
    occupied: [u64; LEVELS],
    heads: Box<[[u32; SLOTS]; LEVELS]>,
    timers: Places<Timer>,
}

struct Timer {
    /// When it is due, in nanoseconds since the wheel's start.
    due: u64,
    /// The tick in which the wheel will look at it: no later than `due`. A timer that is moved back stays where it is, which
    /// makes a connection's "not yet" cost one store per request.
    filed: u64,
    prev: u32,
    next: u32,
    level: u8,
    slot: u8,
    linked: bool,
    waker: Option<Waker>,
}

/// Names a timer of a wheel until [`Wheel::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey(u32);

impl Wheel {
    /// Gives back room for more timers than there are.
    pub(crate) fn release(&mut self) {
        self.timers.shrink_to_fit();
    }

    pub(crate) fn new(start: Instant) -> Wheel {
        Wheel {
            start,
            tick: 0,
            occupied: [0; LEVELS],
            heads: Box::new([[NONE; SLOTS]; LEVELS]),
            timers: Places::new(),
        }
    }

    /// Nanoseconds since the wheel's start; 64 bits of them are 584 years.
    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()))
    }

    pub(crate) fn insert(&mut self, deadline: Instant) -> TimerKey {
        let due = self.nanos(deadline);
        let index = self.timers.insert(Timer {
            due,
            filed: tick_at_or_after(due),
            prev: NONE,
            next: NONE,
            level: 0,
            slot: 0,
            linked: false,
            waker: None,
        });
        self.link(index);
        TimerKey(index)
    }

    /// Gives a timer a new deadline, whether it has fired or not.
    #[inline]
    pub(crate) fn reset(&mut self, key: TimerKey, deadline: Instant) {
        let due = self.nanos(deadline);
        let tick = tick_at_or_after(due);
        let timer = &mut self.timers[key.0];
        timer.due = due;
        if timer.linked && timer.filed <= tick {
            return;
        }
        if timer.linked {
            self.unlink(key.0);
        }
        self.timers[key.0].filed = tick;
        self.link(key.0);
    }

    /// Takes a timer out; the waker is returned so that it is dropped outside any borrow.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        if self.timers[key.0].linked {
            self.unlink(key.0);
        }
        self.timers.remove(key.0).waker
    }

    /// Whether the timer is still to fire and wakes this waker then.
    #[inline]
    pub(crate) fn is_waited_for(&self, key: TimerKey, waker: &Waker) -> bool {
        let timer = &self.timers[key.0];
        timer.linked && timer.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Whether the timer has fired; if not, `waker` will be woken when it does. The waker that it replaces is
    /// returned so that it is dropped outside any borrow.
    pub(crate) fn poll(&mut self, key: TimerKey, waker: &Waker) -> (bool, Option<Waker>) {
        let timer = &mut self.timers[key.0];
        if !timer.linked {
            return (true, None);
        }
        match &timer.waker {
            Some(known) if known.will_wake(waker) => (false, None),
            _ => (false, timer.waker.replace(waker.clone())),
        }
    }

    pub(crate) fn has_fired(&self, key: TimerKey) -> bool {
        !self.timers[key.0].linked
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.occupied.iter().all(|&slots| slots == 0)
    }

    /// A time until which nothing can be due: the wheel wants to be looked at then.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.next_occupied()
            .map(|(_, _, tick)| self.start + Duration::from_nanos(tick.max(self.tick) << TICK_SHIFT))
    }

    /// Shows who waits, and for when.
    pub(crate) fn for_each_waiter(&self, mut show: impl FnMut(&Waker, Instant)) {
        for (_, timer) in self.timers.iter() {
            if let Some(waker) = timer.waker.as_ref().filter(|_| timer.linked) {
                show(waker, self.start + Duration::from_nanos(timer.due));
            }
        }
    }

    /// The earliest deadline, to the nanosecond. It goes through all timers, and is for a clock that a test moves.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = self.timers.iter().filter(|(_, timer)| timer.linked).map(|(_, timer)| timer.due).min()?;
        Some(self.start + Duration::from_nanos(due))
    }

    /// As [`Wheel::advance`], for a clock that stands at exactly `now`: what is due then fires, although its tick has
    /// not begun. It goes through all timers.
    pub(crate) fn advance_to_the_point(&mut self, now: Instant, fired: &mut Vec<Waker>) {
        self.advance(now, fired);
        let nanos = self.nanos(now);
        let is_due = |(index, timer): (u32, &Timer)| (timer.linked && timer.due <= nanos).then_some(index);
        let due: Vec<u32> = self.timers.iter().filter_map(is_due).collect();
        for index in due {
            self.unlink(index);
            fired.extend(self.timers[index].waker.take());
        }
    }

    /// Fires everything that is due at `now`, in order of deadline up to the resolution of a tick.
    pub(crate) fn advance(&mut self, now: Instant, fired: &mut Vec<Waker>) {
        let now = (self.nanos(now) >> TICK_SHIFT).min(MAX_TICK);
        while let Some((level, slot, tick)) = self.next_occupied() {
            if tick > now {
                break;
            }
            self.tick = self.tick.max(tick);
            let mut index = std::mem::replace(&mut self.heads[level][slot], NONE);
            self.occupied[level] &= !(1 << slot);
            while index != NONE {
                let timer = &mut self.timers[index];
                let next = timer.next;
                timer.linked = false;
                let due = tick_at_or_after(timer.due);
                // Later ones move down, though a late core finds them due as well: others may come before them.
                if due <= self.tick {
                    fired.extend(timer.waker.take());
                } else {
                    timer.filed = due;
                    self.link(index);
                }
                index = next;
            }
        }
        self.tick = self.tick.max(now);
    }

    /// The earliest occupied slot: its level, its number and the tick at which it begins.
    fn next_occupied(&self) -> Option<(usize, usize, u64)> {
        for level in 0..LEVELS {
            let slots = self.occupied[level];
            if slots == 0 {
                continue;
            }
            let shift = SLOT_BITS * level as u32;
            let here = (self.tick >> shift) as u32 & (SLOTS as u32 - 1);
            // Slots are searched from the present one on: those before it belong to the next round, which `link`
            // never fills, as such a deadline differs in a higher bit and sits at a higher level.
            let ahead = slots.rotate_right(here).trailing_zeros();
            let slot = (here + ahead) as usize % SLOTS;
            let round = self.tick & !((1u64 << (shift + SLOT_BITS)) - 1);
            return Some((level, slot, round | (slot as u64) << shift));
        }
        None
    }

    fn link(&mut self, index: u32) {
        // What is already due goes to the present slot of the lowest level, and fires at the next look.
        let filed = self.timers[index].filed.max(self.tick);
        let differing = filed ^ self.tick;
        let level = (63 - (differing | 1).leading_zeros()) / SLOT_BITS;
        let slot = (filed >> (SLOT_BITS * level)) as usize & (SLOTS - 1);
        let head = &mut self.heads[level as usize][slot];
        let next = std::mem::replace(head, index);
        self.occupied[level as usize] |= 1 << slot;
        if next != NONE {
            self.timers[next].prev = index;
        }
        let timer = &mut self.timers[index];
        timer.prev = NONE;
        timer.next = next;
        timer.level = level as u8;
        timer.slot = slot as u8;
        timer.linked = true;
    }

    fn unlink(&mut self, index: u32) {
        let timer = &mut self.timers[index];
        timer.linked = false;
        let (prev, next) = (timer.prev, timer.next);
        let (level, slot) = (usize::from(timer.level), usize::from(timer.slot));
        if next != NONE {
            self.timers[next].prev = prev;
        }
        if prev != NONE {
            self.timers[prev].next = next;
        } else {
            self.heads[level][slot] = next;
            if next == NONE {
                self.occupied[level] &= !(1 << slot);
            }
        }
    }
}

/// The first tick that is not before a time: a timer never fires early.
fn tick_at_or_after(nanos: u64) -> u64 {
    (nanos.saturating_add((1 << TICK_SHIFT) - 1) >> TICK_SHIFT).min(MAX_TICK)
}

#[cfg(test)]
mod tests;
