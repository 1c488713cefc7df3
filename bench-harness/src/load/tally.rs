//! What one core counts.

use std::time::{Duration, Instant};

use super::in_flight::{Batch, InFlight};
use super::times::Times;
use crate::record::{CoreInterval, CoreRecord, Errors, Hist};

/// One core's counters since the measured window began; before that, of the warm-up.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) status: [u64; 6],
    pub(super) errors: Errors,
    pub(super) reconnects: u64,
    /// Connections opened.
    pub(super) opened: u64,
    pub(super) max_queued: u64,
    pub(super) longest_pause: Duration,
    /// Slot time without a connection, up to the last time that one was opened.
    pub(super) away: Duration,
    began: Instant,
    service_sum: Duration,
    /// Since the last interval was cut off.
    times: Times,
    interval_start: Instant,
    interval_completed: u64,
    /// Requests failed up to the end of the last interval.
    failed_before: u64,
    intervals: usize,
    /// Answers that came in more than one piece.
    split: Option<Box<Split>>,
    /// Ages of requests whose connection ended before their answer.
    cut_off: Option<Box<Hist>>,
    in_flight: InFlightIntegral,
}

/// Requests in flight over time, summed up from every change: what Little's law is checked against.
#[derive(Debug)]
struct InFlightIntegral {
    sum: u64,
    since: Instant,
    count: u64,
}

/// Answers whose first byte came in an earlier piece than the last.
#[derive(Debug, Default)]
struct Split {
    first_byte: Hist,
    service: Hist,
}

impl Tally {
    /// Counters at zero at `now`, with `times` for the first interval.
    pub(super) fn new(now: Instant, times: Times) -> Self {
        Self {
            sent: 0,
            completed: 0,
            failed: 0,
            bytes_in: 0,
            bytes_out: 0,
            status: [0; 6],
            errors: Errors::default(),
            reconnects: 0,
            opened: 0,
            max_queued: 0,
            longest_pause: Duration::ZERO,
            away: Duration::ZERO,
            began: now,
            service_sum: Duration::ZERO,
            times,
            interval_start: now,
            interval_completed: 0,
            failed_before: 0,
            intervals: 0,
            split: None,
            cut_off: None,
            in_flight: InFlightIntegral { sum: 0, since: now, count: 0 },
        }
    }

    /// Notes that from `now` on so many requests are in flight.
    #[inline]
    pub(super) fn note_in_flight(&mut self, now: Instant, count: u64) {
        let InFlightIntegral { sum, since, count: before } = &mut self.in_flight;
        // The dispatcher's clock is ahead of the core's.
        if let Some(passed) = now.checked_duration_since(*since) {
            *sum = sum.saturating_add((passed.as_nanos() as u64).saturating_mul(*before));
            *since = now;
        }
        *before = count;
    }

    /// Records an answer that came in pieces: its first byte at `first`, its last at `now`.
    #[cold]
    pub(super) fn record_split(&mut self, submitted: Instant, first: Instant, now: Instant) {
        let split = self.split.get_or_insert_default();
        split.first_byte.record(first.saturating_duration_since(submitted), 1);
        split.service.record(now.saturating_duration_since(submitted), 1);
    }

    /// Counts a request of an open loop as sent this late, and `own` of that as the generator's own lateness where
    /// a connection was free at its time.
    pub(super) fn record_lateness(&mut self, lateness: Duration, own: Option<Duration>) {
        if let Some(open) = &mut self.times.clocks {
            open.lateness.record(lateness, 1);
            if let Some(own) = own {
                open.generator_lateness.record(own, 1);
            }
        }
    }

    /// Counts the `count` oldest requests as answered at `now`.
    #[inline]
    pub(super) fn complete(&mut self, in_flight: &mut InFlight, mut count: u64, now: Instant) {
        self.completed += count;
        self.interval_completed += count;
        while count > 0 {
            let Some(batch) = in_flight.pop(count) else { return };
            count -= batch.count;
            self.record_times(batch, now);
        }
    }

