//! A warm-up that goes on until the load is steady.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use covet_runtime::time;

use super::LoadPlan;
use super::job::Event;
use super::protocol::Protocol;
use super::worker::Worker;
use crate::record::{LoopModel, WarmedUp};
use crate::stats::warmup::{FEWEST, settled};

/// The time between two observations, where requests are many and the warm-up may be long.
const OBSERVATION: Duration = Duration::from_millis(25);
/// The least time between two observations.
const SHORTEST_OBSERVATION: Duration = Duration::from_millis(5);
/// Requests that an observation should have, and how long it waits for them at most.
const WORTHWHILE: f64 = 20.0;
const LONGEST_OBSERVATION: Duration = Duration::from_secs(1);
/// The longest warm-up must have so many observations, so that it can end before as well as at its end.
const ENOUGH: usize = FEWEST + FEWEST / 5;
/// The series is looked at after so many observations more, and after a twentieth more of them: a look at a long series
/// takes long.
const EVERY: usize = 10;
const EVERY_SHARE: usize = 20;

/// What a core did between two looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    index: u32,
    ended: u64,
    service: Duration,
}

/// The time between two observations of a plan: long enough for its requests, and short enough for what can be told
/// within its longest warm-up; but each has a request or more, as far as its rate is known.
pub(super) fn observation(plan: &LoadPlan) -> Duration {
    let requests = |count: f64| {
        plan.loop_model.rate().map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64((count / rate).min(LONGEST_OBSERVATION.as_secs_f64()))
        })
    };
    let longest = plan.steady_within.unwrap_or_default().max(plan.warmup);
    let enough = longest / u32::try_from(ENOUGH).unwrap_or(u32::MAX);
    OBSERVATION.max(requests(WORTHWHILE)).min(enough).max(SHORTEST_OBSERVATION).max(requests(1.0))
}

/// Tells of what one core does, until the beginning of the window is known; returns at it.
pub(super) async fn settle<P: Protocol>(
    worker: &Rc<Worker<P>>,
    start: Instant,
    events: &Sender<Event>,
) -> Instant {
    let job = &worker.job;
    let mut before = worker.tally.borrow().ended();
    for index in 1_u32.. {
        time::sleep_until(start + job.observation * index).await;
        if let Some(&window) = job.window.get() {
            time::sleep_until(window).await;
            return window;
        }
        let now = worker.tally.borrow().ended();
        let (ended, service) = (now.0 - before.0, now.1.saturating_sub(before.1));
        before = now;
        let told = events.send(Event::Observation(Observation { index, ended, service }));
        if told.is_err() || job.abandoned.load(Ordering::Acquire) {
            break;
        }
    }
    Instant::now()
}

/// What all cores did, until it is steady.
#[derive(Debug)]
pub(super) struct Settling {
    cores: usize,
    least: Duration,
    longest: Duration,
    observation: Duration,
    /// Whether the rate is what settles, and not the latency at a given rate.
    by_rate: bool,
    open: BTreeMap<u32, (usize, u64, Duration)>,
    series: Vec<f64>,
    /// The length of the series at which it is looked at next.
    next: usize,
}

impl Settling {
    /// That of a plan; `None` where the length of its warm-up is given.
    pub(super) fn of(plan: &LoadPlan) -> Option<Self> {
        Some(Self {
            cores: plan.cpus.len(),
            least: plan.warmup,
            longest: plan.steady_within?.max(plan.warmup),
            observation: observation(plan),
            by_rate: plan.loop_model == LoopModel::Closed,
            open: BTreeMap::new(),
            series: Vec::new(),
            next: EVERY,
        })
    }

