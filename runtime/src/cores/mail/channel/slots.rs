//! Where values lie between their sender and the receiver.

use std::mem::MaybeUninit;

use crate::sync_types::{AtomicBool, AtomicUsize, Ordering, UnsafeCell};

/// A ring of places. Senders draw numbers and fill the places in any order; the receiver empties them by number.
///
/// It never is full for who holds a credit: there are at least as many places as credits.
pub(super) struct Slots<T> {
    places: Box<[Place<T>]>,
    /// The next number to be drawn.
    tail: Padded<AtomicUsize>,
    /// The next number to be taken; the receiver's own.
    head: Padded<AtomicUsize>,
}

/// On a cache line of its own: senders and the receiver write to different ones.
#[repr(align(128))]
struct Padded<T>(T);

struct Place<T> {
    full: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a value is written by the one sender that drew its number and read by the one receiver, after `full` was set
// and seen; T moves from thread to thread with it.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    pub(super) fn new(credits: usize) -> Slots<T> {
        let place = || Place { full: AtomicBool::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) };
        Slots {
            places: std::iter::repeat_with(place).take(credits.next_power_of_two()).collect(),
            tail: Padded(AtomicUsize::new(0)),
            head: Padded(AtomicUsize::new(0)),
        }
    }

    fn place(&self, number: usize) -> &Place<T> {
        &self.places[number & (self.places.len() - 1)]
    }

    /// # Safety
    /// The caller holds a credit, and gives it up to the value.
    pub(super) unsafe fn push(&self, value: T) {
        // AcqRel: of the senders that drew a number up to ours, one took its credit after the place was emptied. What
        // that one has seen must have happened before we write.
        let number = self.tail.0.fetch_add(1, Ordering::AcqRel);
        let place = self.place(number);
        // SAFETY: the number is ours alone, and its place was emptied in the round before.
        place.value.with_mut(|slot| unsafe { (*slot).write(value) });
        place.full.store(true, Ordering::Release);
    }

    /// The next value, if its sender is through with it.
    ///
    /// # Safety
    /// One thread at a time; the caller gives a credit back for the value, after this.
    pub(super) unsafe fn pop(&self) -> Option<T> {
        let number = self.head.0.load(Ordering::Relaxed);
        let place = self.place(number);
        if !place.full.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it is full, so its sender is through, and only we empty it.
        let value = place.value.with_mut(|slot| unsafe { (*slot).assume_init_read() });
        // Relaxed: the credit that is given back orders this before the next use of the place.
        place.full.store(false, Ordering::Relaxed);
        self.head.0.store(number.wrapping_add(1), Ordering::Relaxed);
        Some(value)
    }

    /// How many numbers were drawn and not yet taken; exact only while nobody sends.
    pub(super) fn len(&self) -> usize {
        let head = self.head.0.load(Ordering::Relaxed);
        self.tail.0.load(Ordering::Relaxed).wrapping_sub(head)
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else is left.
        while let Some(value) = unsafe { self.pop() } {
            drop(value);
        }
    }
}
