//! Between requests, and within a head.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;

use super::Event;
use super::ending::{end_after_answers, refuse};
use super::link::{Link, Received};
use super::progress::{End, Progress};

/// A connection that has been quiet for so long gives the memory of its last head back.
const QUIET: Duration = Duration::from_secs(1);

/// Sends what is answered, then waits for more bytes of a head. `Some` if the connection is to end instead.
///
/// Nothing here depends on the service. With it as a parameter there is one caller of each copy, in which it is then
/// inlined; a process with two services would else pay for a call on each wake.
#[expect(clippy::extra_unused_type_parameters, reason = "one copy for each service, as said above")]
pub(super) async fn wait_for_head<S>(link: &Rc<Link>, progress: &mut Progress) -> Option<End> {
    let sent = match link.try_send_output() {
        Some(sent) => sent,
        None => link.send_output().await,
    };
    if sent.is_err() {
        return Some(End::Reset);
    }
    if link.input.borrow().ended {
        // A client that has finished sending still gets the answers to what it sent.
        return Some(end_after_answers(link).await);
    }
    let idle = link.input.borrow().is_empty();
    let mut next_limit = start_waiting(link, progress, idle);
    let mut parting = false;
    loop {
        let received = poll_fn(|cx| {
            if link.shared.needs_attention() && look_up(link, idle && !parting) {
                return Poll::Ready(None);
            }
            link.poll_receive(cx).map(Some)
        });
        match received.await {
            Some(Received::More) => {
                if parting {
                    link.set_timer(link.shared.config.timeouts.head);
                }
                return None;
            }
            Some(Received::Failed(error)) => {
                if progress.served == 0 {
                    link.fails(&error);
                }
                return Some(End::Close);
            }
            Some(Received::TimedOut) if parting => return Some(end_after_answers(link).await),
            Some(Received::TimedOut) => match next_limit.take() {
                Some(limit) => {
                    progress.rest(link);
                    link.set_timer(limit);
                }
                None if idle => {
                    if progress.served == 0 {
                        link.shared.config.counts.add(Event::HeadTimeout);
                    }
                    return Some(End::Close);
                }
                None => {
                    link.shared.config.counts.add(Event::HeadTimeout);
                    progress.refuse(StatusCode::REQUEST_TIMEOUT, "the head did not arrive in time");
                    return Some(Box::pin(refuse(link, progress)).await);
                }
            },
            None => {
                // The client may have sent a request before it could know.
                parting = true;
                link.set_timer(link.shared.config.timeouts.farewell);
            }
        }
    }
}

/// Sets the timer for a wait between requests or within a head. Returns what is to be waited for beyond it.
#[inline(always)]
fn start_waiting(link: &Link, progress: &mut Progress, idle: bool) -> Option<Duration> {
    let timeouts = &link.shared.config.timeouts;
    if !idle {
        // Nothing of the kernel's is kept while a slow client takes its time.
        link.input.borrow_mut().hold();
        if !progress.in_head && progress.served > 0 {
            link.set_timer(timeouts.head);
        }
        progress.in_head = true;
        return None;
    }
    match progress.served {
        // The first head has had its time since the connection was accepted.
        0 => return None,
        // Most connections that pause after one request are not the ones that remembering its head would help.
        1 => progress.rest(link),
        _ => {}
    }
    link.set_rest_timer(QUIET.min(timeouts.idle));
    timeouts.idle.checked_sub(QUIET).filter(|rest| !rest.is_zero())
}

/// Does what a connection that waits need not do as a rule. Returns whether the shutdown ends the wait.
#[cold]
fn look_up(link: &Link, may_end: bool) -> bool {
    if link.shared.has_load() {
        link.next_arrival(link.stream.waiting_since());
    }
    may_end && link.shared.is_closing()
}
