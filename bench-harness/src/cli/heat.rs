//! `run --html`: the response times over time, gathered while the runs are made.

use std::cell::RefCell;

use crate::load::{Beside, LoadPlan, Progress};
use crate::record::CoreInterval;
use crate::report::heat::HeatMap;

/// Gathers the heat map of each run.
#[derive(Default)]
pub(super) struct Heat {
    maps: RefCell<Vec<HeatMap>>,
}

impl Heat {
    /// Gathers beside whoever watches the runs.
    pub(super) fn beside(inner: &dyn Progress) -> Beside<'_, Self> {
        Beside::new(Self::default(), inner)
    }

    /// The map of each run.
    pub(super) fn maps(self) -> Vec<HeatMap> {
        self.maps.into_inner()
    }
}

impl Progress for Heat {
    fn started(&self, _plan: &LoadPlan) {
        self.maps.borrow_mut().push(HeatMap::default());
    }

    fn part(&self, part: &CoreInterval) {
        if let Some(map) = self.maps.borrow_mut().last_mut() {
            map.add(part.index as u64, &part.response);
        }
    }
}
