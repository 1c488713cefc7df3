//! One core's part of the arrivals, ticket by ticket.

use std::time::{Duration, Instant};

use super::arrivals::{Course, Cursor};
use super::{Arrivals, Profile};

/// When the requests of a run are due, over all cores.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// The pattern of arrivals.
    pub arrivals: Arrivals,
    /// The rate over time, of which a trace takes no notice.
    pub profile: Profile,
    /// How long before the measured window it begins: by so much a trace is put off.
    pub hold: Duration,
    /// What the random processes begin with.
    pub seed: u64,
}

impl Timetable {
    /// Equal distances at one rate, in requests per second.
    pub fn constant(rate: f64) -> Self {
        Self { arrivals: Arrivals::Constant, profile: Profile::constant(rate), hold: Duration::ZERO, seed: 0 }
    }
}

/// The times at which one core's requests are due.
///
/// The schedule belongs to the core and not to a connection: whichever connection is free takes the next ticket,
/// and a ticket that finds none keeps its time. Constant arrivals are dealt to the cores in turn, so that together
/// they make one constant stream instead of bursts.
///
/// Nothing is kept of tickets that wait: two cursors run over the same seeded process, one at the next ticket to
/// take and one at the first that is not due yet, so that a backlog of any length takes no memory.
#[derive(Debug, Clone)]
pub struct Schedule {
    start: Instant,
    course: Course,
    next: Cursor,
    ahead: Cursor,
}

impl Schedule {
    /// The part of core number `core` of `cores` in a timetable that begins at `start`.
    ///
    /// # Panics
    /// When there are no cores.
    pub fn new(start: Instant, table: &Timetable, core: usize, cores: usize) -> Self {
        assert!(core < cores, "a schedule belongs to one of the cores");
        let course = Course {
            arrivals: table.arrivals.clone(),
            profile: table.profile.clone(),
            hold: u64::try_from(table.hold.as_nanos()).unwrap_or(u64::MAX),
            core: core as u64,
            cores: cores as u64,
        };
        let next = course.begin(table.seed);
        Self { start, course, ahead: next.clone(), next }
    }

    /// A time that never comes, for what is not due at all.
    fn at(&self, due: u64) -> Instant {
        const NEVER: u64 = 100 * 365 * 86_400 * 1_000_000_000;
        self.start + Duration::from_nanos(due.min(NEVER))
    }

