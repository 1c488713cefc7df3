//! Between requests, and within a head.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;

use super::Event;
use super::ending::{end_after_answers, refuse};
use super::link::{Link, Received};
use super::progress::{End, Progress};

/// A connection that has been quiet for so long gives the memory of its last head back.
const QUIET: Duration = Duration::from_secs(1);

/// Why a wait for a head came to an end, or goes on with another limit.
enum Woken {
    Received,
    Failed,
    TimedOut,
    /// The shutdown has begun.
    Closing,
}

/// Sends what is answered, then waits for more bytes of a head. `Some` if the connection is to end instead.
///
/// Nothing here depends on the service. With it as a parameter there is one caller of each copy, in which it is then
/// inlined; a process with two services would else pay for a call on each wake.
///
/// Every idle connection has this future, so it keeps across its waits what it must.
#[expect(clippy::extra_unused_type_parameters, reason = "one copy for each service, as said above")]
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(super) fn wait_for_head<S>(
    link: &Rc<Link>,
    progress: &mut Progress,
) -> impl Future<Output = Option<End>> {
    async move {
        let sent = link.try_send_output().map(|sent| sent.is_ok());
        let is_sent = match sent {
            Some(is_sent) => is_sent,
            None => link.send_output().await.is_ok(),
        };
        if !is_sent {
            return Some(End::Reset);
        }
        if link.input.borrow().ended {
            // A client that has finished sending still gets the answers to what it sent.
            return Some(end_after_answers(link).await);
        }
        let idle = link.input.borrow().is_empty();
        let mut rests_later = start_waiting(link, progress, idle);
        let mut parting = false;
        loop {
            let (may_end, is_first) = (idle && !parting, progress.served == 0);
            match poll_fn(move |cx| poll_woken(link, may_end, is_first, cx)).await {
                Woken::Received => {
                    if parting {
                        link.set_timer(link.shared.config.timeouts.head);
                    }
                    return None;
                }
                Woken::Failed => return Some(End::Close),
                Woken::TimedOut if parting => return Some(end_after_answers(link).await),
                Woken::TimedOut if rests_later => {
                    rests_later = false;
                    progress.rest(link);
                    link.set_timer(link.shared.config.timeouts.idle.saturating_sub(QUIET));
                }
                Woken::TimedOut if idle => {
                    if progress.served == 0 {
                        link.shared.config.counts.add(Event::HeadTimeout);
                    }
                    return Some(End::Close);
                }
                Woken::TimedOut => {
                    link.shared.config.counts.add(Event::HeadTimeout);
                    progress.refuse(StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time");
                    return Some(Box::pin(refuse(link, progress)).await);
                }
                Woken::Closing => {
                    // The client may have sent a request before it could know.
                    parting = true;
                    link.set_timer(link.shared.config.timeouts.farewell);
                }
            }
        }
    }
}

#[inline(always)]
fn poll_woken(link: &Link, may_end: bool, is_first: bool, cx: &mut Context<'_>) -> Poll<Woken> {
    if link.shared.needs_attention() && look_up(link, may_end) {
        return Poll::Ready(Woken::Closing);
    }
    link.poll_receive(cx).map(|received| match received {
        Received::More => Woken::Received,
        Received::Failed(error) => {
            if is_first {
                link.fails(&error);
            }
            Woken::Failed
        }
        Received::TimedOut => Woken::TimedOut,
    })
}

/// Sets the timer for a wait between requests or within a head. Returns whether the wait goes on when it has fired, and
/// the connection rests for it.
#[inline(always)]
fn start_waiting(link: &Link, progress: &mut Progress, idle: bool) -> bool {
    let timeouts = &link.shared.config.timeouts;
    if !idle {
        // Nothing of the kernel's is kept while a slow client takes its time.
        link.input.borrow_mut().hold();
        if !progress.in_head && progress.served > 0 {
            link.set_timer(timeouts.head);
        }
        progress.in_head = true;
        return false;
    }
    match progress.served {
        // The first head has had its time since the connection was accepted.
        0 => return false,
        // Most connections that pause after one request are not the ones that remembering its head would help.
        1 => progress.rest(link),
        _ => {}
    }
    link.set_rest_timer(QUIET.min(timeouts.idle));
    timeouts.idle > QUIET
}

/// Does what a connection that waits need not do as a rule. Returns whether the shutdown ends the wait.
#[cold]
fn look_up(link: &Link, may_end: bool) -> bool {
    if link.shared.has_load() {
        link.next_arrival(link.stream.waiting_since());
    }
    may_end && link.shared.is_closing()
}
