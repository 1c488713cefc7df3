//! The worker as a whole: the link, the conversation on it, and the load that follows it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::link::{Link, LinkError, LinkEvent};
use super::message::MessageError;
use super::session::{Now, Order, Session, Vitals};
use crate::load::{LiveLoad, LoadPlan, Progress};
use crate::record::RunRecord;

/// How long one turn waits for the master.
const TURN: Duration = Duration::from_millis(20);
/// What requests in flight have to end in any case: a master that quits waits half a second for the last report.
const SHORTEST_GRACE: Duration = Duration::from_millis(250);

/// What a worker needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Drive<'a> {
    /// The master's host.
    pub host: &'a str,
    /// The port on which it expects workers.
    pub port: u16,
    /// The name by which the master knows the worker: no other worker may have it.
    pub worker: &'a str,
    /// The method that reports give.
    pub method: &'a str,
    /// The name of the requests that reports give.
    pub name: &'a str,
    /// How long the master may be silent.
    pub patience: Duration,
    /// Set when the worker is to end.
    pub ended: &'a AtomicBool,
}

/// What makes tests, and takes their records.
pub trait Observe {
    /// The plan of a test for which the master names this host, or `None`.
    ///
    /// # Errors
    /// When there is no plan for it; the master is told.
    fn plan(&mut self, host: Option<&str>) -> anyhow::Result<LoadPlan>;

    /// Who watches the test that begins.
    fn progress(&self) -> &dyn Progress;

    /// A test is over.
    ///
    /// # Errors
    /// When its record cannot be kept, which ends the worker.
    fn record(&mut self, record: RunRecord) -> anyhow::Result<()>;

    /// Something that the user should know, in a line.
    fn note(&self, line: &str);
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The master wanted it.
    Quit,
    /// The user did.
    Interrupted,
}

/// Why a worker failed.
#[derive(Debug, Error)]
pub enum DriveError {
    /// There is no master, or none any more.
    #[error("nothing was heard of the master for {0:?}")]
    Silent(Duration, #[source] Option<LinkError>),
    /// What is there is no master.
    #[error(transparent)]
    Link(LinkError),
    /// The master says what cannot be understood.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A record could not be kept.
    #[error("the record of a test is lost")]
    Record(#[source] anyhow::Error),
}

/// Does what the master says, until it says that this is all.
///
/// # Errors
/// When the master cannot be reached, or is silent for longer than the worker's patience; a test that runs then is ended,
/// and its record is handed over.
pub fn drive(how: Drive<'_>, observe: &mut dyn Observe) -> Result<Ending, DriveError> {
    let session = Session::new(how.worker, how.method, how.name, now());
    let link = Link::new(how.host, how.port, how.worker);
    Worker { how, session, link, load: None, cpu: 0.0, lost: None }.run(observe)
}

struct Worker<'a> {
    how: Drive<'a>,
    session: Session,
    link: Link,
    load: Option<LiveLoad>,
    /// Of the busiest generator thread lately, in percent.
    cpu: f64,
    /// Why there is no connection.
    lost: Option<LinkError>,
}

impl Worker<'_> {
    fn run(mut self, observe: &mut dyn Observe) -> Result<Ending, DriveError> {
        loop {
            let mut order = None;
            for event in self.link.wait(TURN) {
                order = self.happened(event, observe)?.or(order);
                if let Some(order) = order.take_if(|order| !matches!(order, Order::Quit)) {
                    self.obey(order, observe)?;
                }
            }
            let ending = match order {
                Some(_) => Some(Ending::Quit),
                None => self.how.ended.load(Ordering::Acquire).then_some(Ending::Interrupted),
            };
            if let Some(ending) = ending {
                let record = self.end_test(SHORTEST_GRACE, observe);
                self.session.quit(ending == Ending::Interrupted, now());
                let messages = self.session.outgoing();
                if self.link.is_open() {
                    self.link.send(messages);
                }
                keep(record, observe)?;
                self.link.close();
                return Ok(ending);
            }
            self.gather(observe)?;
            if self.link.is_open() {
                self.speak(observe)?;
            }
            if self.session.silence(now()) > self.how.patience {
                keep(self.end_test(SHORTEST_GRACE, observe), observe)?;
                return Err(DriveError::Silent(self.how.patience, self.lost));
            }
        }
    }

