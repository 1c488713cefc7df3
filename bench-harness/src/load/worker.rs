//! The state of one generator core, and what its connections do to it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use covet_runtime::net::TcpStream;
use covet_runtime::time;

use super::connection::{Connection, Ended};
use super::in_flight::Batch;
use super::job::Job;
use super::reader::{Answer, HeadMemo, ReadError, ResponseReader};
use super::tally::Tally;
use crate::clock::Schedule;
use crate::record::{ErrorClass, LoopModel};

/// One generator core. Everything on it happens on one thread.
pub(super) struct Worker {
    pub(super) job: Arc<Job>,
    pub(super) tally: RefCell<Tally>,
    pub(super) connections: RefCell<Vec<Rc<Connection>>>,
    /// The arrivals of an open loop; `None` in a closed one.
    pub(super) schedule: Option<RefCell<Schedule>>,
    /// Connections of an open loop with a free slot and no request due.
    pub(super) idle: RefCell<VecDeque<Rc<Connection>>>,
    /// Who waits for a connection to become idle.
    pub(super) dispatcher: Cell<Option<Waker>>,
    /// When the dispatcher last found requests due although connections were idle.
    pub(super) late_until: Cell<Option<Instant>>,
    /// Requests that may still be sent, in a run by count.
    budget: Cell<Option<u64>>,
    outstanding: Cell<u64>,
    drained: Cell<Option<Waker>>,
    memo: RefCell<HeadMemo>,
    first_length: Cell<Option<u64>>,
    /// `depth` requests in a row, so that any number of them is one slice.
    requests: Bytes,
}

impl Worker {
    /// The state of core number `core` of a job that begins at `start`.
    pub(super) fn new(job: Arc<Job>, core: usize, start: Instant) -> Self {
        let schedule = match job.loop_model {
            LoopModel::Closed => None,
            LoopModel::Open { rate } => Some(RefCell::new(Schedule::new(start, rate, core, job.cores))),
        };
        let depth = usize::try_from(job.depth).unwrap_or(usize::MAX);
        Self {
            tally: RefCell::new(Tally::new(start, schedule.is_some())),
            connections: RefCell::default(),
            idle: RefCell::default(),
            dispatcher: Cell::default(),
            late_until: Cell::new(None),
            budget: Cell::new(None),
            outstanding: Cell::new(0),
            drained: Cell::default(),
            memo: RefCell::default(),
            first_length: Cell::new(None),
            requests: job.request.repeat(depth).into(),
            schedule,
            job,
        }
    }

    /// Begins the measured window: everything counted so far was warm-up.
    pub(super) fn open_window(&self, now: Instant, core: usize) -> u64 {
        *self.tally.borrow_mut() = Tally::new(now, self.schedule.is_some());
        let in_flight = self.outstanding.get();
        if let Some(total) = self.job.requests {
            // Requests in flight now are answered within the window, so they are part of the count.
            self.budget.set(Some(self.job.share(total, core).saturating_sub(in_flight)));
        }
        in_flight
    }

    /// Requests due at `now` and not sent; zero in a closed loop.
    pub(super) fn backlog(&self, now: Instant) -> u64 {
        self.schedule.as_ref().map_or(0, |schedule| schedule.borrow().backlog(now)).min(self.allowance())
    }

    /// Requests that may still be sent.
    #[inline]
    pub(super) fn allowance(&self) -> u64 {
        self.budget.get().unwrap_or(u64::MAX)
    }

