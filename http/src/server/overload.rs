//! What a core does when more is asked of it than it can do: wait a little, within bounds, then say so.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use covet_runtime::sync::Semaphore;
use covet_runtime::time;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::Event;
use super::link::Link;
use super::problem::problem;
use crate::Response;

/// How a core sheds load: what it works on, what may wait, and for how long.
///
/// A request counts as worked on from the call of the service until it has answered; the body of the answer, and
/// requests that are answered within one poll, hold nobody up. When `in_flight` requests are worked on, others wait in
/// the order they came, and those that can't, or have waited for too long, are answered 503 with Retry-After, on a
/// connection that stays open. So under any load a client has an answer within about `age`, and the core spends its
/// time on requests whose clients still wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Requests that the service works on at a time, on this core. Default 1,024.
    pub in_flight: usize,
    /// Requests that wait for their turn, at most one for each connection. Default 1,024.
    pub queue: usize,
    /// How long a request may have waited since its bytes came: in the core's buffers, while the core was busy with
    /// others; behind the requests of its own connection; and in the queue. Waiting in the kernel's backlog is not
    /// seen. Default 2 s.
    pub age: Duration,
    /// What the Retry-After field says, in whole seconds, rounded up. Default 1 s.
    pub retry_after: Duration,
}

impl Default for Overload {
    fn default() -> Overload {
        Overload {
            in_flight: 1024,
            queue: 1024,
            age: Duration::from_secs(2),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// The load of one core.
pub(super) struct Load {
    policy: Overload,
    slots: Semaphore,
    waiting: Cell<usize>,
}

/// One of the requests that are worked on.
pub(super) struct InFlight(Rc<Load>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.slots.add_permits(1);
    }
}

/// What is to become of a request.
pub(super) enum Verdict {
    Serve(InFlight),
    Wait,
    Shed(Event),
}

impl Load {
    pub(super) fn new(policy: Overload) -> Rc<Load> {
        let slots = Semaphore::new(policy.in_flight.clamp(1, Semaphore::MAX_PERMITS));
        Rc::new(Load { policy, slots, waiting: Cell::new(0) })
    }

    /// Whether a request whose bytes came then is too old to be served.
    pub(super) fn is_too_old(&self, came: Option<Instant>) -> bool {
        came.is_some_and(|came| came.elapsed() > self.policy.age)
    }

    pub(super) fn judge(self: &Rc<Load>) -> Verdict {
        match self.slots.try_acquire() {
            Ok(permit) => {
                permit.forget();
                Verdict::Serve(InFlight(self.clone()))
            }
            Err(_) if self.waiting.get() < self.policy.queue => Verdict::Wait,
            Err(_) => Verdict::Shed(Event::QueueFull),
        }
    }

    /// Waits for a turn; `None` if that takes too long. Uses the connection's timer.
    pub(super) async fn wait(self: &Rc<Load>, link: &Link, came: Option<Instant>) -> Option<InFlight> {
        let waited = came.map_or(Duration::ZERO, |came| time::now().saturating_duration_since(came));
        link.set_timer(self.policy.age.saturating_sub(waited));
        let _place = Place::take(&self.waiting);
        let mut acquire = pin!(self.slots.acquire());
        poll_fn(|cx| match acquire.as_mut().poll(cx) {
            Poll::Ready(granted) => Poll::Ready(granted.ok().map(|permit| {
                permit.forget();
                InFlight(self.clone())
            })),
            Poll::Pending => link.poll_timer(cx).map(|()| None),
        })
        .await
    }

    /// The answer to a request that is not served.
    pub(super) fn answer(&self) -> Response {
        problem(StatusCode::SERVICE_UNAVAILABLE, "the server is overloaded; try again later")
            .with_header(RETRY_AFTER, retry_after(self.policy.retry_after))
    }
}

/// A wait as whole seconds, at least one.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

/// One of those who wait.
struct Place<'a>(&'a Cell<usize>);

impl Place<'_> {
    fn take(waiting: &Cell<usize>) -> Place<'_> {
        waiting.set(waiting.get() + 1);
        Place(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_whole_seconds_rounded_up_and_never_none() {
        for (millis, told) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (2500, "3")] {
            assert_eq!(retry_after(Duration::from_millis(millis)), told, "{millis} ms");
        }
    }
}
