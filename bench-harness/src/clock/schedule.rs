//! Constant arrivals, split over cores.

use std::time::{Duration, Instant};

/// The times at which one core's requests are due: request `i` at `start + (i + phase) / rate`.
///
/// The schedule belongs to the core and not to a connection: whichever connection is free takes the next ticket,
/// and a ticket that finds none keeps its time. The cores' phases are spread over one period, so that together
/// they make one constant stream instead of bursts.
#[derive(Debug, Clone)]
pub struct Schedule {
    start: Instant,
    period_nanos: f64,
    phase: f64,
    next: u64,
}

impl Schedule {
    /// The part of core number `core` of `cores` in a stream of `rate` requests per second that begins at `start`.
    ///
    /// # Panics
    /// When `rate` is not above zero or there are no cores.
    pub fn new(start: Instant, rate: f64, core: usize, cores: usize) -> Self {
        assert!(rate > 0.0 && cores > 0, "a schedule has a rate and cores");
        Self { start, period_nanos: 1e9 * cores as f64 / rate, phase: core as f64 / cores as f64, next: 0 }
    }

    fn due_at(&self, ticket: u64) -> Instant {
        self.start + Duration::from_nanos(((ticket as f64 + self.phase) * self.period_nanos) as u64)
    }

    /// When the next ticket is due.
    pub fn next_due(&self) -> Instant {
        self.due_at(self.next)
    }

    /// Takes the next ticket if it is due at `now`, and returns its intended time.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next_due();
        (due <= now).then(|| {
            self.next += 1;
            due
        })
    }

    /// How many tickets are due at `now` and not taken.
    pub fn backlog(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos() as f64;
        let estimate = (elapsed / self.period_nanos - self.phase).floor().max(-1.0) as i64;
        // The division may round the other way than `due_at` does.
        let mut due = u64::try_from(estimate.saturating_add(2)).unwrap_or(0);
        while due > 0 && self.due_at(due - 1) > now {
            due -= 1;
        }
        due.saturating_sub(self.next)
    }

    /// The intended times of the tickets that are due at `now` and not taken, oldest first.
    pub fn waiting(&self, now: Instant) -> impl Iterator<Item = Instant> + '_ {
        (self.next..self.next + self.backlog(now)).map(|ticket| self.due_at(ticket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tickets_come_at_constant_intervals() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000.0, 0, 1);
        let now = start + Duration::from_millis(3);
        let taken: Vec<Duration> = std::iter::from_fn(|| schedule.take(now)).map(|at| at - start).collect();
        assert_eq!(taken, [0, 1, 2, 3].map(Duration::from_millis));
        assert_eq!(schedule.next_due() - start, Duration::from_millis(4));
    }

    #[test]
    fn a_ticket_keeps_its_time_however_late_it_is_taken() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 10.0, 0, 1);
        let late = start + Duration::from_secs(5);
        assert_eq!(schedule.backlog(late), 51);
        assert_eq!(schedule.take(late), Some(start));
        assert_eq!(schedule.backlog(late), 50);
        assert_eq!(schedule.waiting(late).next(), Some(start + Duration::from_millis(100)));
    }

    #[test]
    fn a_billion_tickets_do_not_drift() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 300_000.0, 0, 3);
        schedule.next = 1_000_000_000;
        assert_eq!(schedule.next_due() - start, Duration::from_secs(10_000));
    }

    proptest! {
        #[test]
        fn the_backlog_is_what_taking_everything_takes(
            rate in 0.5_f64..2e6,
            core in 0_usize..4,
            elapsed in 0_u64..20_000_000,
            already in 0_usize..50,
        ) {
            let start = Instant::now();
            let now = start + Duration::from_nanos(elapsed);
            let mut schedule = Schedule::new(start, rate, core, 4);
            for _ in 0..already {
                schedule.take(now);
            }
            let backlog = schedule.backlog(now);
            prop_assert_eq!(schedule.waiting(now).count() as u64, backlog);
            let taken = std::iter::from_fn(|| schedule.take(now)).count() as u64;
            prop_assert_eq!(taken, backlog);
            prop_assert_eq!(schedule.backlog(now), 0);
        }

        #[test]
        fn the_cores_together_make_one_even_stream(rate in 10.0_f64..1e6, cores in 1_usize..5) {
            let start = Instant::now();
            let now = start + Duration::from_secs_f64(40.0 / rate);
            let mut due: Vec<Instant> = (0..cores)
                .flat_map(|core| {
                    let mut schedule = Schedule::new(start, rate, core, cores);
                    std::iter::from_fn(move || schedule.take(now)).collect::<Vec<_>>()
                })
                .collect();
            due.sort();
            let period = 1e9 / rate;
            for pair in due.windows(2) {
                let gap = (pair[1] - pair[0]).as_nanos() as f64;
                prop_assert!((gap - period).abs() <= 2.0, "gap {gap} ns, period {period} ns");
            }
        }
    }
}
