//! What a proxy says before the client's first byte.

use std::future::poll_fn;
use std::task::Poll;

use super::Event;
use super::accept::Place;
use super::link::Link;
use crate::proxy_protocol::{Client, Decoded, ProxyProtocol, decode};

/// What became of the wait for a header.
enum Outcome {
    /// The connection goes on, with or without one.
    GoOn,
    /// It ends, and this is why.
    Refuse(String),
    /// It has ended, or there was no byte in time.
    Gone,
}

/// Reads the header of the PROXY protocol, within the time of the first head or of the TLS handshake. Returns whether the
/// connection is to be served.
pub(super) async fn read(place: &Place) -> bool {
    let link = &place.link;
    let (trusted, required) = match &link.shared.config.proxy_protocol {
        ProxyProtocol::Off => return true,
        ProxyProtocol::Optional(trusted) => (trusted, false),
        ProxyProtocol::Required(trusted) => (trusted, true),
    };
    let from_trusted = || link.stream.sender().is_some_and(|sender| trusted.contains(sender.ip()));
    if !link.stream.is_local() && !from_trusted() {
        if required {
            complain(link, "it comes from an address that is not trusted");
        }
        return !required;
    }
    match receive(link, required).await {
        Outcome::GoOn => may_enter(place),
        Outcome::Refuse(why) => {
            complain(link, &why);
            false
        }
        Outcome::Gone => false,
    }
}

async fn receive(link: &Link, required: bool) -> Outcome {
    let mut bytes = Vec::new();
    loop {
        let received = poll_fn(|cx| match link.stream.poll_receive_raw(cx) {
            Poll::Ready(received) => Poll::Ready(received.ok().filter(|received| !received.is_empty())),
            Poll::Pending => link.poll_timer(cx).map(|()| None),
        });
        let Some(received) = received.await else {
            // Load balancers open connections and close them to see whether somebody is there.
            return if bytes.is_empty() {
                Outcome::Gone
            } else {
                Outcome::Refuse("its header is cut off".into())
            };
        };
        bytes.extend_from_slice(&received);
        drop(received);
        let consumed = match decode(&bytes) {
            Ok(Decoded::Partial) => continue,
            Ok(Decoded::Absent) if required => {
                return Outcome::Refuse("it begins with something else".into());
            }
            Ok(Decoded::Absent) => 0,
            Ok(Decoded::Complete { header, consumed }) => {
                link.stream.set_proxied(header);
                consumed
            }
            Err(error) => return Outcome::Refuse(error.to_string()),
        };
        return match link.stream.receive_again(&mut bytes[consumed..], &link.input) {
            Ok(()) => Outcome::GoOn,
            Err(error) => {
                link.fails(&error);
                Outcome::Gone
            }
        };
    }
}

/// Counts the connection as one of the client's address, if addresses are counted.
fn may_enter(place: &Place) -> bool {
    let Some(ticket) = &place.ticket else { return true };
    let address = match place.link.stream.proxied().map(|header| header.client()) {
        Some(Client::At(address)) => Some(address),
        Some(Client::Elsewhere | Client::Sender) => None,
        None => place.link.stream.sender(),
    };
    match address {
        Some(address) if !ticket.claim(address.ip()) => {
            place.link.shared.refuse_address(address.ip());
            false
        }
        _ => true,
    }
}

/// Notes that a header came where none is taken, which is refused as no HTTP, or no TLS: whoever has set up the proxy has
/// to know.
#[cold]
pub(super) fn tell_of_unexpected(link: &Link) {
    complain(link, "there is one where none is taken: its sender is not trusted, or the protocol is off");
}

#[cold]
fn complain(link: &Link, why: &str) {
    if let Some(times) = link.shared.complaint(Event::ProxyHeader) {
        let sender = link.stream.sender().map(tracing::field::display);
        tracing::warn!(sender, why, times, "a connection has no good PROXY protocol header, and is closed");
    }
}
