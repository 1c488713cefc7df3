//! Opening connections, no faster than the run allows.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use covet_runtime::time;

use super::job::Job;
use super::tls::Security;
use super::transport::Transport;
use crate::record::{Handshakes, Hist};

/// What the connections of one core share while they are opened.
#[derive(Debug)]
pub(super) struct Opening {
    /// The time between two connections of this core; `None` where there is no limit.
    period: Option<Duration>,
    next: Cell<Instant>,
    opened: Cell<usize>,
    times: RefCell<Hist>,
    security: Option<Security>,
    handshakes: RefCell<Option<Handshakes>>,
}

impl Opening {
    pub(super) fn new(job: &Job, core: usize, now: Instant) -> Self {
        let period = job.connection_rate.map(|rate| Duration::from_secs_f64(job.cores as f64 / rate));
        let phase = period.map_or(Duration::ZERO, |period| period.mul_f64(core as f64 / job.cores as f64));
        Self {
            period,
            next: Cell::new(now + phase),
            opened: Cell::new(core),
            times: RefCell::default(),
            security: job.security.as_ref().map(Security::for_core),
            handshakes: RefCell::new(
                job.security.as_ref().map(|security| Handshakes::new(security.verified)),
            ),
        }
    }

    /// How long connections took to be opened.
    pub(super) fn times(&self) -> Hist {
        self.times.borrow().clone()
    }

    /// The TLS handshakes that were made; `None` where connections are plain.
    pub(super) fn handshakes(&self) -> Option<Handshakes> {
        self.handshakes.borrow().clone()
    }

    /// Opens a connection within the run's timeout, once its turn has come.
    pub(super) async fn connect(&self, job: &Job) -> io::Result<Transport> {
        if let Some(period) = self.period {
            let turn = self.next.get().max(time::now());
            self.next.set(turn + period);
            time::sleep_until(turn).await;
        }
        let number = self.opened.replace(self.opened.get() + 1);
        match time::timeout(job.timeout, self.open(job, number)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to the attempt to connect"))
            }
        }
    }

    async fn open(&self, job: &Job, number: usize) -> io::Result<Transport> {
        let begun = Instant::now();
        let transport = Transport::connect(&job.endpoint, number).await?;
        self.times.borrow_mut().record(begun.elapsed(), 1);
        let Some(security) = &self.security else { return Ok(transport) };
        let (transport, info) = transport.secure(security).await?;
        if let Some(handshakes) = &mut *self.handshakes.borrow_mut() {
            handshakes.add(&info, begun.elapsed());
        }
        Ok(transport)
    }
}
