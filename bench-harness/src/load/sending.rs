//! What makes a connection send its next requests.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::connection::Connection;
use super::in_flight::{Batch, InFlight, Label};
use super::protocol::Protocol;
use super::transport::Transport;
use super::worker::Worker;
use crate::clock::Schedule;

/// What is sent in the last request of a connection, so that the server closes it.
const CLOSE: &[u8] = b"Connection: close\r\n";

impl<P: Protocol> Worker<P> {
    /// Sends `count` requests in one go; their clocks are the caller's affair.
    #[inline]
    fn submit(
        &self,
        connection: &Connection,
        stream: &Transport,
        count: u64,
        now: Instant,
    ) -> io::Result<()> {
        let left = connection.left.get();
        let bytes = if self.requests.is_empty() || left == count {
            self.write(connection, count, left == count)
        } else {
            self.requests.slice(..self.requests.len() / self.job.depth as usize * count as usize)
        };
        let length = bytes.len();
        stream.submit_send(bytes)?;
        if left != u64::MAX {
            connection.left.set(left - count);
        }
        let mut tally = self.tally.borrow_mut();
        tally.bytes_out += length as u64;
        self.launch(&mut tally, now, count);
        Ok(())
    }

    /// Writes requests that are not all the same, the last of them with a field that ends the connection.
    #[cold]
    fn write(&self, connection: &Connection, count: u64, closing: bool) -> Bytes {
        let (traffic, mut source) = (&self.job.traffic, self.source.borrow_mut());
        let (mut out, mut labels) = (Vec::new(), self.labels.borrow_mut());
        labels.clear();
        for number in 1..=count {
            let start = out.len();
            match traffic.fixed() {
                Some(request) => {
                    out.extend_from_slice(request);
                    labels.push(Label::default());
                }
                None if traffic.is_scenario() => {
                    let mut session = connection.session.borrow_mut();
                    session.values.resize(traffic.values(), Vec::new());
                    let step = session.step;
                    source.append_kind(traffic, step, &session.values, &mut out);
                    labels.push(Label { kind: step, mark: 0 });
                    session.step = (step + 1) % traffic.kinds() as u16;
                    session.capture.clear();
                }
                None => labels.push(Label { kind: source.append(traffic, &mut out), mark: 0 }),
            }
            if P::FRAMES {
                let mark = P::frame(&mut out, start, &mut self.random.borrow_mut());
                if let Some(label) = labels.last_mut() {
                    label.mark = mark;
                }
            } else if closing
                && number == count
                && let Some(line) = memchr::memchr(b'\n', &out[start..])
            {
                let at = start + line + 1;
                out.splice(at..at, CLOSE.iter().copied());
            }
        }
        out.into()
    }

    /// Whether all requests have one label.
    #[inline]
    pub(super) fn is_uniform(&self) -> bool {
        !P::ECHOES && self.job.traffic.kinds() == 1
    }

    /// The label of the request in this place of what was sent last.
    #[inline]
    fn label(&self, place: usize) -> Label {
        if self.is_uniform() { Label::default() } else { self.labels.borrow()[place] }
    }

    /// How many requests the connection has room for.
    #[inline]
    fn room(&self, connection: &Connection, in_flight: &InFlight) -> u64 {
        connection
            .slots
            .get()
            .saturating_sub(in_flight.len())
            .min(self.allowance())
            .min(connection.left.get())
    }

    /// Fills the connection's free slots, or lists it as idle where no request is due.
    #[inline]
    pub(super) fn refill(
        &self,
        connection: &Rc<Connection>,
        stream: &Transport,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        let mut in_flight = connection.in_flight.borrow_mut();
        loop {
            let free = self.room(connection, &in_flight);
            if free == 0 {
                return Ok(());
            }
            // Only one send may be under way; its end wakes this task.
            match stream.poll_sent(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(result) => result?,
            }
            let now = self.now();
            if self.job.paced {
                return self.resume(connection, stream, &mut in_flight, now);
            }
            let Some(schedule) = &self.schedule else {
                self.submit(connection, stream, free, now)?;
                self.push_closed(&mut in_flight, free, now);
                connection.back(&mut self.tally.borrow_mut(), now);
                return Ok(());
            };
            let due = self.take_stock(connection, schedule, free, now);
            if due == 0 {
                drop(in_flight);
                self.list_idle(connection);
                return Ok(());
            }
            self.submit(connection, stream, due, now)?;
            self.push_due(schedule, &mut in_flight, due, now);
        }
    }

    #[inline]
    fn push_closed(&self, in_flight: &mut InFlight, count: u64, now: Instant) {
        if self.is_uniform() {
            in_flight.push(Batch { intended: now, submitted: now, count, label: Label::default() });
            return;
        }
        for place in 0..count as usize {
            in_flight.push(Batch { intended: now, submitted: now, count: 1, label: self.label(place) });
        }
    }

    /// Notes how many requests wait, and says how many of them the connection can take.
    fn take_stock(
        &self,
        connection: &Connection,
        schedule: &RefCell<Schedule>,
        free: u64,
        now: Instant,
    ) -> u64 {
        let mut schedule = schedule.borrow_mut();
        let queued = schedule.backlog(now);
        let mut tally = self.tally.borrow_mut();
        tally.max_queued = tally.max_queued.max(queued);
        connection.back(&mut tally, now);
        if queued == 0 { 0 } else { schedule.due(now, free) }
    }

