//! Noticing that the generator itself stood still.

use std::rc::Rc;
use std::time::{Duration, Instant};

use covet_runtime::time;

use super::protocol::Protocol;
use super::worker::Worker;

/// How often it looks: a pause of twice this length or more is seen as at least half of what it was.
const PULSE: Duration = Duration::from_millis(10);

/// Records by how much the core's timers overshoot.
///
/// A stopped or descheduled generator measures a stall that no server had. It cannot tell from its requests, since
/// it received nothing in that time; a timer that fires late can. Never finishes: the run drops it.
pub(super) async fn observe<P: Protocol>(worker: Rc<Worker<P>>) {
    loop {
        let planned = Instant::now() + PULSE;
        time::sleep_until(planned).await;
        let late = Instant::now().saturating_duration_since(planned);
        let mut tally = worker.tally.borrow_mut();
        tally.longest_pause = tally.longest_pause.max(late);
    }
}