    /// Takes in what a core did; says how the warm-up ended when it does.
    pub(super) fn add(&mut self, part: Observation) -> Option<WarmedUp> {
        let sum = self.open.entry(part.index).or_default();
        *sum = (sum.0 + 1, sum.1 + part.ended, sum.2 + part.service);
        let &mut (parts, ended, service) = sum;
        if parts < self.cores {
            return None;
        }
        self.open.remove(&part.index);
        let value = match (self.by_rate, ended) {
            (true, _) => ended as f64,
            // Where nothing ended, nothing is known of how long it takes.
            (false, 0) => self.series.last().copied().unwrap_or_default(),
            (false, _) => service.as_secs_f64() / ended as f64,
        };
        self.series.push(value);
        let took = self.observation * u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        if took < self.least || (self.series.len() < self.next && took < self.longest) {
            return None;
        }
        self.next = self.series.len() + EVERY.max(self.series.len() / EVERY_SHARE);
        let known = self.series.len() >= FEWEST;
        match settled(&self.series) {
            Some(transient) => {
                let transient = self.observation * u32::try_from(transient).unwrap_or(u32::MAX);
                Some(WarmedUp { took, steady: true, known, transient })
            }
            None if took >= self.longest => Some(WarmedUp { took, steady: false, known, transient: took }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::TargetUrl;

    fn settling(cores: usize, loop_model: LoopModel) -> Settling {
        let url = TargetUrl::parse("http://h:1/").unwrap();
        let plan = LoadPlan {
            loop_model,
            warmup: Duration::ZERO,
            steady_within: Some(Duration::from_secs(10)),
            ..LoadPlan::closed(url, (0..cores).collect())
        };
        Settling::of(&plan).unwrap()
    }

    /// Feeds the same to each core until the warm-up ends.
    fn feed(settling: &mut Settling, of: impl Fn(u32) -> (u64, Duration)) -> WarmedUp {
        for index in 1.. {
            let (ended, service) = of(index);
            for _ in 0..settling.cores {
                if let Some(end) = settling.add(Observation { index, ended, service }) {
                    return end;
                }
            }
        }
        unreachable!("it ends at its longest")
    }

    #[test]
    fn a_load_that_is_steady_from_its_start_ends_as_soon_as_it_can_be_told() {
        let end = feed(&mut settling(2, LoopModel::Closed), |index| {
            (1000 + u64::from(index * 7919 % 13), Duration::from_secs(1))
        });
        assert!(end.steady && end.took == Duration::from_millis(2500), "{end:?}");
    }

    #[test]
    fn a_rise_is_waited_for() {
        let end = feed(&mut settling(1, LoopModel::Closed), |index| {
            (u64::from(index.min(80) * 12 + index * 7919 % 13), Duration::from_secs(1))
        });
        assert!(end.steady && end.took > Duration::from_secs(3), "{end:?}");
        assert!(end.transient >= Duration::from_millis(1500) && end.transient * 2 <= end.took, "{end:?}");
    }

    #[test]
    fn what_grows_to_the_end_is_never_steady() {
        let open = LoopModel::Open { rate: 1000.0 };
        let end = feed(&mut settling(1, open), |index| (25, Duration::from_millis(u64::from(index) * 25)));
        assert_eq!(end.took, Duration::from_secs(10));
        assert_eq!(end, WarmedUp { steady: false, known: true, transient: end.took, took: end.took });
    }

    fn within(loop_model: LoopModel, longest: Duration) -> Settling {
        let url = TargetUrl::parse("http://h:1/").unwrap();
        let steady_within = Some(longest);
        let plan =
            LoadPlan { loop_model, warmup: Duration::ZERO, steady_within, ..LoadPlan::closed(url, vec![0]) };
        Settling::of(&plan).unwrap()
    }

    #[test]
    fn a_short_warm_up_and_a_slow_load_can_be_steady() {
        let noise = |index: u32| u64::from(index * 7919 % 13);
        let end = feed(&mut within(LoopModel::Closed, Duration::from_secs(2)), |index| {
            (1000 + noise(index), Duration::from_secs(1))
        });
        assert!(end.steady && end.took < Duration::from_secs(2), "{end:?}");
        for rate in [5.0, 20.0, 60.0] {
            let open = LoopModel::Open { rate };
            let end = feed(&mut within(open, Duration::from_secs(30)), |index| {
                (2, Duration::from_micros(2000 + noise(index)))
            });
            assert!(end.steady && end.took < Duration::from_secs(30), "{rate}: {end:?}");
        }
    }

    #[test]
    fn what_is_too_short_to_tell_says_so() {
        let open = LoopModel::Open { rate: 1.0 };
        let end = feed(&mut within(open, Duration::from_secs(30)), |_| (1, Duration::from_millis(2)));
        assert!(!end.steady && !end.known && end.took == Duration::from_secs(30), "{end:?}");
        let end = feed(&mut within(LoopModel::Closed, Duration::from_millis(300)), |_| {
            (100, Duration::from_millis(2))
        });
        assert!(!end.steady && !end.known, "{end:?}");
    }

    #[test]
    fn a_long_series_is_looked_at_seldom() {
        let mut settling = within(LoopModel::Closed, Duration::from_secs(600));
        let end = feed(&mut settling, |index| (u64::from(index), Duration::from_secs(1)));
        assert!(!end.steady && end.known && end.took >= Duration::from_secs(600), "{end:?}");
        assert!(settling.next > 25_000, "the last look was a twentieth ago: {}", settling.next);
    }

    #[test]
    fn observations_of_slow_loads_are_longer() {
        let of = |rate| settling(1, LoopModel::Open { rate }).observation;
        assert_eq!(of(10_000.0), OBSERVATION);
        assert_eq!(of(500.0), Duration::from_millis(40));
        // Twenty requests would take 200 ms, and a hundred observations of that longer than the ten seconds there are.
        assert_eq!(of(100.0), Duration::from_secs(10) / 120);
        assert_eq!(of(1.0), LONGEST_OBSERVATION);
    }
}
