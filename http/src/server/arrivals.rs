//! When the requests came that wait on a connection.

use std::collections::VecDeque;
use std::time::Instant;

use super::link::Link;

/// Times that are told apart at most; beyond, what comes is taken together with what came last, by the later time.
const MOST: usize = 16;

/// When the bytes of a connection's input came, where that matters.
#[derive(Default)]
pub(super) struct Arrivals {
    /// Of what is received next, with all that waits by then.
    next: Option<Instant>,
    /// Bytes whose time is known, those that are decoded as well.
    total: usize,
    /// Up to how many of these bytes came at which time.
    times: VecDeque<(usize, Instant)>,
    /// When the request came that was asked about last.
    judged: Option<Instant>,
}

impl Arrivals {
    /// Bytes come behind `waiting` others.
    fn add(&mut self, waiting: usize, added: usize, came: Instant) {
        self.settle(waiting);
        self.total += added;
        let is_full = self.times.len() == MOST;
        match self.times.back_mut() {
            Some(last) if is_full || last.1 == came => *last = (self.total, came),
            _ => self.times.push_back((self.total, came)),
        }
    }

    /// Counts what was received last, now that it is known how much it is.
    fn settle(&mut self, waiting: usize) {
        if let Some(came) = self.next.take() {
            self.total = waiting;
            self.times.clear();
            self.times.push_back((waiting, came));
        }
    }

    /// When the last byte of a request came, of which `behind` of the `waiting` bytes are not part; `None` if that is not
    /// known.
    fn of(&mut self, waiting: usize, behind: usize) -> Option<Instant> {
        self.settle(waiting);
        let end = self.total.checked_sub(behind).filter(|&end| end > 0);
        while end.is_some_and(|end| self.times.front().is_some_and(|time| time.0 < end)) {
            self.times.pop_front();
        }
        self.judged = end.and_then(|_| self.times.front()).map(|time| time.1);
        self.judged
    }
}

impl Link {
    fn with_arrivals<T>(&self, f: impl FnOnce(&mut Arrivals) -> T) -> T {
        let mut arrivals = self.arrivals.take().unwrap_or_default();
        let outcome = f(&mut arrivals);
        self.arrivals.set(Some(arrivals));
        outcome
    }

    /// Notes when that came which is about to be received while nothing else waits, if anything is.
    pub(super) fn next_arrival(&self, came: Option<Instant>) {
        match came {
            Some(came) => self.with_arrivals(|arrivals| arrivals.next = Some(came)),
            None => self.forget_arrivals(),
        }
    }

    /// Notes when that came which was received behind `waiting` bytes.
    pub(super) fn add_arrival(&self, waiting: usize, came: Instant) {
        let added = self.input.borrow().bytes().len().saturating_sub(waiting);
        if added > 0 {
            self.with_arrivals(|arrivals| arrivals.add(waiting, added, came));
        }
    }

    /// When the request came that the first `length` bytes of the input are, as far as that is known.
    pub(super) fn arrival(&self, length: usize) -> Option<Instant> {
        let waiting = self.input.borrow().bytes().len();
        let mut arrivals = self.arrivals.take()?;
        let came = arrivals.of(waiting, waiting.saturating_sub(length));
        self.arrivals.set(Some(arrivals));
        came
    }

    /// What [`Link::arrival`] has said last.
    pub(super) fn last_arrival(&self) -> Option<Instant> {
        let arrivals = self.arrivals.take()?;
        let came = arrivals.judged;
        self.arrivals.set(Some(arrivals));
        came
    }

    /// Bytes are received whose time is not known.
    pub(super) fn forget_arrivals(&self) {
        self.arrivals.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_request_has_the_time_of_its_last_byte() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut arrivals = Arrivals { next: Some(at(0)), ..Arrivals::default() };
        // One of 10 bytes, and half of one; its rest, and another.
        assert_eq!(arrivals.of(15, 5), Some(at(0)));
        arrivals.add(5, 5, at(100));
        arrivals.add(10, 10, at(200));
        assert_eq!(arrivals.of(20, 10), Some(at(100)));
        assert_eq!(arrivals.of(10, 0), Some(at(200)));
        // All of it is decoded, and the next batch comes.
        arrivals.next = Some(at(300));
        assert_eq!(arrivals.of(8, 0), Some(at(300)));
    }

    #[test]
    fn what_came_untold_has_no_time() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        arrivals.add(30, 10, start);
        assert_eq!(arrivals.of(40, 20), None);
        assert_eq!(arrivals.of(20, 10), None);
        assert_eq!(arrivals.of(10, 0), Some(start));
    }

    #[test]
    fn many_times_are_taken_together_by_the_later() {
        let start = Instant::now();
        let mut arrivals = Arrivals { next: Some(start), ..Arrivals::default() };
        let mut last = start;
        for number in 1..1000 {
            last = start + Duration::from_millis(number as u64);
            arrivals.add(number * 10, 10, last);
        }
        assert_eq!(arrivals.times.len(), MOST);
        assert_eq!(arrivals.of(10_000, 9_990), Some(start));
        assert_eq!(arrivals.of(10_000 - 5_000, 4_990), Some(last), "in its client's favour");
    }
}
