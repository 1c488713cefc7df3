//! Sending at intended times.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use covet_runtime::time::sleep_until;
use covet_runtime::yield_now;

use super::worker::Worker;
use crate::clock::Schedule;

/// The kernel wakes a sleeper this much too late, so sleep ends this much early and polling does the rest.
const WAKE_UP_ERROR: Duration = Duration::from_micros(60);
/// A wait shorter than this is not slept at all.
const SHORTEST_SLEEP: Duration = Duration::from_micros(80);

/// Sends every request of the schedule when it is due and a connection is idle; requests that find none are sent
/// by the connection that becomes free first.
///
/// Never finishes: the run drops it.
pub(super) async fn dispatch(worker: Rc<Worker>) {
    let Some(schedule) = &worker.schedule else { return };
    loop {
        // The core's own clock stands still while tasks run, and punctuality is what this task is for.
        let now = Instant::now();
        send_due(&worker, schedule, now);
        let next = schedule.borrow().next_due();
        if worker.allowance() == 0 || (next <= now && worker.idle.borrow().is_empty()) {
            idle_connection(&worker).await;
        } else if next.saturating_duration_since(now) > SHORTEST_SLEEP {
            sleep_until(next - WAKE_UP_ERROR).await;
        } else {
            yield_now().await;
        }
    }
}

fn send_due(worker: &Worker, schedule: &RefCell<Schedule>, now: Instant) {
    // A pipelining connection whose send is under way stays listed, so one pass must not look at it for ever.
    let mut looks = worker.idle.borrow().len();
    if looks > 0 && schedule.borrow().next_due() <= now {
        worker.late_until.set(Some(now));
    }
    while schedule.borrow().next_due() <= now && worker.allowance() > 0 {
        let next = if looks > 0 { worker.idle.borrow_mut().pop_front() } else { None };
        let Some(connection) = next else {
            let backlog = schedule.borrow().backlog(now);
            let mut tally = worker.tally.borrow_mut();
            tally.max_queued = tally.max_queued.max(backlog);
            return;
        };
        looks -= 1;
        if worker.dispatch(&connection, schedule, now) {
            worker.idle.borrow_mut().push_back(connection);
        } else {
            connection.listed.set(false);
        }
    }
}

async fn idle_connection(worker: &Worker) {
    poll_fn(|cx| {
        if worker.allowance() > 0 && !worker.idle.borrow().is_empty() {
            return Poll::Ready(());
        }
        worker.dispatcher.set(Some(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}
