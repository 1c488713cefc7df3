//! Which operations wait for which side of which descriptor.

use std::os::fd::RawFd;

use slab::Slab;

use crate::ring::op::Op;

/// What an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Read = 0,
    Write = 1,
}

/// An operation that could not be done at once.
pub(super) struct Waiting {
    pub(super) op: Op,
    pub(super) token: u64,
    /// Bytes that have gone already, of a send that is to go on until all have.
    pub(super) done: u32,
    /// The connect has been begun.
    pub(super) begun: bool,
    /// `None` for an operation that waits for nothing but its cancellation.
    pub(super) place: Option<(RawFd, Side)>,
    next: Link,
}

/// An index into the slab of [`Waiting`], or nothing.
type Link = u32;
const NOTHING: Link = u32::MAX;

impl Waiting {
    pub(super) fn new(op: Op, token: u64, place: Option<(RawFd, Side)>) -> Waiting {
        Waiting { op, token, done: 0, begun: false, place, next: NOTHING }
    }

    /// What a cancelled operation completes with: a send that has begun tells how far it came.
    pub(super) fn result_if_cancelled(&self) -> i32 {
        if self.done > 0 { self.done as i32 } else { -libc::ECANCELED }
    }
}

/// One descriptor's watch, kept by its number.
#[derive(Clone, Copy)]
pub(super) struct Watch {
    /// Of the latest addition to the epoll instance: events of an earlier one are of another file.
    pub(super) generation: u32,
    /// Added, as far as we know. A descriptor that is closed behind our back stays so until it is looked at again;
    /// that can only happen while nothing waits for it.
    pub(super) added: bool,
    /// Ends and errors were told, which must be looked for beyond the next short read.
    pub(super) special: bool,
    /// Whether it is a TCP socket: then a receive that fills its buffer only in part has taken all there was.
    pub(super) tcp: Option<bool>,
    /// Which sides are in the list of those to be looked at in the next turn.
    pub(super) listed: [bool; 2],
    first: [Link; 2],
    last: [Link; 2],
}

const IDLE: Watch = Watch {
    generation: 0,
    added: false,
    special: false,
    tcp: None,
    listed: [false; 2],
    first: [NOTHING; 2],
    last: [NOTHING; 2],
};

impl Watch {
    /// Nothing waits for this descriptor.
    pub(super) fn is_idle(&self) -> bool {
        self.first == [NOTHING; 2]
    }
}

/// The watches of all descriptors and the operations that wait.
#[derive(Default)]
pub(super) struct Watches {
    /// By number: descriptors are small and dense.
    list: Vec<Watch>,
    pub(super) waiting: Slab<Waiting>,
}

impl Watches {
    /// The watch of a descriptor, made if there is none.
    #[inline]
    pub(super) fn of(&mut self, descriptor: RawFd) -> &mut Watch {
        let at = descriptor as usize;
        if at >= self.list.len() {
            self.list.resize((at + 1).next_power_of_two(), IDLE);
        }
        &mut self.list[at]
    }

    pub(super) fn get(&mut self, descriptor: RawFd) -> Option<&mut Watch> {
        self.list.get_mut(usize::try_from(descriptor).ok()?)
    }

    /// Puts an operation at the end of its queue.
    pub(super) fn append(&mut self, waiting: Waiting) -> u32 {
        let place = waiting.place;
        let slot = self.waiting.insert(waiting) as u32;
        if let Some((descriptor, side)) = place {
            let watch = self.of(descriptor);
            let before = std::mem::replace(&mut watch.last[side as usize], slot);
            if before == NOTHING {
                watch.first[side as usize] = slot;
            } else {
                self.waiting[before as usize].next = slot;
            }
        }
        slot
    }

    /// The operation that has waited longest.
    #[inline]
    pub(super) fn first(&mut self, descriptor: RawFd, side: Side) -> Option<u32> {
        let first = self.get(descriptor)?.first[side as usize];
        (first != NOTHING).then_some(first)
    }

    /// Takes an operation out of its queue.
    pub(super) fn take(&mut self, slot: u32) -> Waiting {
        let taken = self.waiting.remove(slot as usize);
        let Some((descriptor, side)) = taken.place else { return taken };
        let side = side as usize;
        let mut before = NOTHING;
        let mut at = self.of(descriptor).first[side];
        // Queues are short: one operation nearly always.
        while at != slot {
            before = at;
            at = self.waiting[at as usize].next;
        }
        if before != NOTHING {
            self.waiting[before as usize].next = taken.next;
        }
        let watch = self.of(descriptor);
        if before == NOTHING {
            watch.first[side] = taken.next;
        }
        if taken.next == NOTHING {
            watch.last[side] = before;
        }
        taken
    }

    /// Any operation that waits.
    pub(super) fn any(&self) -> Option<u32> {
        self.waiting.iter().next().map(|(slot, _)| slot as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(watches: &mut Watches, side: Side) -> Vec<u64> {
        let mut tokens = Vec::new();
        while let Some(slot) = watches.first(3, side) {
            tokens.push(watches.take(slot).token);
        }
        tokens
    }

    #[test]
    fn a_queue_keeps_its_order_whoever_leaves_it() {
        for leaves in 0..4 {
            let mut watches = Watches::default();
            let slots: Vec<u32> = (0..4)
                .map(|token| watches.append(Waiting::new(Op::CancelAll, token, Some((3, Side::Read)))))
                .collect();
            watches.append(Waiting::new(Op::CancelAll, 9, Some((3, Side::Write))));
            assert_eq!(watches.take(slots[leaves]).token, leaves as u64);
            watches.append(Waiting::new(Op::CancelAll, 4, Some((3, Side::Read))));
            let rest: Vec<u64> = (0..5).filter(|&token| token != leaves as u64).collect();
            assert_eq!(tokens(&mut watches, Side::Read), rest);
            assert!(!watches.of(3).is_idle());
            assert_eq!(tokens(&mut watches, Side::Write), [9]);
            assert!(watches.of(3).is_idle() && watches.any().is_none());
        }
    }
}
