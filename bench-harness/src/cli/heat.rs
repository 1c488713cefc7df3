//! `run --html`: the response times over time, gathered while the runs are made.

use std::cell::RefCell;
use std::time::Instant;

use crate::load::{LoadPlan, Progress};
use crate::record::{CoreInterval, Interval};
use crate::report::heat::HeatMap;

/// Gathers the heat map of each run, and passes on what it sees.
pub(super) struct Heat<'a> {
    inner: &'a dyn Progress,
    maps: RefCell<Vec<HeatMap>>,
}

impl<'a> Heat<'a> {
    pub(super) fn new(inner: &'a dyn Progress) -> Heat<'a> {
        Heat { inner, maps: RefCell::new(Vec::new()) }
    }

    /// The map of each run.
    pub(super) fn maps(self) -> Vec<HeatMap> {
        self.maps.into_inner()
    }
}

impl Progress for Heat<'_> {
    fn started(&self, plan: &LoadPlan) {
        self.maps.borrow_mut().push(HeatMap::default());
        self.inner.started(plan);
    }

    fn opens(&self, at: Instant) {
        self.inner.opens(at);
    }

    fn part(&self, part: &CoreInterval) {
        if let Some(map) = self.maps.borrow_mut().last_mut() {
            map.add(part.index as u64, &part.response);
        }
        self.inner.part(part);
    }

    fn interval(&self, interval: &Interval) {
        self.inner.interval(interval);
    }

    fn ends(&self) -> Option<String> {
        self.inner.ends()
    }

    fn finished(&self) {
        self.inner.finished();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::TargetUrl;

    #[derive(Default)]
    struct Spy(RefCell<Vec<&'static str>>);

    impl Progress for Spy {
        fn started(&self, _plan: &LoadPlan) {
            self.0.borrow_mut().push("started");
        }

        fn opens(&self, _at: Instant) {
            self.0.borrow_mut().push("opens");
        }

        fn interval(&self, _interval: &Interval) {}

        fn ends(&self) -> Option<String> {
            Some("enough".to_owned())
        }

        fn finished(&self) {
            self.0.borrow_mut().push("finished");
        }
    }

    #[test]
    fn what_it_does_not_need_it_passes_on() {
        let spy = Spy::default();
        let heat = Heat::new(&spy);
        heat.started(&LoadPlan::closed(TargetUrl::parse("http://127.0.0.1:1/").unwrap(), vec![0]));
        heat.opens(Instant::now());
        assert_eq!(heat.ends().as_deref(), Some("enough"));
        heat.finished();
        assert_eq!(heat.maps().len(), 1);
        assert_eq!(spy.0.into_inner(), ["started", "opens", "finished"]);
    }
}