    fn happened(&mut self, event: LinkEvent, observe: &mut dyn Observe) -> Result<Option<Order>, DriveError> {
        match event {
            LinkEvent::Connected => {
                observe.note(&format!("connected to the master as {}", self.how.worker));
                self.lost = None;
                self.session.connected(now());
                Ok(None)
            }
            LinkEvent::Message(bytes) => Ok(self.session.receive(&bytes, now())?),
            LinkEvent::Lost(error @ LinkError::NoMaster(..)) => Err(DriveError::Link(error)),
            LinkEvent::Lost(error) => {
                if self.lost.is_none() {
                    let reason = anyhow::Error::new(error);
                    observe.note(&format!("{reason:#}; trying again, for {:?} at most", self.how.patience));
                    self.lost = reason.downcast().ok();
                }
                Ok(None)
            }
        }
    }

    fn obey(&mut self, order: Order, observe: &mut dyn Observe) -> Result<(), DriveError> {
        match order {
            Order::Users { count, host, fresh } => {
                if fresh && let Err(error) = self.begin_test(host.as_deref(), observe) {
                    let what = format!("the test cannot begin: {error:#}");
                    observe.note(&what);
                    self.session.failed(&what, now());
                }
                if let Some(load) = &self.load {
                    load.set_users(count);
                }
            }
            Order::Stop(grace) => {
                let record = self.end_test(grace.max(SHORTEST_GRACE), observe);
                self.session.stopped(now());
                // The master waits for this, and takes a worker that is silent for three seconds for lost; to write what
                // was measured may take longer.
                let messages = self.session.outgoing();
                for event in self.link.send(messages) {
                    self.happened(event, observe)?;
                }
                keep(record, observe)?;
            }
            Order::Forget => {
                observe.note("the master does not know the test: it is over");
                let record = self.end_test(SHORTEST_GRACE, observe);
                self.session.forgotten(now());
                keep(record, observe)?;
            }
            Order::Reconnect => self.link.reopen(),
            Order::Quit => {}
        }
        Ok(())
    }

    fn begin_test(&mut self, host: Option<&str>, observe: &mut dyn Observe) -> anyhow::Result<()> {
        let plan = observe.plan(host)?;
        self.load = Some(LiveLoad::start(&plan, observe.progress())?);
        Ok(())
    }

    /// Ends the test that runs; returns its record, for [`keep`].
    fn end_test(&mut self, grace: Duration, observe: &dyn Observe) -> Option<RunRecord> {
        let load = self.load.take()?;
        match load.finish(grace, observe.progress()) {
            Ok((parts, record)) => {
                parts.iter().for_each(|part| self.session.record(part));
                self.cpu = 0.0;
                self.session.log(record.to_text().lines().map(str::to_owned).collect());
                Some(record)
            }
            Err(error) => {
                observe.note(&format!("the test has no record: {error}"));
                None
            }
        }
    }

    /// Takes in what the cores have recorded.
    fn gather(&mut self, observe: &mut dyn Observe) -> Result<(), DriveError> {
        let Some(load) = &mut self.load else { return Ok(()) };
        match load.parts(observe.progress()) {
            Ok(parts) => {
                for part in &parts {
                    self.session.record(part);
                }
                // One part of each core for each second: the busiest of those that came together.
                if let Some(busiest) = parts.iter().map(|part| part.busy).reduce(f64::max) {
                    self.cpu = busiest * 100.0;
                }
            }
            Err(error) => {
                self.load = None;
                let what = format!("the test cannot go on: {error}");
                observe.note(&what);
                self.session.failed(&what, now());
            }
        }
        Ok(())
    }

    /// Says what is due.
    fn speak(&mut self, observe: &mut dyn Observe) -> Result<(), DriveError> {
        let users = self.load.as_ref().map_or(0, LiveLoad::users);
        let vitals = Vitals { cpu: self.cpu, memory: resident(), users };
        let order = self.session.tick(vitals, now());
        if let Some(order) = order {
            self.obey(order, observe)?;
        }
        let messages = self.session.outgoing();
        for event in self.link.send(messages) {
            self.happened(event, observe)?;
        }
        Ok(())
    }
}

/// Hands over the record of a test, where there is one.
fn keep(record: Option<RunRecord>, observe: &mut dyn Observe) -> Result<(), DriveError> {
    record.map_or(Ok(()), |record| observe.record(record).map_err(DriveError::Record))
}

fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Now { instant: Instant::now(), wall }
}

/// Resident memory of this process in bytes; 0 where the kernel does not tell.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
