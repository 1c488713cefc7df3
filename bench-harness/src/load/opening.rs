//! Opening connections, no faster than the run allows.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use covet_runtime::time;

use super::job::Job;
use super::transport::Transport;
use crate::record::Hist;

/// What the connections of one core share while they are opened.
#[derive(Debug)]
pub(super) struct Opening {
    /// The time between two connections of this core; `None` where there is no limit.
    period: Option<Duration>,
    next: Cell<Instant>,
    opened: Cell<usize>,
    times: RefCell<Hist>,
}

impl Opening {
    pub(super) fn new(job: &Job, core: usize, now: Instant) -> Self {
        let period = job.connection_rate.map(|rate| Duration::from_secs_f64(job.cores as f64 / rate));
        let phase = period.map_or(Duration::ZERO, |period| period.mul_f64(core as f64 / job.cores as f64));
        Self { period, next: Cell::new(now + phase), opened: Cell::new(core), times: RefCell::default() }
    }

    /// How long connections took to be opened.
    pub(super) fn times(&self) -> Hist {
        self.times.borrow().clone()
    }

    /// Opens a connection within the run's timeout, once its turn has come.
    pub(super) async fn connect(&self, job: &Job) -> io::Result<Transport> {
        if let Some(period) = self.period {
            let turn = self.next.get().max(time::now());
            self.next.set(turn + period);
            time::sleep_until(turn).await;
        }
        let number = self.opened.replace(self.opened.get() + 1);
        let begun = Instant::now();
        match time::timeout(job.timeout, Transport::connect(&job.endpoint, number)).await {
            Ok(stream) => stream.inspect(|_| self.times.borrow_mut().record(begun.elapsed(), 1)),
            Err(_elapsed) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to the attempt to connect"))
            }
        }
    }
}
