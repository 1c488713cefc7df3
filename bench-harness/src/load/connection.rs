//! One connection: opened, used until it ends, opened again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use covet_runtime::time;

use super::in_flight::InFlight;
use super::protocol::Protocol;
use super::reader::ReadError;
use super::tally::Tally;
use super::transport::{Transport, class_of_failure};
use super::worker::Worker;

/// The waits before connections that fail, or answer nothing, are tried again.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// How long a server that announced the end of a connection has to close it.
///
/// It should close first: whoever does keeps the port pair for a minute.
const CLOSING_TIME: Duration = Duration::from_millis(100);
/// How long a peer has to say farewell where the protocol has a word for it.
pub(super) const PARTING_TIME: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The peer closed.
    Closed,
    /// The last response said that the connection ends.
    Announced,
    /// It has carried as many requests as it was to, and the server keeps it open.
    Retired,
    /// The connection broke.
    Reset(io::Error),
    /// What came is not of the protocol.
    Malformed(ReadError),
    /// The oldest request waited too long.
    TimedOut,
}

/// What another task wants of a connection's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    /// To give up the requests in flight.
    GiveUp,
    /// To end when no request is in flight.
    Leave,
    /// To end at once.
    Part,
}

/// What the other tasks of the core see of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its place among the connections of the core.
    pub(super) index: usize,
    pub(super) stream: RefCell<Option<Rc<Transport>>>,
    pub(super) in_flight: RefCell<InFlight>,
    /// How many exchanges may be under way at once.
    pub(super) slots: Cell<u64>,
    /// Whether it is in the list of idle connections.
    pub(super) listed: Cell<bool>,
    /// Whether a response has come since it was opened.
    pub(super) answered: Cell<bool>,
    /// Requests that it may still carry before it is closed.
    pub(super) left: Cell<u64>,
    /// Requests of its session that are not sent yet.
    pub(super) session_left: Cell<u64>,
    /// When its next request is due, where that is its own affair.
    pub(super) resume_at: Cell<Option<Instant>>,
    /// When the first byte of an answer came whose last has not.
    pub(super) first_byte: Cell<Option<Instant>>,
    /// Its session, where the run is a scenario.
    pub(super) session: RefCell<Session>,
    asked: Cell<Asked>,
    waker: RefCell<Option<Waker>>,
    away_since: Cell<Option<Instant>>,
}

/// Where a session is in its scenario.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The next step.
    pub(super) step: u16,
    /// What it took out of its answers.
    pub(super) values: Vec<Vec<u8>>,
    /// The beginning of the answer that is being received, where something is to be taken out of it.
    pub(super) capture: Vec<u8>,
}

impl Connection {
    /// A connection that is to have so many exchanges under way at once.
    pub(super) fn new(index: usize, slots: u64) -> Self {
        Self {
            index,
            stream: RefCell::default(),
            in_flight: RefCell::default(),
            slots: Cell::new(slots),
            listed: Cell::default(),
            answered: Cell::default(),
            left: Cell::default(),
            session_left: Cell::default(),
            resume_at: Cell::default(),
            first_byte: Cell::default(),
            session: RefCell::default(),
            asked: Cell::default(),
            waker: RefCell::default(),
            away_since: Cell::default(),
        }
    }

    /// Makes the connection's task give up the requests in flight.
    pub(super) fn expire(&self) {
        self.asked.set(Asked::GiveUp);
        self.wake();
    }

    /// Makes the connection's task end once the requests in flight have, without another one.
    pub(super) fn retire(&self) {
        self.left.set(0);
        self.asked.set(Asked::Leave);
        self.wake();
    }

    /// Makes the connection's task end, whatever is in flight.
    pub(super) fn part(&self) {
        self.asked.set(Asked::Part);
        self.wake();
    }

    /// Makes a connection whose task has ended as good as new.
    pub(super) fn renew(&self) {
        self.asked.set(Asked::Nothing);
        self.resume_at.set(None);
        self.session_left.set(0);
        *self.session.borrow_mut() = Session::default();
    }

    /// Makes its next request the first of its session: what went before lacks something that comes after.
    pub(super) fn begin_session_again(&self) {
        self.session.borrow_mut().step = 0;
        self.session_left.set(0);
    }

    /// Makes the connection's task look again what there is to do.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Begins the time away, if it has not begun.
    pub(super) fn leave(&self, now: Instant) {
        self.away_since.set(self.away_since.get().or(Some(now)));
    }

    /// Ends the time away, if the connection was.
    #[inline]
    pub(super) fn back(&self, tally: &mut Tally, now: Instant) {
        if let Some(since) = self.away_since.take() {
            tally.add_away(since, now, self.slots.get());
        }
    }

