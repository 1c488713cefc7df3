//! Sending at intended times.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use covet_runtime::time::sleep_until;
use covet_runtime::yield_now;

use super::protocol::Protocol;
use super::worker::Worker;
use crate::clock::Schedule;

/// The kernel wakes a sleeper this much too late, so sleep ends this much early and polling does the rest.
const WAKE_UP_ERROR: Duration = Duration::from_micros(60);
/// A wait shorter than this is not slept at all.
const SHORTEST_SLEEP: Duration = Duration::from_micros(80);

/// Sends every request of the schedule when it is due and a connection is idle, and every request of a connection that
/// thinks; requests that find no idle connection are sent by the one that becomes free first.
///
/// Never finishes: the run drops it.
pub(super) async fn dispatch<P: Protocol>(worker: Rc<Worker<P>>) {
    loop {
        // The core's own clock stands still while tasks run, and punctuality is what this task is for.
        let now = Instant::now();
        worker.send_thought(now);
        if let Some(schedule) = &worker.schedule {
            send_due(&worker, schedule, now);
        }
        match worker.next_due().filter(|_| worker.allowance() > 0) {
            None => stirred(&worker, None).await,
            Some(next) if next.saturating_duration_since(now) > SHORTEST_SLEEP => {
                stirred(&worker, Some(next - WAKE_UP_ERROR)).await;
            }
            Some(_) => yield_now().await,
        }
    }
}

fn send_due<P: Protocol>(worker: &Worker<P>, schedule: &RefCell<Schedule>, now: Instant) {
    // A pipelining connection whose send is under way stays listed, so one pass must not look at it for ever.
    let mut looks = worker.idle.borrow().len();
    if looks > 0 && schedule.borrow().next_due() <= now {
        worker.late_until.set(Some(now));
    }
    while schedule.borrow().next_due() <= now && worker.allowance() > 0 {
        let next = if looks > 0 { worker.idle.borrow_mut().pop_front() } else { None };
        let Some(connection) = next else {
            let backlog = schedule.borrow_mut().backlog(now);
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

/// Waits until this time, or until a connection gives reason to look again.
async fn stirred<P: Protocol>(worker: &Worker<P>, until: Option<Instant>) {
    let mut sleep = pin!(until.map(sleep_until));
    let mut waiting = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waiting, true) {
            return Poll::Ready(());
        }
        worker.dispatcher.set(Some(cx.waker().clone()));
        match sleep.as_mut().as_pin_mut() {
            Some(sleep) => sleep.poll(cx),
            None => Poll::Pending,
        }
    })
    .await;
}
