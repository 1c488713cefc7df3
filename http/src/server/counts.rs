//! What a server turned away or cut off.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something that a server did to protect itself. Each of them is rare, so counting them costs requests nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A connection beyond [`AdmissionLimits::total`](super::AdmissionLimits::total).
    OverTotal,
    /// A connection beyond [`AdmissionLimits::per_address`](super::AdmissionLimits::per_address).
    OverAddress,
    /// Accepting paused at [`Config::connections`](super::Config::connections): new ones wait in the backlog.
    AcceptPaused,
    /// Accepting failed, for want of descriptors as a rule.
    AcceptFailed,
    /// A request beyond [`Overload::queue`](super::Overload::queue), answered 503.
    QueueFull,
    /// A request that waited longer than [`Overload::age`](super::Overload::age), answered 503.
    TooOld,
    /// A request that the codec refused: malformed, or over a limit of [`Limits`](crate::h1::Limits).
    Refused,
    /// A head, or a first byte, that did not come within [`Timeouts::head`](super::Timeouts::head).
    HeadTimeout,
    /// A body that was slower than [`Timeouts::body`](super::Timeouts::body) and
    /// [`body_rate`](super::Timeouts::body_rate) allow.
    BodyTimeout,
    /// A client that did not read an answer within [`Timeouts::write`](super::Timeouts::write).
    WriteTimeout,
    /// A connection without the PROXY protocol header that it must have, with a bad one, or with one where none is taken.
    ProxyHeader,
    /// A TLS handshake that failed: no version or cipher in common, no TLS at all, a client without a good certificate
    /// where one is required, a client that does not accept ours. The log tells of those about certificates.
    TlsHandshake,
    /// A handler that panicked, or a stream or a destructor of the application's.
    Panic,
    /// A handler, or the stream of an answer, that was dropped since its client had gone.
    Cancelled,
    /// An answer whose body failed by no fault of its client's; the log says why.
    BodyFailed,
    /// A connection that had left HTTP and was silent for longer than
    /// [`Timeouts::upgraded`](super::Timeouts::upgraded).
    UpgradedTimeout,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 16] = [
        Event::OverTotal,
        Event::OverAddress,
        Event::AcceptPaused,
        Event::AcceptFailed,
        Event::QueueFull,
        Event::TooOld,
        Event::Refused,
        Event::HeadTimeout,
        Event::BodyTimeout,
        Event::WriteTimeout,
        Event::ProxyHeader,
        Event::TlsHandshake,
        Event::Panic,
        Event::Cancelled,
        Event::BodyFailed,
        Event::UpgradedTimeout,
    ];

    /// A name for metrics, in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Event::OverTotal => "over_total",
            Event::OverAddress => "over_address",
            Event::AcceptPaused => "accept_paused",
            Event::AcceptFailed => "accept_failed",
            Event::QueueFull => "queue_full",
            Event::TooOld => "too_old",
            Event::Refused => "refused",
            Event::HeadTimeout => "head_timeout",
            Event::BodyTimeout => "body_timeout",
            Event::WriteTimeout => "write_timeout",
            Event::ProxyHeader => "proxy_header",
            Event::TlsHandshake => "tls_handshake",
            Event::Panic => "panic",
            Event::Cancelled => "cancelled",
            Event::BodyFailed => "body_failed",
            Event::UpgradedTimeout => "upgraded_timeout",
        }
    }

    /// What is counted, as one of them is called, and what happened to it.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Event::OverTotal => ("connection", "over the limit of all: 503"),
            Event::OverAddress => ("connection", "over the limit of its address: reset"),
            Event::AcceptPaused => ("pause", "no accepting at the limit of a core: new connections wait"),
            Event::AcceptFailed => ("failure", "accepting failed, for want of descriptors as a rule"),
            Event::QueueFull => ("request", "the queue was full: 503"),
            Event::TooOld => ("request", "waited for too long: 503"),
            Event::Refused => ("request", "malformed, or over a limit: 4xx or 5xx, closed"),
            Event::HeadTimeout => ("connection", "no head, or no first byte, in time: closed"),
            Event::BodyTimeout => ("request", "its body was too slow: 408, closed"),
            Event::WriteTimeout => ("connection", "did not read its answers in time: reset"),
            Event::ProxyHeader => ("connection", "no good PROXY protocol header"),
            Event::TlsHandshake => ("handshake", "failed: no TLS, nothing in common, or a certificate"),
            Event::Panic => ("panic", "of a handler: 500, closed; of a stream or destructor: closed"),
            Event::Cancelled => ("request", "dropped, since its client had gone"),
            Event::BodyFailed => ("answer", "its body failed by no fault of the client's"),
            Event::UpgradedTimeout => ("connection", "silent for too long after it had left HTTP: closed"),
        }
    }
}

/// How often each [`Event`] has happened, on all cores that serve with clones of one [`Config`](super::Config).
///
/// A clone is another handle of the same counts, which any thread may read. Its text is a table of those that are not zero,
/// a line each: the count, what is counted, the event's name, and what it means. It is empty when nothing has happened.
///
/// ```
/// use covet_http::server::{Config, Event};
///
/// let config = Config::default();
/// let counts = config.counts.clone();
/// // ... serve with clones of `config`, and anywhere, at any time:
/// assert_eq!(counts.get(Event::OverTotal), 0);
/// ```
#[derive(Clone, Default)]
pub struct Counts {
    counts: Arc<[AtomicU64; Event::ALL.len()]>,
}

impl Counts {
    /// How often it has happened.
    pub fn get(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Ordering::Relaxed)
    }

    #[cold]
    pub(super) fn add(&self, event: Event) {
        self.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(Event::ALL.map(|event| (event.name(), self.get(event)))).finish()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in Event::ALL {
            let count = self.get(event);
            let (unit, told) = event.told();
            let unit = if count == 1 { unit.to_owned() } else { format!("{unit}s") };
            if count > 0 {
                writeln!(f, "{count:>9} {unit:<11} {:<16} {told}", event.name())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_a_line_for_each_that_happened_and_for_no_other() {
        let counts = Counts::default();
        assert_eq!(counts.to_string(), "");
        counts.add(Event::Refused);
        (0..1200).for_each(|_| counts.add(Event::HeadTimeout));
        let wanted = "        1 request     refused          malformed, or over a limit: 4xx or 5xx, closed\n     \
                      1200 connections head_timeout     no head, or no first byte, in time: closed\n";
        assert_eq!(counts.to_string(), wanted);
        Event::ALL.into_iter().for_each(|event| (0..20).for_each(|_| counts.add(event)));
        let text = counts.to_string();
        let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        assert_eq!(names, Event::ALL.map(Event::name));
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }

    #[test]
    fn every_event_has_a_place_of_its_own() {
        for (place, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, place);
        }
        let counts = Counts::default();
        counts.clone().add(Event::TooOld);
        assert!(Event::ALL.into_iter().all(|event| counts.get(event) == u64::from(event == Event::TooOld)));
    }
}
