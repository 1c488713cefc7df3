//! `run --tui`: the run on the whole terminal.
//!
//! It sees what the progress line sees, through [`Progress`], on the thread that conducts the run and once a second: the
//! generator's threads do the same with it and without it.

mod screen;
mod view;

use std::cell::RefCell;
use std::io::{self, IsTerminal};

use crate::load::{LoadPlan, Progress};
use crate::record::{CoreInterval, Interval};
use screen::Screen;
use view::View;

/// The live view, from before the first run to after the last.
pub(super) struct Live {
    state: RefCell<State>,
}

struct State {
    /// `None` between runs, and once the terminal refused.
    screen: Option<Screen>,
    view: View,
}

impl Live {
    /// The view of `repeats` runs, or `None` where standard output is no terminal.
    pub(super) fn begin(plan: &LoadPlan, repeats: usize) -> Option<Live> {
        io::stdout()
            .is_terminal()
            .then(|| Live { state: RefCell::new(State { screen: None, view: View::new(plan, repeats) }) })
    }
}

impl State {
    fn draw(&mut self) {
        let view = &self.view;
        if self.screen.as_mut().is_some_and(|screen| screen.draw(|frame| view.draw(frame)).is_err()) {
            // A terminal that went away takes its view with it, and not the run.
            self.screen = None;
        }
    }
}

impl Progress for Live {
    fn started(&self, plan: &LoadPlan) {
        let state = &mut *self.state.borrow_mut();
        state.view.started(plan);
        state.screen = Screen::enter().ok();
        state.draw();
    }

    fn part(&self, part: &CoreInterval) {
        self.state.borrow_mut().view.part(part);
    }

    fn interval(&self, interval: &Interval) {
        let state = &mut *self.state.borrow_mut();
        state.view.interval(interval);
        state.draw();
    }

    fn finished(&self) {
        self.state.borrow_mut().screen = None;
    }
}
