//! Who watches a run while it is made.

use std::time::Instant;

use super::LoadPlan;
use crate::record::{CoreInterval, Interval};

/// Who watches a run while it is made.
///
/// A run has one of these; [`Beside`] lets others hear what it is told. A method that is not written takes nothing in.
pub trait Progress {
    /// All connections are open, and the warm-up begins.
    fn started(&self, _plan: &LoadPlan) {}

    /// The measured window opens at this time, which is near.
    fn opens(&self, _at: Instant) {}

    /// A second of the measured window is over on one core.
    fn part(&self, _part: &CoreInterval) {}

    /// A second of the measured window is over on all cores.
    fn interval(&self, _interval: &Interval) {}

    /// Why the run is to end now, where it is; asked after every second. Of several who are asked, the first reason counts.
    fn ends(&self) -> Option<String> {
        None
    }

    /// The run is over.
    fn finished(&self) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}

/// A witness beside the one who watches the run: the witness hears everything first.
///
/// It alone passes on what it hears, so it alone must have every method.
pub struct Beside<'a, W> {
    witness: W,
    inner: &'a dyn Progress,
}

impl<'a, W: Progress> Beside<'a, W> {
    /// Lets `witness` hear what `inner` is told.
    pub fn new(witness: W, inner: &'a dyn Progress) -> Self {
        Self { witness, inner }
    }

    /// The witness, with what it took in.
    pub fn into_witness(self) -> W {
        self.witness
    }
}

impl<W: Progress> Progress for Beside<'_, W> {
    fn started(&self, plan: &LoadPlan) {
        self.witness.started(plan);
        self.inner.started(plan);
    }

    fn opens(&self, at: Instant) {
        self.witness.opens(at);
        self.inner.opens(at);
    }

    fn part(&self, part: &CoreInterval) {
        self.witness.part(part);
        self.inner.part(part);
    }

    fn interval(&self, interval: &Interval) {
        self.witness.interval(interval);
        self.inner.interval(interval);
    }

    fn ends(&self) -> Option<String> {
        self.witness.ends().or_else(|| self.inner.ends())
    }

    fn finished(&self) {
        self.witness.finished();
        self.inner.finished();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::TargetUrl;
    use std::cell::RefCell;
    use std::time::Duration;

    /// Writes down what it hears, in the list of whoever listens with it.
    struct Spy<'a> {
        name: &'static str,
        heard: &'a RefCell<Vec<String>>,
        ends: Option<&'static str>,
    }

    impl Spy<'_> {
        fn note(&self, what: &str) {
            self.heard.borrow_mut().push(format!("{} {what}", self.name));
        }
    }

    impl Progress for Spy<'_> {
        fn started(&self, _plan: &LoadPlan) {
            self.note("started");
        }

        fn opens(&self, _at: Instant) {
            self.note("opens");
        }

        fn part(&self, part: &CoreInterval) {
            self.note(&format!("part {}", part.index));
        }

        fn interval(&self, interval: &Interval) {
            self.note(&format!("interval {}", interval.completed));
        }

        fn ends(&self) -> Option<String> {
            self.note("ends");
            self.ends.map(str::to_owned)
        }

        fn finished(&self) {
            self.note("finished");
        }
    }

    /// Takes nothing in.
    struct Deaf;

    impl Progress for Deaf {}

    fn tell(progress: &dyn Progress) -> Option<String> {
        progress.started(&LoadPlan::closed(TargetUrl::parse("http://127.0.0.1:1/").unwrap(), vec![0]));
        progress.opens(Instant::now());
        progress.part(&CoreInterval { index: 7, ..CoreInterval::default() });
        progress.interval(&Interval {
            start: Duration::ZERO,
            length: Duration::from_secs(1),
            completed: 5,
            failed: 0,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            backlog: 0,
        });
        let ends = progress.ends();
        progress.finished();
        ends
    }

    #[test]
    fn everybody_hears_everything_and_the_first_reason_counts() {
        let heard = RefCell::default();
        let spy = |name, ends| Spy { name, heard: &heard, ends };
        let inner = Beside::new(spy("inner", Some("enough")), &NoProgress);
        let deaf = Beside::new(Deaf, &inner);
        let outer = Beside::new(spy("outer", None), &deaf);
        assert_eq!(tell(&outer).as_deref(), Some("enough"));
        let each = ["started", "opens", "part 7", "interval 5", "ends", "finished"];
        let both: Vec<String> =
            each.iter().flat_map(|what| ["outer", "inner"].map(|name| format!("{name} {what}"))).collect();
        assert_eq!(heard.take(), both);
        let first = Beside::new(spy("first", Some("at once")), &inner);
        assert_eq!(tell(&first).as_deref(), Some("at once"));
        assert_eq!(tell(&NoProgress), None);
    }
}