    fn poll_use<P: Protocol>(
        self: &Rc<Self>,
        worker: &Worker<P>,
        stream: &Transport,
        protocol: &mut P,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        match self.asked.get() {
            Asked::Nothing => {}
            Asked::GiveUp => return Poll::Ready(Ended::TimedOut),
            Asked::Leave if self.in_flight.borrow().len() == 0 => return Poll::Ready(Ended::Retired),
            Asked::Leave => {}
            Asked::Part => return Poll::Ready(Ended::Retired),
        }
        loop {
            let taken = stream.poll_take(cx, |bytes| {
                if !bytes.is_empty() {
                    return worker.receive(self, protocol, bytes);
                }
                // The end of a body that lasts until then is its own only where nobody could have made it.
                if !stream.is_truncated() {
                    worker.receive_end(self, protocol);
                }
                Err(Ended::Closed)
            });
            match taken {
                Poll::Ready(Ok(Ok(()))) => {}
                Poll::Ready(Ok(Err(ended))) => return Poll::Ready(ended),
                Poll::Ready(Err(error)) => return Poll::Ready(Ended::Reset(error)),
                Poll::Pending => break,
            }
        }
        if protocol.owes_reply()
            && !stream.is_sending()
            && let Err(error) = stream.submit_send(protocol.reply().into())
        {
            return Poll::Ready(Ended::Reset(error));
        }
        if P::SLOTS_VARY {
            self.slots.set(protocol.slots(worker.job.depth));
        }
        match worker.refill(self, stream, cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Ended::Reset(error)),
        }
    }

    async fn use_until_end<P: Protocol>(
        self: &Rc<Self>,
        worker: &Worker<P>,
        stream: Rc<Transport>,
        mut protocol: P,
    ) -> Ended {
        self.slots.set(protocol.slots(worker.job.depth));
        if self.asked.get() == Asked::GiveUp {
            self.asked.set(Asked::Nothing);
        }
        self.answered.set(false);
        self.first_byte.set(None);
        self.left.set(worker.job.per_connection);
        *self.stream.borrow_mut() = Some(stream.clone());
        let ended = poll_fn(|cx| {
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            drop(waker);
            self.poll_use(worker, &stream, &mut protocol, cx)
        })
        .await;
        *self.stream.borrow_mut() = None;
        worker.connection_ended(self, &ended);
        if P::FAREWELL && matches!(ended, Ended::Closed | Ended::Retired) {
            // A peer that takes longer has had its chance.
            let _ = time::timeout(PARTING_TIME, say_farewell(&stream, &mut protocol)).await;
        }
        if matches!(ended, Ended::Announced | Ended::Retired) {
            let _ = time::timeout(CLOSING_TIME, stream.close()).await;
        }
        if matches!(ended, Ended::Announced) {
            // Whether the server closes in time or not, this side closes next.
            let _ = time::timeout(CLOSING_TIME, stream.closed()).await;
        }
        ended
    }
}

/// Says that nothing more comes, and waits until the peer has said it too and closed: it is the first to (RFC 6455, section
/// 7.1.1).
async fn say_farewell<P: Protocol>(stream: &Transport, protocol: &mut P) -> io::Result<()> {
    let farewell = protocol.farewell();
    poll_fn(|cx| stream.poll_sent(cx)).await?;
    if !farewell.is_empty() {
        stream.submit_send(farewell.into())?;
        poll_fn(|cx| stream.poll_sent(cx)).await?;
    }
    loop {
        let bytes = poll_fn(|cx| stream.poll_recv(cx)).await?;
        if bytes.is_empty() || protocol.part(&bytes) {
            break;
        }
    }
    stream.closed().await;
    Ok(())
}

/// Keeps a connection in use for the whole run, and opens it again whenever it ends.
///
/// Finishes only when the connection is asked to leave: a run drops it.
pub(super) async fn keep_in_use<P: Protocol>(
    worker: Rc<Worker<P>>,
    connection: Rc<Connection>,
    mut opened: Option<(Transport, P)>,
) {
    let mut backoff = Duration::ZERO;
    // A connection that was used up is opened again by plan, and not because the server let go of it.
    let mut by_plan = false;
    if opened.is_none() {
        connection.leave(time::now());
        backoff = FIRST_BACKOFF;
    }
    loop {
        if opened.is_none() && !backoff.is_zero() {
            time::sleep(backoff).await;
        }
        let stream = match opened.take() {
            Some(stream) => Ok(stream),
            None => worker.connect().await.inspect(|_| {
                if !by_plan {
                    worker.tally.borrow_mut().reconnects += 1;
                }
            }),
        };
        let served = match stream {
            Ok((stream, protocol)) => {
                let ended = connection.use_until_end(&worker, Rc::new(stream), protocol).await;
                by_plan = connection.left.get() == 0 && matches!(ended, Ended::Retired | Ended::Announced);
                // A timeout was pause enough.
                connection.answered.get() || matches!(ended, Ended::TimedOut)
            }
            Err(error) => {
                worker.tally.borrow_mut().errors.add(class_of_failure(&error), 1, || error.to_string());
                false
            }
        };
        if matches!(connection.asked.get(), Asked::Leave | Asked::Part) {
            return;
        }
        backoff = if served { Duration::ZERO } else { (backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::times::Times;

    #[test]
    fn time_away_begins_once_and_ends_once() {
        let (connection, start) = (Connection::new(0, 2), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tally = Tally::new(start, Times::new(false));
        connection.leave(at(1));
        connection.leave(at(3));
        connection.back(&mut tally, at(4));
        assert_eq!(tally.away, Duration::from_secs(6), "three seconds of two slots");
        connection.back(&mut tally, at(9));
        assert_eq!(tally.away, Duration::from_secs(6));
    }

    #[test]
    fn a_session_that_begins_again_has_no_request_left_of_the_one_before() {
        let connection = Connection::new(0, 1);
        connection.session.borrow_mut().step = 3;
        connection.session_left.set(5);
        connection.begin_session_again();
        assert_eq!((connection.session.borrow().step, connection.session_left.get()), (0, 0));
    }
}