    /// Waits until a run by count has sent all of its requests and none is in flight.
    pub(super) async fn drained(&self) {
        poll_fn(|cx| {
            if self.is_drained() {
                return Poll::Ready(());
            }
            self.drained.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn is_drained(&self) -> bool {
        self.budget.get() == Some(0) && self.outstanding.get() == 0
    }

    fn settle(&self, ended: u64) {
        self.outstanding.set(self.outstanding.get() - ended);
        if self.is_drained()
            && let Some(waker) = self.drained.take()
        {
            waker.wake();
        }
    }

    /// Sends `count` requests in one go, all with these clocks, or with one intended time each.
    #[inline]
    fn submit(&self, stream: &TcpStream, count: u64) -> io::Result<()> {
        let length = self.job.request.len() * count as usize;
        stream.submit_send(self.requests.slice(..length))?;
        let mut tally = self.tally.borrow_mut();
        tally.sent += count;
        tally.bytes_out += length as u64;
        self.outstanding.set(self.outstanding.get() + count);
        if let Some(left) = self.budget.get() {
            self.budget.set(Some(left - count));
        }
        Ok(())
    }

    /// Fills the connection's free slots, or lists it as idle where no request is due.
    #[inline]
    pub(super) fn refill(
        &self,
        connection: &Rc<Connection>,
        stream: &TcpStream,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        loop {
            let mut in_flight = connection.in_flight.borrow_mut();
            let free = (self.job.depth - in_flight.len()).min(self.allowance());
            if free == 0 {
                return Ok(());
            }
            // Only one send may be under way; its end wakes this task.
            match stream.poll_sent(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(result) => result?,
            }
            let now = time::now();
            let Some(schedule) = &self.schedule else {
                self.submit(stream, free)?;
                in_flight.push(Batch { intended: now, submitted: now, count: free });
                connection.back(&mut self.tally.borrow_mut(), now, self.job.depth);
                return Ok(());
            };
            let queued = schedule.borrow().backlog(now);
            let due = queued.min(free);
            {
                let mut tally = self.tally.borrow_mut();
                tally.max_queued = tally.max_queued.max(queued);
                connection.back(&mut tally, now, self.job.depth);
            }
            if due == 0 {
                drop(in_flight);
                self.list_idle(connection);
                return Ok(());
            }
            self.submit(stream, due)?;
            for _ in 0..due {
                if let Some(intended) = schedule.borrow_mut().take(now) {
                    in_flight.push(Batch { intended, submitted: now, count: 1 });
                    // What became due while the dispatcher slept too long waits for that, and not for the server.
                    let own = self.late_until.get().and_then(|until| until.checked_duration_since(intended));
                    self.tally.borrow_mut().record_lateness(now - intended, own);
                }
            }
        }
    }

    fn list_idle(&self, connection: &Rc<Connection>) {
        if !connection.listed.replace(true) {
            self.idle.borrow_mut().push_back(connection.clone());
            if let Some(waker) = self.dispatcher.take() {
                waker.wake();
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
        if in_flight.len() >= self.job.depth {
            return false;
        }
        if stream.is_sending() {
            return true;
        }
        if self.submit(stream, 1).is_err() {
            // Its own task hears of a broken connection from the receiving side, and lists it again when it is.
            return false;
        }
        if let Some(intended) = schedule.borrow_mut().take(now) {
            in_flight.push(Batch { intended, submitted: now, count: 1 });
            self.tally.borrow_mut().record_lateness(now - intended, Some(now - intended));
        }
        in_flight.len() < self.job.depth
    }

    /// Takes a received piece in.
    #[inline]
    pub(super) fn receive(
        &self,
        connection: &Connection,
        reader: &mut ResponseReader,
        bytes: &[u8],
    ) -> Result<(), Ended> {
        let now = time::now();
        let (mut tally, mut in_flight) = (self.tally.borrow_mut(), connection.in_flight.borrow_mut());
        tally.bytes_in += bytes.len() as u64;
        let before = in_flight.len();
        let (mut valid, mut last) = (0, false);
        let outcome = reader.read(bytes, &mut self.memo.borrow_mut(), &self.job.method, |answer| {
            if last {
                return Err(ReadError::Refused("a response after one that ends the connection"));
            }
            if in_flight.len() == valid {
                return Err(ReadError::Refused("a response to no request"));
            }
            last = !answer.keep_alive;
            if self.judge(&mut tally, answer) {
                valid += 1;
            } else {
                // Answers come in order, so the valid ones before this one leave first.
                tally.complete(&mut in_flight, valid, now);
                valid = 0;
                tally.fail(&mut in_flight, 1, now);
            }
            Ok(())
        });
        tally.complete(&mut in_flight, valid, now);
        let ended = before - in_flight.len();
        drop((tally, in_flight));
        if ended > 0 {
            connection.answered.set(true);
            self.settle(ended);
        }
        match outcome {
            _ if last => Err(Ended::Announced),
            Ok(()) => Ok(()),
            Err(error) => Err(Ended::Malformed(error)),
        }
    }

    /// Counts an answer, and says whether it is valid.
    #[inline]
    fn judge(&self, tally: &mut Tally, answer: Answer) -> bool {
        let class = usize::from(answer.status / 100);
        tally.status[if class < 6 { class } else { 0 }] += 1;
        if !self.job.expect.accepts(answer.status) {
            tally.errors.add(ErrorClass::UnexpectedStatus, 1, || answer.status.to_string());
            return false;
        }
        if !self.job.expect.same_length {
            return true;
        }
        let first = match self.first_length.get() {
            Some(first) => first,
            None => {
                let first = self.job.first_length(answer.body);
                self.first_length.set(Some(first));
                first
            }
        };
        if answer.body != first {
            let detail = || format!("{} bytes after a first response of {first}", answer.body);
            tally.errors.add(ErrorClass::UnexpectedLength, 1, detail);
        }
        answer.body == first
    }

    /// Counts the body that the end of the connection completes, where there is one.
    pub(super) fn receive_end(&self, connection: &Connection, reader: &mut ResponseReader) {
        let Some(answer) = reader.finish() else { return };
        let (mut tally, mut in_flight) = (self.tally.borrow_mut(), connection.in_flight.borrow_mut());
        if in_flight.len() == 0 {
            return;
        }
        let now = time::now();
        if self.judge(&mut tally, answer) {
            tally.complete(&mut in_flight, 1, now);
        } else {
            tally.fail(&mut in_flight, 1, now);
        }
        drop((tally, in_flight));
        connection.answered.set(true);
        self.settle(1);
    }

    /// Counts what was lost when a connection ended.
    pub(super) fn connection_ended(&self, connection: &Connection, ended: &Ended) {
        let now = time::now();
        let (mut tally, mut in_flight) = (self.tally.borrow_mut(), connection.in_flight.borrow_mut());
        let lost = in_flight.len();
        match ended {
            Ended::Closed | Ended::Announced => {
                if lost > 0 {
                    let detail = || format!("with {lost} requests unanswered");
                    tally.errors.add(ErrorClass::EarlyClose, lost, detail);
                }
            }
            Ended::Reset(error) => tally.errors.add(ErrorClass::Reset, lost.max(1), || error.to_string()),
            Ended::Malformed(error) => {
                tally.errors.add(ErrorClass::Malformed, lost.max(1), || error.to_string());
            }
            Ended::TimedOut => {
                let detail = || format!("no answer within {:?}", self.job.timeout);
                tally.errors.add(ErrorClass::Timeout, lost, detail);
                tally.time_out(&mut in_flight, now);
            }
        }
        tally.fail(&mut in_flight, u64::MAX, now);
        connection.leave(now);
        drop((tally, in_flight));
        self.settle(lost);
    }
}