    /// Counts the oldest requests, at most `limit` of them, as ended at `now` without a valid answer.
    pub(super) fn fail(&mut self, in_flight: &mut InFlight, mut limit: u64, now: Instant) {
        while let Some(batch) = in_flight.pop(limit) {
            self.failed += batch.count;
            self.add_service(batch, now);
            limit -= batch.count;
            if limit == 0 {
                return;
            }
        }
    }

    /// Counts the requests in flight as cut off at `now`, when their connection ended: their times are longer than the
    /// age that they have reached.
    pub(super) fn cut_off(&mut self, in_flight: &mut InFlight, now: Instant) {
        while let Some(batch) = in_flight.pop(u64::MAX) {
            self.failed += batch.count;
            self.add_service(batch, now);
            let age = now.saturating_duration_since(batch.intended);
            self.cut_off.get_or_insert_default().record(age, batch.count);
        }
    }

    /// Counts the requests in flight as given up at `now`, at the age that they have reached.
    pub(super) fn time_out(&mut self, in_flight: &mut InFlight, now: Instant) {
        while let Some(batch) = in_flight.pop(u64::MAX) {
            self.failed += batch.count;
            self.record_times(batch, now);
        }
    }

    #[inline]
    fn record_times(&mut self, batch: Batch, now: Instant) {
        let service = self.add_service(batch, now);
        self.times.response.record(now.saturating_duration_since(batch.intended), batch.count);
        if let Some(open) = &mut self.times.clocks {
            open.service.record(service, batch.count);
        }
    }

    /// Every request that ends adds its time, valid or not: it held its slot.
    #[inline]
    fn add_service(&mut self, batch: Batch, now: Instant) -> Duration {
        let service = now.saturating_duration_since(batch.submitted);
        self.service_sum += Duration::from_nanos((service.as_nanos() as u64).saturating_mul(batch.count));
        service
    }

    /// Adds slot time without a connection, as far as it lies in the counted time.
    pub(super) fn add_away(&mut self, since: Instant, until: Instant, slots: u64) {
        let time = until.saturating_duration_since(since.max(self.began));
        self.away += time * u32::try_from(slots).unwrap_or(u32::MAX);
    }

    /// How many requests have ended, and how long they took in all.
    pub(super) fn ended(&self) -> (u64, Duration) {
        (self.completed + self.failed, self.service_sum)
    }

    /// Cuts the current interval off at `now`; `next` is for the one that begins.
    pub(super) fn cut_interval(
        &mut self,
        now: Instant,
        core: usize,
        backlog: u64,
        next: Times,
    ) -> CoreInterval {
        let Times { response, clocks } = std::mem::replace(&mut self.times, next);
        let (service, lateness, generator_lateness) = match clocks {
            Some(clocks) => (Some(clocks.service), Some(clocks.lateness), Some(clocks.generator_lateness)),
            None => (None, None, None),
        };
        let interval = CoreInterval {
            core,
            index: self.intervals,
            length: now.saturating_duration_since(self.interval_start),
            completed: std::mem::take(&mut self.interval_completed),
            failed: self.failed - std::mem::replace(&mut self.failed_before, self.failed),
            backlog,
            response,
            service,
            lateness,
            generator_lateness,
        };
        self.interval_start = now;
        self.intervals += 1;
        interval
    }

    /// The record of the counted time, which ends at `now`; what lies outside the tally is left at zero.
    pub(super) fn into_record(mut self, now: Instant) -> CoreRecord {
        self.note_in_flight(now, 0);
        let split = self.split.map(|split| *split);
        CoreRecord {
            elapsed: now.saturating_duration_since(self.began),
            sent: self.sent,
            completed: self.completed,
            failed: self.failed,
            max_queued: self.max_queued,
            longest_pause: self.longest_pause,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            status: self.status,
            errors: self.errors,
            reconnects: self.reconnects,
            opened: self.opened,
            service_sum: self.service_sum,
            away: self.away,
            in_flight_sum: Duration::from_nanos(self.in_flight.sum),
            cut_off: self.cut_off.as_ref().map_or(0, |hist| hist.len()),
            censored: self.cut_off.map(|hist| *hist).unwrap_or_default(),
            split: split.map(|split| (split.first_byte, split.service)),
            ..CoreRecord::default()
        }
    }
}
