//! The state of one generator core.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_runtime::time;

use super::connection::Connection;
use super::in_flight::Label;
use super::job::Job;
use super::opening::Opening;
use super::protocol::Protocol;
use super::tally::Tally;
use super::traffic::Source;
use super::transport::Transport;
use crate::clock::{Random, Schedule};
use crate::record::{CoreInterval, Handshakes, Hist};

/// One generator core, whose connections speak `P`. Everything on it happens on one thread.
pub(super) struct Worker<P: Protocol> {
    pub(super) job: Arc<Job>,
    pub(super) tally: RefCell<Tally>,
    pub(super) connections: RefCell<Vec<Rc<Connection>>>,
    /// The arrivals of an open loop; `None` in a closed one.
    pub(super) schedule: Option<RefCell<Schedule>>,
    /// Connections of an open loop with a free slot and no request due.
    pub(super) idle: RefCell<VecDeque<Rc<Connection>>>,
    /// When connections that think are to go on, and which.
    pub(super) thinking: RefCell<BinaryHeap<Reverse<(Instant, usize)>>>,
    pub(super) random: RefCell<Random>,
    /// Who waits for a connection to become idle, or to think.
    pub(super) dispatcher: Cell<Option<Waker>>,
    /// When the dispatcher last found requests due although connections were idle.
    pub(super) late_until: Cell<Option<Instant>>,
    /// Requests that may still be sent, in a run by count.
    budget: Cell<Option<u64>>,
    outstanding: Cell<u64>,
    drained: Cell<Option<Waker>>,
    pub(super) shared: RefCell<P::Shared>,
    pub(super) first_lengths: RefCell<Vec<Option<u64>>>,
    /// `depth` requests in a row, so that any number of them is one slice; empty where they differ, or are framed anew.
    pub(super) requests: Bytes,
    pub(super) source: RefCell<Source>,
    /// The labels of the requests that were sent last, where they differ.
    pub(super) labels: RefCell<Vec<Label>>,
    opening: Rc<Opening>,
}

impl<P: Protocol> Worker<P> {
    /// The state of core number `core` of a job that begins at `start`.
    pub(super) fn new(job: Arc<Job>, core: usize, start: Instant, opening: Rc<Opening>) -> Self {
        let schedule =
            job.timetable.as_ref().map(|table| RefCell::new(Schedule::new(start, table, core, job.cores)));
        let depth = usize::try_from(job.depth).unwrap_or(usize::MAX);
        Self {
            tally: RefCell::new(Tally::new(start, job.spares.take(core))),
            connections: RefCell::default(),
            idle: RefCell::default(),
            thinking: RefCell::default(),
            random: RefCell::new(Random::new(job.seed, (core + job.cores) as u64)),
            dispatcher: Cell::default(),
            late_until: Cell::new(None),
            budget: Cell::new(None),
            outstanding: Cell::new(0),
            drained: Cell::default(),
            shared: RefCell::default(),
            first_lengths: RefCell::new(vec![None; job.traffic.kinds()]),
            requests: job
                .traffic
                .fixed()
                .filter(|_| !P::FRAMES)
                .map(|request| request.repeat(depth).into())
                .unwrap_or_default(),
            source: RefCell::new(Source::new(job.seed, core, job.cores)),
            labels: RefCell::default(),
            schedule,
            opening,
            job,
        }
    }

    /// Begins the measured window: everything counted so far was warm-up. Says how many requests are in flight.
    pub(super) fn open_window(&self, now: Instant, core: usize) -> (u64, Tally) {
        let in_flight = self.outstanding.get();
        let mut tally = Tally::new(now, self.job.spares.take(core));
        tally.note_in_flight(now, in_flight);
        let warm_up = self.tally.replace(tally);
        if let Some(total) = self.job.requests {
            // Requests in flight now are answered within the window, so they are part of the count.
            self.budget.set(Some(self.job.share(total, core).saturating_sub(in_flight)));
        }
        (in_flight, warm_up)
    }

    /// Cuts the current interval off at `now`.
    pub(super) fn cut_interval(&self, now: Instant, core: usize) -> CoreInterval {
        let (backlog, next) = (self.backlog(now), self.job.spares.take(core));
        self.tally.borrow_mut().cut_interval(now, core, backlog, next)
    }

    /// Opens a connection when its turn has come.
    pub(super) async fn connect(&self) -> io::Result<(Transport, P)> {
        let opened = self.opening.connect(&self.job).await?;
        self.tally.borrow_mut().opened += 1;
        Ok(opened)
    }

    /// How long connections took to be opened, those before the window included.
    pub(super) fn connect_times(&self) -> Hist {
        self.opening.times()
    }

    /// The TLS handshakes, those before the window included; `None` where connections are plain.
    pub(super) fn handshakes(&self) -> Option<Handshakes> {
        self.opening.handshakes()
    }

    /// The length of every valid body, where all have to have the same.
    pub(super) fn one_length(&self) -> Option<u64> {
        let lengths = self.first_lengths.borrow();
        let same = self.job.expect.same_length && lengths.len() == 1 && self.job.traffic.same_length(0);
        if same { lengths[0] } else { None }
    }

    /// Requests due at `now` and not sent; zero in a closed loop.
    pub(super) fn backlog(&self, now: Instant) -> u64 {
        self.schedule.as_ref().map_or(0, |schedule| schedule.borrow_mut().backlog(now)).min(self.allowance())
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

    /// Counts requests as sent.
    #[inline]
    pub(super) fn launch(&self, tally: &mut Tally, now: Instant, count: u64) {
        tally.sent += count;
        let outstanding = self.outstanding.get() + count;
        self.outstanding.set(outstanding);
        tally.note_in_flight(now, outstanding);
        if let Some(left) = self.budget.get() {
            self.budget.set(Some(left.saturating_sub(count)));
        }
    }

    /// Counts requests as ended, however they did.
    #[inline]
    pub(super) fn settle(&self, now: Instant, ended: u64) {
        let outstanding = self.outstanding.get() - ended;
        self.outstanding.set(outstanding);
        self.tally.borrow_mut().note_in_flight(now, outstanding);
        if self.is_drained()
            && let Some(waker) = self.drained.take()
        {
            waker.wake();
        }
    }

    /// How long a connection thinks now.
    pub(super) fn think(&self) -> Duration {
        self.job.think.map_or(Duration::ZERO, |think| think.sample(&mut self.random.borrow_mut()))
    }

    /// Makes the dispatcher look again what there is to do.
    #[inline]
    pub(super) fn wake_dispatcher(&self) {
        if let Some(waker) = self.dispatcher.take() {
            waker.wake();
        }
    }

    /// When the dispatcher has next to do something, as far as anybody can tell now.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let ticket = self
            .schedule
            .as_ref()
            .filter(|_| !self.idle.borrow().is_empty())
            .map(|schedule| schedule.borrow().next_due());
        let thought = self.thinking.borrow().peek().map(|Reverse((at, _))| *at);
        match (ticket, thought) {
            (Some(ticket), Some(thought)) => Some(ticket.min(thought)),
            (only, None) | (None, only) => only,
        }
    }

    /// The core's clock, as of the beginning of this turn.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        time::now()
    }
}
