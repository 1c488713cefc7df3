//! Connections that go on in another protocol.

use std::rc::Rc;

use http::StatusCode;
use http::header::UPGRADE;

use super::ending::finish_body;
use super::link::Link;
use super::problem::problem;
use super::progress::End;
use crate::Response;
use crate::h1::Exchange;
use crate::upgrade::Offer;

/// What is to be done about an answer to a request that offered another protocol.
pub(super) enum Settled {
    /// It is an answer like any other.
    No,
    /// The connection leaves HTTP behind it.
    Switch,
    /// It would, but can't; this is to be sent instead.
    Impossible(Response),
}

pub(super) fn settle(response: &Response, exchange: Exchange, offer: &Offer) -> Settled {
    let status = response.status();
    if exchange.connect && status.is_success() {
        return match offer.is_taken() {
            true => Settled::Switch,
            // A handler that answers any method has not said that it makes tunnels.
            false => Settled::Impossible(problem(StatusCode::NOT_IMPLEMENTED, "CONNECT is not served here")),
        };
    }
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Settled::No;
    }
    if exchange.upgrade && offer.is_taken() && response.header(UPGRADE.as_str()).is_some() {
        return Settled::Switch;
    }
    tracing::error!("a handler answered 101 without an Upgrade field or without taking Request::upgrade");
    Settled::Impossible(problem(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be handled"))
}

/// Sends the answer and lets the connection go to whoever took the offer.
pub(super) async fn switch(link: &Rc<Link>, response: &Response, exchange: Exchange, offer: Offer) -> End {
    // The next protocol begins behind the request's content, and a client that waits for a 100 response gets that
    // first (RFC 9110 section 7.8).
    link.send_continue();
    if !finish_body(link, true).await {
        return End::Reset;
    }
    link.shared.refresh_date();
    link.answer(response, exchange);
    if link.send_output().await.is_err() {
        return End::Reset;
    }
    End::Switch(offer)
}