    /// Gives requests that waited for a connection their clocks.
    fn push_due(&self, schedule: &RefCell<Schedule>, in_flight: &mut InFlight, due: u64, now: Instant) {
        for place in 0..due as usize {
            let Some(intended) = schedule.borrow_mut().take(now) else { return };
            in_flight.push(Batch { intended, submitted: now, count: 1, label: self.label(place) });
            // What became due while the dispatcher slept too long waits for that, and not for the server.
            let own = self.late_until.get().and_then(|until| until.checked_duration_since(intended));
            self.tally.borrow_mut().record_lateness(now - intended, own);
        }
    }

    /// Goes on with a connection that thinks, or waits for its next session.
    fn resume(
        &self,
        connection: &Rc<Connection>,
        stream: &Transport,
        in_flight: &mut InFlight,
        now: Instant,
    ) -> io::Result<()> {
        if self.schedule.is_some() && connection.session_left.get() == 0 {
            let Some(schedule) = &self.schedule else { return Ok(()) };
            if self.take_stock(connection, schedule, 1, now) == 0 {
                self.list_idle(connection);
                return Ok(());
            }
            self.submit(connection, stream, 1, now)?;
            self.push_due(schedule, in_flight, 1, now);
            connection.session_left.set(self.job.session - 1);
            return Ok(());
        }
        let at = match connection.resume_at.get() {
            Some(at) => at,
            None => {
                // It thinks before its first request as well, so that not all of them begin at once.
                let at = now + self.think();
                self.think_until(connection, now, at);
                at
            }
        };
        if at <= now { self.follow_up(connection, stream, in_flight, at, now, None) } else { Ok(()) }
    }

    fn think_until(&self, connection: &Connection, now: Instant, at: Instant) {
        connection.resume_at.set(Some(at));
        if self.schedule.is_none() {
            // In a closed loop a connection that thinks has no slot in use.
            connection.leave(now);
        }
        let mut thinking = self.thinking.borrow_mut();
        thinking.push(Reverse((at, connection.index)));
        if thinking.peek() == Some(&Reverse((at, connection.index))) {
            drop(thinking);
            self.wake_dispatcher();
        }
    }

    /// Sends a request that was due at `at` by the connection's own doing.
    fn follow_up(
        &self,
        connection: &Connection,
        stream: &Transport,
        in_flight: &mut InFlight,
        at: Instant,
        now: Instant,
        own: Option<Duration>,
    ) -> io::Result<()> {
        self.submit(connection, stream, 1, now)?;
        in_flight.push(Batch { intended: at, submitted: now, count: 1, label: self.label(0) });
        connection.resume_at.set(None);
        connection.session_left.set(connection.session_left.get().saturating_sub(1));
        let mut tally = self.tally.borrow_mut();
        tally.record_lateness(now - at, own);
        connection.back(&mut tally, now);
        Ok(())
    }

    /// Decides what a connection does after an answer, where it does not send at once.
    pub(super) fn pause(&self, connection: &Connection, now: Instant) {
        if self.schedule.is_some() && connection.session_left.get() == 0 {
            return;
        }
        self.think_until(connection, now, now + self.think());
    }

    /// Sends what connections have thought long enough about.
    pub(super) fn send_thought(&self, now: Instant) {
        while let Some(connection) = self.next_thought(now) {
            let Some(at) = connection.resume_at.get().filter(|at| *at <= now) else { continue };
            let stream = connection.stream.borrow();
            let Some(stream) = stream.as_ref() else { continue };
            let mut in_flight = connection.in_flight.borrow_mut();
            if self.room(&connection, &in_flight) == 0 || stream.is_sending() {
                // Its own task sends it as soon as it can.
                connection.wake();
                continue;
            }
            // A broken connection is heard of by its own task, from the receiving side.
            let _ = self.follow_up(&connection, stream, &mut in_flight, at, now, Some(now - at));
        }
    }

    fn next_thought(&self, now: Instant) -> Option<Rc<Connection>> {
        let mut thinking = self.thinking.borrow_mut();
        let Reverse((at, index)) = *thinking.peek()?;
        if at > now {
            return None;
        }
        thinking.pop();
        self.connections.borrow().get(index).cloned()
    }

    fn list_idle(&self, connection: &Rc<Connection>) {
        if !connection.listed.replace(true) {
            let mut idle = self.idle.borrow_mut();
            idle.push_back(connection.clone());
            if idle.len() == 1 {
                drop(idle);
                self.wake_dispatcher();
            }
        }
    }

    /// Sends the next due request on a connection that was listed as idle, and says whether the connection can
    /// take another one as soon as its send is done.
    pub(super) fn dispatch(
        &self,
        connection: &Connection,
        schedule: &RefCell<Schedule>,
        now: Instant,
    ) -> bool {
        let stream = connection.stream.borrow();
        let Some(stream) = stream.as_ref() else { return false };
        let mut in_flight = connection.in_flight.borrow_mut();
        if self.room(connection, &in_flight) == 0 {
            return false;
        }
        if stream.is_sending() {
            return true;
        }
        if self.submit(connection, stream, 1, now).is_err() {
            // Its own task hears of a broken connection from the receiving side, and lists it again when it is.
            return false;
        }
        if let Some(intended) = schedule.borrow_mut().take(now) {
            in_flight.push(Batch { intended, submitted: now, count: 1, label: self.label(0) });
            self.tally.borrow_mut().record_lateness(now - intended, Some(now - intended));
            connection.session_left.set(self.job.session - 1);
        }
        self.room(connection, &in_flight) > 0
    }
}
