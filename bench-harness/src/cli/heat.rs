//! `run --html`: the response times over time, gathered while the runs are made.

use std::cell::RefCell;

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