    #[inline]
    fn offset(&self, now: Instant) -> u64 {
        // Before the start nothing is due, not even what is due at once.
        match now.checked_duration_since(self.start) {
            Some(passed) => u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX).saturating_add(1),
            None => 0,
        }
    }

    /// When the next ticket is due; a hundred years from the start where there is none.
    #[inline]
    pub fn next_due(&self) -> Instant {
        self.at(self.next.due)
    }

    /// Takes the next ticket if it is due at `now`, and returns its intended time.
    #[inline]
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        (self.next.due < self.offset(now)).then(|| {
            let due = self.at(self.next.due);
            self.course.advance(&mut self.next);
            due
        })
    }

    /// How many tickets are due at `now` and not taken, but no more than `limit`.
    #[inline]
    pub fn due(&self, now: Instant, limit: u64) -> u64 {
        let offset = self.offset(now);
        if limit == 0 || self.next.due >= offset {
            return 0;
        }
        if limit == 1 {
            return 1;
        }
        let mut cursor = self.next.clone();
        let mut due = 0;
        while due < limit && cursor.due < offset {
            due += 1;
            self.course.advance(&mut cursor);
        }
        due
    }

    /// How many tickets are due at `now` and not taken.
    ///
    /// A `now` before that of an earlier call counts as that one.
    #[inline]
    pub fn backlog(&mut self, now: Instant) -> u64 {
        let offset = self.offset(now);
        if self.ahead.index < self.next.index {
            self.ahead.clone_from(&self.next);
        }
        while self.ahead.due < offset {
            self.course.advance(&mut self.ahead);
        }
        self.ahead.index - self.next.index
    }

    /// The intended times of the tickets that are due at `now` and not taken, oldest first.
    pub fn waiting(&self, now: Instant) -> impl Iterator<Item = Instant> + '_ {
        let (offset, mut cursor) = (self.offset(now), self.next.clone());
        std::iter::from_fn(move || {
            (cursor.due < offset).then(|| {
                let due = self.at(cursor.due);
                self.course.advance(&mut cursor);
                due
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stage;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tickets_come_at_constant_intervals() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &Timetable::constant(1000.0), 0, 1);
        let now = start + Duration::from_millis(3);
        let taken: Vec<Duration> = std::iter::from_fn(|| schedule.take(now)).map(|at| at - start).collect();
        assert_eq!(taken, [0, 1, 2, 3].map(Duration::from_millis));
        assert_eq!(schedule.next_due() - start, Duration::from_millis(4));
    }

    #[test]
    fn a_ticket_keeps_its_time_however_late_it_is_taken() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &Timetable::constant(10.0), 0, 1);
        let late = start + Duration::from_secs(5);
        assert_eq!(schedule.backlog(late), 51);
        assert_eq!(schedule.take(late), Some(start));
        assert_eq!(schedule.backlog(late), 50);
        assert_eq!(schedule.waiting(late).next(), Some(start + Duration::from_millis(100)));
    }

    #[test]
    fn a_billion_tickets_do_not_drift() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &Timetable::constant(300_000.0), 0, 3);
        schedule.next.index = 999_999_999;
        schedule.course.advance(&mut schedule.next);
        assert_eq!(schedule.next_due() - start, Duration::from_secs(10_000));
    }

    #[test]
    fn an_earlier_now_takes_no_ticket_twice() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &Timetable::constant(1000.0), 0, 1);
        assert_eq!(schedule.backlog(start + Duration::from_millis(10)), 11);
        assert_eq!(schedule.due(start + Duration::from_millis(4), 100), 5);
        assert_eq!(schedule.backlog(start + Duration::from_millis(4)), 11);
        assert_eq!(schedule.take(start - Duration::from_millis(1)), None);
        let late = start + Duration::from_millis(20);
        assert_eq!(std::iter::from_fn(|| schedule.take(late)).count(), 21);
        assert_eq!(schedule.backlog(start + Duration::from_millis(12)), 0, "more is taken than was due then");
        assert_eq!(schedule.backlog(start + Duration::from_millis(22)), 2);
    }

    #[test]
    fn after_the_last_ticket_none_is_due_in_a_time_that_can_be_waited_for() {
        let path = std::env::temp_dir().join(format!("covet-schedule-{}", std::process::id()));
        std::fs::write(&path, "0.25\n").unwrap();
        let arrivals = Arrivals::parse(&format!("trace:{}", path.display())).unwrap();
        std::fs::remove_file(&path).unwrap();
        let start = Instant::now();
        let mut schedule = Schedule::new(start, &Timetable { arrivals, ..Timetable::constant(1.0) }, 0, 1);
        assert_eq!(schedule.take(start + Duration::from_secs(1)), Some(start + Duration::from_millis(250)));
        let (year, day) = (Duration::from_secs(365 * 86_400), start + Duration::from_secs(86_400));
        assert_eq!(schedule.next_due() - start, year * 100);
        assert_eq!((schedule.take(day), schedule.due(day, 5), schedule.backlog(day)), (None, 0, 0));
    }

    #[test]
    fn stages_are_followed_after_the_warm_up() {
        let start = Instant::now();
        let stages = [
            Stage { length: Duration::from_secs(1), from: 100.0, to: 100.0 },
            Stage { length: Duration::from_secs(2), from: 100.0, to: 300.0 },
        ];
        let table = Timetable {
            profile: Profile::stages(&stages, Duration::from_secs(1)),
            hold: Duration::from_secs(1),
            ..Timetable::constant(1.0)
        };
        let mut cores: Vec<Schedule> = (0..2).map(|core| Schedule::new(start, &table, core, 2)).collect();
        for (seconds, due) in [(1, 100), (2, 200), (3, 350), (4, 600), (5, 900)] {
            let now = start + Duration::from_secs(seconds);
            let backlog: u64 = cores.iter_mut().map(|core| core.backlog(now)).sum();
            assert!(backlog.abs_diff(due) <= 1, "{seconds} s: {backlog}");
        }
    }

    proptest! {
        #[test]
        fn the_backlog_is_what_taking_everything_takes(
            rate in 0.5_f64..2e6,
            core in 0_usize..4,
            process in prop::sample::select(vec!["constant", "poisson", "uniform", "bursty:50"]),
            elapsed in 0_u64..20_000_000,
            already in 0_usize..50,
        ) {
            let start = Instant::now();
            let now = start + Duration::from_nanos(elapsed);
            let table = Timetable {
                arrivals: Arrivals::parse(process).unwrap(),
                seed: already as u64,
                ..Timetable::constant(rate)
            };
            let mut schedule = Schedule::new(start, &table, core, 4);
            for _ in 0..already {
                schedule.take(now);
            }
            let backlog = schedule.backlog(now);
            prop_assert_eq!(schedule.waiting(now).count() as u64, backlog);
            for limit in [0, 1, 2, 7] {
                prop_assert_eq!(schedule.due(now, limit), backlog.min(limit));
            }
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
                    let mut schedule = Schedule::new(start, &Timetable::constant(rate), core, cores);
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
