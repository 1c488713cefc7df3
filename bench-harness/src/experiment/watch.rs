//! Ending a run whose thresholds are missed already.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Map;

use crate::bundle::{RunDocument, Series};
use crate::load::{Beside, LoadPlan, Progress};
use crate::quantity::time;
use crate::record::{CoreInterval, Hist, Interval, SCHEMA};
use crate::verdict::threshold::Threshold;

/// Holds thresholds against what a run has come to, after every second of its window.
///
/// A threshold that the requests so far do not bear, such as a p99.9 after five thousand of them, is not looked at yet.
pub struct Watch<'a> {
    thresholds: &'a [Threshold],
    sofar: RefCell<SoFar>,
}

/// What the seconds of a run come to.
#[derive(Debug, Default)]
struct SoFar {
    elapsed: Duration,
    completed: u64,
    failed: u64,
    response: Hist,
    others: BTreeMap<&'static str, Hist>,
    broken: Option<String>,
}

impl<'a> Watch<'a> {
    /// Watches over these thresholds, beside whoever watches the run.
    pub fn beside(thresholds: &'a [Threshold], inner: &'a dyn Progress) -> Beside<'a, Self> {
        Beside::new(Self { thresholds, sofar: RefCell::default() }, inner)
    }
}

impl SoFar {
    fn document(&self) -> RunDocument {
        let requests = [("completed", self.completed), ("failed", self.failed)];
        let mut other = Map::new();
        for (name, hist) in &self.others {
            let series = serde_json::to_value(Series::of(hist)).expect("a series is plain data");
            other.insert((*name).to_owned(), series);
        }
        if !self.others.contains_key("service") {
            let series = serde_json::to_value(Series::of(&self.response)).expect("a series is plain data");
            other.insert("service".to_owned(), series);
        }
        RunDocument {
            schema: SCHEMA.to_owned(),
            valid: true,
            guards: Vec::new(),
            conditions: Map::new(),
            elapsed_s: Some(self.elapsed.as_secs_f64()),
            rate: Some(self.completed as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)),
            requests: requests.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            bytes: BTreeMap::new(),
            status: BTreeMap::new(),
            errors: Map::new(),
            errors_total: 0,
            response: Series::of(&self.response),
            imported: None,
            other,
        }
    }

    /// The first threshold that is missed, with the number that misses it.
    fn check(&mut self, thresholds: &[Threshold]) {
        let document = [self.document()];
        let missed = thresholds
            .iter()
            .map(|threshold| threshold.judge(&document))
            .find(|result| !result.passed && result.value.is_some());
        self.broken = missed.map(|result| {
            format!("{} after {} of the window: {}", result.threshold, time(self.elapsed), result.detail)
        });
    }
}

impl Progress for Watch<'_> {
    fn started(&self, _plan: &LoadPlan) {
        *self.sofar.borrow_mut() = SoFar::default();
    }

    fn part(&self, part: &CoreInterval) {
        let sofar = &mut *self.sofar.borrow_mut();
        sofar.response.add(&part.response);
        for (name, hist) in [
            ("service", &part.service),
            ("lateness", &part.lateness),
            ("generator_lateness", &part.generator_lateness),
        ] {
            if let Some(hist) = hist {
                sofar.others.entry(name).or_default().add(hist);
            }
        }
    }

    fn interval(&self, interval: &Interval) {
        let mut sofar = self.sofar.borrow_mut();
        sofar.elapsed += interval.length;
        sofar.completed += interval.completed;
        sofar.failed += interval.failed;
        sofar.check(self.thresholds);
    }

    fn ends(&self) -> Option<String> {
        self.sofar.borrow().broken.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::NoProgress;

    fn second(watch: &dyn Progress, completed: u64, failed: u64, latency: Duration) {
        let mut response = Hist::new();
        response.record(latency, completed);
        let length = Duration::from_secs(1);
        watch.part(&CoreInterval { length, completed, failed, response, ..CoreInterval::default() });
        watch.interval(&Interval {
            start: Duration::ZERO,
            length,
            completed,
            failed,
            p50: latency,
            p99: latency,
            backlog: 0,
        });
    }

    #[test]
    fn what_is_missed_ends_the_run_and_is_named() {
        let thresholds = ["p99<5ms", "errors<1%"].map(|text| text.parse().unwrap());
        let watch = Watch::beside(&thresholds, &NoProgress);
        second(&watch, 2000, 0, Duration::from_millis(1));
        assert_eq!(watch.ends(), None);
        second(&watch, 2000, 100, Duration::from_millis(1));
        let said = watch.ends().unwrap();
        assert!(said.starts_with("errors<1% after 2.00 s of the window: errors is 2.4"), "{said}");
        // The next run begins with nothing against it.
        let url = crate::load::TargetUrl::parse("http://h:1/").unwrap();
        watch.started(&LoadPlan::closed(url, vec![0]));
        assert_eq!(watch.ends(), None);
        second(&watch, 2000, 0, Duration::from_millis(9));
        assert!(watch.ends().unwrap().starts_with("p99<5ms after 1.00 s"));
    }

    #[test]
    fn what_the_requests_do_not_bear_is_not_judged_yet() {
        let thresholds = ["p99.9<5ms".parse().unwrap(), "service.p50<1s".parse().unwrap()];
        let watch = Watch::beside(&thresholds, &NoProgress);
        second(&watch, 2000, 0, Duration::from_millis(9));
        assert_eq!(watch.ends(), None);
        second(&watch, 9000, 0, Duration::from_millis(9));
        assert!(watch.ends().is_some());
    }
}
