//! What becomes of a request while a core has too much to do.

use std::rc::Rc;

use super::Event;
use super::link::Link;
use super::overload::Verdict;
use super::progress::{Progress, Step, begin_exchange, decode, refuse_head};
use crate::h1::Decoded;

/// What is to be done about the request that the first `length` bytes are instead of serving it, if the core has too much
/// to do.
#[cold]
pub(super) fn judge(link: &Link, progress: &mut Progress, length: usize) -> Option<Step> {
    let load = link.shared.load.as_ref()?;
    let verdict = match &progress.slot {
        // The bytes of a whole batch have come together, and the clock is read once for them.
        Some(_) => return None,
        None if load.is_too_old(link.arrival(length)) => Verdict::Shed(Event::TooOld),
        None => load.judge(),
    };
    match verdict {
        Verdict::Serve(slot) => {
            progress.slot = Some(slot);
            None
        }
        Verdict::Wait => Some(Step::Queue),
        Verdict::Shed(event) => {
            link.shared.config.counts.add(event);
            Some(Step::Shed)
        }
    }
}

/// Waits until the core has time for the request that comes next; what is to be done if it has none.
pub(super) async fn wait_for_turn(link: &Rc<Link>, progress: &mut Progress) -> Option<Step> {
    link.input.borrow_mut().hold();
    // A failure shows again when the next answer is sent.
    let _ = link.send_output_now();
    let load = link.shared.load.clone()?;
    progress.slot = load.wait(link, link.last_arrival()).await;
    if progress.slot.is_some() {
        return None;
    }
    link.shared.config.counts.add(Event::TooOld);
    Some(shed(link, progress))
}

/// Leaves the answer to a request that is decoded, but not served for want of time.
#[cold]
pub(super) fn shed(link: &Rc<Link>, progress: &mut Progress) -> Step {
    // It is decoded once more, as it was left in the input.
    let consumed = match decode(link, &mut progress.head) {
        Ok(Decoded::Complete { consumed }) => consumed,
        Ok(Decoded::Partial) => return Step::Answer,
        Err(error) => return refuse_head(link, progress, &error),
    };
    match begin_exchange(link, progress, consumed) {
        Ok((exchange, _body)) => {
            progress.exchange = Some(exchange);
            progress.response = link.shared.load.as_ref().map(|load| Box::new(load.answer()));
            Step::Answer
        }
        Err(step) => step,
    }
}
