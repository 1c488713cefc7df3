//! Giving up on requests that wait too long.

use std::rc::Rc;
use std::time::Duration;

use covet_runtime::time;

use super::protocol::Protocol;
use super::worker::Worker;

/// Looks at every connection of the core a few times per timeout, and gives up those whose oldest request waits
/// too long.
///
/// A timer for each request would cost more than the request's own bookkeeping; a timeout noticed up to a tenth
/// late is recorded at its true age. Never finishes: the run drops it.
pub(super) async fn watch<P: Protocol>(worker: Rc<Worker<P>>) {
    let timeout = worker.job.timeout;
    let pause = (timeout / 10).clamp(Duration::from_millis(1), Duration::from_millis(100));
    loop {
        time::sleep(pause).await;
        let now = time::now();
        for connection in worker.connections.borrow().iter() {
            let oldest = connection.in_flight.borrow().oldest();
            if oldest.is_some_and(|sent| now.saturating_duration_since(sent) >= timeout) {
                connection.expire();
            }
        }
    }
}
