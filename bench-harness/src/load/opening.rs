//! Opening connections, no faster than the run allows.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::time::{Duration, Instant};

use covet_runtime::time;

use super::job::Job;
use super::protocol::Protocol;
use super::tls::Security;
use super::transport::Transport;
use crate::clock::Random;
use crate::record::{Handshakes, Hist};

/// Longer than any run, and short enough to be added up for each connection.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

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
    random: RefCell<Random>,
}

impl Opening {
    pub(super) fn new(job: &Job, core: usize, now: Instant) -> Self {
        let period = job.connection_rate.map(|rate| {
            Duration::try_from_secs_f64(job.cores as f64 / rate)
                .map_or(FOR_EVER, |period| period.min(FOR_EVER))
        });
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
            // Apart from those of the cores.
            random: RefCell::new(Random::new(job.seed, (core + 2 * job.cores) as u64)),
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
    pub(super) async fn connect<P: Protocol>(&self, job: &Job) -> io::Result<(Transport, P)> {
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

    async fn open<P: Protocol>(&self, job: &Job, number: usize) -> io::Result<(Transport, P)> {
        let begun = Instant::now();
        let transport = Transport::connect(&job.endpoint, number).await?;
        self.times.borrow_mut().record(begun.elapsed(), 1);
        let transport = self.secure(transport, begun).await?;
        let protocol = self.establish(&transport, job).await?;
        Ok((transport, protocol))
    }

    async fn secure(&self, transport: Transport, begun: Instant) -> io::Result<Transport> {
        let Some(security) = &self.security else { return Ok(transport) };
        let (transport, info) = transport.secure(security).await?;
        if let Some(handshakes) = &mut *self.handshakes.borrow_mut() {
            handshakes.add(&info, begun.elapsed());
        }
        Ok(transport)
    }

    /// Says what the protocol has to say before the first exchange, and waits until the peer agrees.
    async fn establish<P: Protocol>(&self, transport: &Transport, job: &Job) -> io::Result<P> {
        let mut out = Vec::new();
        let mut protocol = P::begin(&job.traffic, &mut self.random.borrow_mut(), &mut out);
        if out.is_empty() {
            return Ok(protocol);
        }
        transport.submit_send(out.into())?;
        poll_fn(|cx| transport.poll_sent(cx)).await?;
        loop {
            let bytes = poll_fn(|cx| transport.poll_recv(cx)).await?;
            if bytes.is_empty() {
                let text = "the server closed the connection before it agreed to the protocol";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            let agreed = protocol.establish(&bytes);
            if agreed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
                return Ok(protocol);
            }
        }
    }
}
