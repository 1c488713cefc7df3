//! Connections that are not let in.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::spawn;
use http::StatusCode;
use http::header::RETRY_AFTER;

use super::Event;
use super::accept::{Place, Shared};
use super::ending::{linger, refuse};
use super::link::Link;
use super::listener::Accepted;
use super::overload::retry_after;
use super::problem::problem;
use super::progress::Progress;

/// Clients of one core that are told at a time why they are not let in. A flood has the others reset.
const TOLD_AT_ONCE: usize = 64;
/// After which time it is worth trying again, if the server says nothing else.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// How many are being told.
#[derive(Default)]
pub(super) struct Refusals(Cell<usize>);

/// Ends a connection for which the process has no room, with a 503 answer if that is possible and cheap.
#[cold]
pub(super) fn turn_away(accepted: Accepted, shared: &Rc<Shared>) {
    if let Some(times) = shared.complaint(Event::OverTotal) {
        let total = shared.config.admission.as_ref().map(|admission| admission.limits().total);
        tracing::warn!(
            total,
            times,
            "the process has as many connections as it may: new ones are turned away"
        );
    }
    #[cfg(feature = "tls")]
    if shared.tls.is_some() {
        return accepted.reset();
    }
    if shared.refusals.0.get() >= TOLD_AT_ONCE {
        return accepted.reset();
    }
    shared.refusals.0.set(shared.refusals.0.get() + 1);
    let told = Told(Place::take(Rc::new(Link::new(accepted, shared.clone())), None));
    spawn(async move {
        let link = &told.0.link;
        let wait = shared_wait(link);
        let response =
            problem(StatusCode::SERVICE_UNAVAILABLE, "the server has too many connections; try again later")
                .with_header(RETRY_AFTER, retry_after(wait));
        let mut progress = Progress::answering(response);
        refuse(link, &mut progress).await;
        // What the client sends meanwhile is read, as a reset would take the answer from it.
        linger(link).await;
    })
    .detach();
}

fn shared_wait(link: &Link) -> Duration {
    let overload = link.shared.config.overload.as_ref();
    overload.map_or(RETRY_AFTER_DEFAULT, |overload| overload.retry_after)
}

/// A client that is being told.
struct Told(Place);

impl Drop for Told {
    fn drop(&mut self) {
        let refusals = &self.0.link.shared.refusals.0;
        refusals.set(refusals.get() - 1);
    }
}

impl Shared {
    /// Notes that an address has too many connections.
    #[cold]
    pub(super) fn refuse_address(&self, address: IpAddr) {
        if let Some(times) = self.complaint(Event::OverAddress) {
            tracing::warn!(%address, times, "an address has as many connections as it may: its new ones are reset");
        }
    }
}
