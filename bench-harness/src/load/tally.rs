//! What one core counts.

use std::time::{Duration, Instant};

use super::in_flight::{Batch, InFlight};
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
    pub(super) max_queued: u64,
    pub(super) longest_pause: Duration,
    /// Slot time without a connection, up to the last time that one was opened.
    pub(super) away: Duration,
    opened: Instant,
    service_sum: Duration,
    /// Response times since the last interval was cut off.
    response: Hist,
    interval_start: Instant,
    interval_completed: u64,
    intervals: usize,
    open_loop: Option<Box<OpenLoop>>,
}

/// The clocks that only an open loop has.
#[derive(Debug, Default)]
struct OpenLoop {
    service: Hist,
    lateness: Hist,
    generator_lateness: Hist,
}

impl Tally {
    /// Counters at zero at `now`.
    pub(super) fn new(now: Instant, open_loop: bool) -> Self {
        Self {
            sent: 0,
            completed: 0,
            failed: 0,
            bytes_in: 0,
            bytes_out: 0,
            status: [0; 6],
            errors: Errors::default(),
            reconnects: 0,
            max_queued: 0,
            longest_pause: Duration::ZERO,
            away: Duration::ZERO,
            opened: now,
            service_sum: Duration::ZERO,
            response: Hist::new(),
            interval_start: now,
            interval_completed: 0,
            intervals: 0,
            open_loop: open_loop.then(Box::default),
        }
    }

    /// Counts a request of an open loop as sent this late, and `own` of that as the generator's own lateness where
    /// a connection was free at its time.
    pub(super) fn record_lateness(&mut self, lateness: Duration, own: Option<Duration>) {
        if let Some(open) = &mut self.open_loop {
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
        self.response.record(now.saturating_duration_since(batch.intended), batch.count);
        if let Some(open) = &mut self.open_loop {
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
        let time = until.saturating_duration_since(since.max(self.opened));
        self.away += time * u32::try_from(slots).unwrap_or(u32::MAX);
    }

    /// Cuts the current interval off at `now`.
    pub(super) fn cut_interval(&mut self, now: Instant, backlog: u64) -> CoreInterval {
        let interval = CoreInterval {
            index: self.intervals,
            length: now.saturating_duration_since(self.interval_start),
            completed: std::mem::take(&mut self.interval_completed),
            backlog,
            response: std::mem::take(&mut self.response),
        };
        self.interval_start = now;
        self.intervals += 1;
        interval
    }

    /// The record of the counted time, which ends at `now`; what lies outside the tally is left at zero.
    pub(super) fn into_record(self, now: Instant) -> CoreRecord {
        let (service, lateness, generator_lateness) = match self.open_loop {
            Some(open) => (Some(open.service), Some(open.lateness), Some(open.generator_lateness)),
            None => (None, None, None),
        };
        CoreRecord {
            elapsed: now.saturating_duration_since(self.opened),
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
            service_sum: self.service_sum,
            away: self.away,
            service,
            lateness,
            generator_lateness,
            ..CoreRecord::default()
        }
    }
}
