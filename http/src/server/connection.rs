//! The life of a connection: read a head, call the service, write the answer, again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::accept::Place;
use super::calling::{begin_call, drop_call, poll_while_sending};
use super::ending::{end_after_answers, end_without_client, finish, linger, refuse};
use super::link::Link;
use super::output::{COPY, PIECE};
use super::prelude;
use super::progress::{End, Progress, Step, begin_exchange, decode, offer_upgrade, refuse_head};
use super::shedding::{judge, shed, wait_for_turn};
use super::upgraded::Tunnel;
use super::waiting::wait_for_head;
use crate::h1::Decoded;
use crate::{Request, Response, Service, Upgraded};

/// Serves one connection until it ends.
///
/// The future is kept small, as every idle connection has one: what only some exchanges need is boxed, and nothing is
/// kept across a wait that is not needed behind it, a result that is matched on above all.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(super) fn run<S: Service>(place: Place, service: Rc<S>) -> impl Future<Output = ()> {
    async move {
        place.register().await;
        if place.link.has_prelude() && !Box::pin(prelude::read(&place)).await {
            return place.link.stream.reset_on_close();
        }
        // Behind a header of the PROXY protocol, bytes have been received already that the kernel would have to see.
        #[cfg(feature = "tls")]
        if place.link.stream.may_leave_to_kernel().is_some()
            && !place.link.has_prelude()
            && Box::pin(super::handover::hand_over(&place.link))
                .await
                .inspect_err(|error| place.link.fails(error))
                .is_err()
        {
            return Box::pin(linger(&place.link)).await;
        }
        let lingers = match exchanges(&place.link, &*service).await {
            // Without the announcement, an end looks as if somebody had cut the connection.
            End::Close => place.link.is_secure(),
            End::Linger => true,
            End::Reset => {
                place.link.stream.reset_on_close();
                false
            }
            End::Switch(offer) => return offer.hand_over(Upgraded::new(Tunnel::new(place))),
        };
        if lingers {
            Box::pin(linger(&place.link)).await;
        }
    }
}

#[expect(clippy::manual_async_fn, reason = "as above")]
fn exchanges<S: Service>(link: &Rc<Link>, service: &S) -> impl Future<Output = End> {
    async move {
        let make = |request| service.call(request);
        let mut call = pin!(None);
        let mut progress = Progress::default();
        loop {
            let step =
                poll_fn(|cx| Poll::Ready(answer_ready(link, &mut progress, &make, call.as_mut(), cx))).await;
            match step {
                Step::NeedInput => {
                    progress.slot = None;
                    match wait_for_head::<S>(link, &mut progress).await {
                        Some(end) => return end,
                        None => continue,
                    }
                }
                Step::OutputIsFull => {
                    progress.slot = None;
                    match link.send_output().await {
                        Ok(()) => continue,
                        Err(_) => return End::Reset,
                    }
                }
                Step::Closing => {
                    progress.slot = None;
                    return end_after_answers(link).await;
                }
                Step::Refuse => return Box::pin(refuse(link, &mut progress)).await,
                Step::Answer => {}
                Step::Waiting => {
                    link.input.borrow_mut().hold();
                    let response = poll_fn(|cx| poll_while_sending(link, call.as_mut(), cx));
                    progress.response = response.await.map(Box::new);
                    if progress.response.is_none() {
                        drop_call(&link.shared.config, call.as_mut());
                        return Box::pin(end_without_client(link)).await;
                    }
                }
                Step::Queue => match Box::pin(wait_for_turn(link, &mut progress)).await {
                    None => continue,
                    Some(Step::Refuse) => return Box::pin(refuse(link, &mut progress)).await,
                    Some(_) => {}
                },
                Step::Shed => {
                    if shed(link, &mut progress) == Step::Refuse {
                        return Box::pin(refuse(link, &mut progress)).await;
                    }
                }
            }
            progress.slot = None;
            if let Some(end) = Box::pin(finish(link, &mut progress)).await {
                return end;
            }
        }
    }
}

/// Answers the requests that have been received whole, for as long as the service answers at once and the answers are
/// small: the path of nearly every request, without a suspension point in it.
fn answer_ready<Fut: Future<Output = Response>>(
    link: &Rc<Link>,
    progress: &mut Progress,
    make: &impl Fn(Request) -> Fut,
    mut call: Pin<&mut Option<Fut>>,
    cx: &mut Context<'_>,
) -> Step {
    let shared = &*link.shared;
    shared.refresh_date();
    loop {
        let consumed = match decode(link, &mut progress.head) {
            Ok(Decoded::Complete { consumed }) => consumed,
            Ok(Decoded::Partial) => return Step::NeedInput,
            Err(error) => return refuse_head(link, progress, &error),
        };
        if shared.has_load()
            && let Some(step) = judge(link, progress, consumed)
        {
            return step;
        }
        let (exchange, body) = match begin_exchange(link, progress, consumed) {
            Ok(begun) => begun,
            Err(step) => return step,
        };
        let Some(head) = &progress.head else { return Step::NeedInput };
        let mut request = Request::new(head.clone(), body);
        if let Some(peer) = progress.peer(link) {
            request.set_peer(peer.clone());
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = link.stream.tls() {
            request.set_tls(tls.clone());
        }
        if exchange.upgrade | exchange.connect {
            request.set_upgrade(offer_upgrade(progress));
        }
        let polled = begin_call(&link.shared.config, call.as_mut(), cx, || make(request));
        let Poll::Ready(response) = polled else {
            progress.exchange = Some(exchange);
            return Step::Waiting;
        };
        let is_special = progress.incoming.is_some() | progress.offer.is_some();
        if is_special || response.body().as_fixed().is_none_or(|body| body.len() > COPY) {
            progress.exchange = Some(exchange);
            progress.response = Some(Box::new(response));
            return Step::Answer;
        }
        let (encoded, waiting) = link.answer_whole(&response, exchange);
        if !encoded.keep_alive {
            // The connection ends once this is sent; what was pipelined behind it is not answered.
            link.count_panic(&response);
            return Step::Closing;
        }
        if waiting >= PIECE {
            return Step::OutputIsFull;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_fn;

    type Call = Pin<Box<dyn Future<Output = Response>>>;

    /// Of the future that `run` makes.
    fn size_of_run<S: Service>(_service: &S) -> usize {
        fn size_of_returned<A, B, F>(_function: impl FnOnce(A, B) -> F) -> usize {
            size_of::<F>()
        }
        size_of_returned(run::<S>)
    }

    /// All that a plain connection has while it is idle, beside what the runtime keeps for its task, socket and timer.
    #[test]
    fn an_idle_connection_is_small() {
        let service = service_fn(|_request| -> Call { Box::pin(async { Response::new("") }) });
        let (future, link) = (size_of_run(&service), size_of::<Link>());
        assert!(future <= 240, "the future has {future} bytes");
        assert!(link <= 200, "the link has {link} bytes");
    }
}
