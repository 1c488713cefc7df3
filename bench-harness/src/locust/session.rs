//! What a worker says to its master and does at its word: messages and time in, messages and orders out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::message::{
    Exception, FromMaster, Heartbeat, MessageError, NO_VERSION, Spawn, Stats, Users, to_master,
};
use super::stats::Statistics;
use crate::load::LivePart;

/// The master counts a worker as missing after three seconds without one.
const HEARTBEAT: Duration = Duration::from_secs(1);
const REPORT: Duration = Duration::from_secs(3);
/// How often a worker that the master does not know yet says that it is there.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// A master strikes a worker off that has said nothing for about this long.
const STRUCK_OFF: Duration = Duration::from_secs(60);
/// A master that answers no heartbeat for this long, after a new connection or a long silence of this worker's, does not
/// know it.
const RECOGNITION: Duration = Duration::from_secs(8);

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// Run so many users; a `fresh` test begins with them.
    Users { count: u64, host: Option<String>, fresh: bool },
    /// End the test, within so much time, and call [`Session::stopped`].
    Stop(Duration),
    /// End the test, and everything.
    Quit,
    /// Open the connection again.
    Reconnect,
    /// End the test: whoever began it is gone.
    Forget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Spawning,
    Running,
}

impl State {
    /// The name that Locust has for it.
    fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Spawning => "spawning",
            Self::Running => "running",
        }
    }
}

/// How the worker fares.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Vitals {
    /// Of the busiest generator thread, in percent.
    pub(super) cpu: f64,
    /// Resident bytes.
    pub(super) memory: u64,
    /// Users that run.
    pub(super) users: u64,
}

/// Now, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Seconds since 1970.
    pub(super) wall: f64,
}

/// The worker's side of the conversation, over all connections.
#[derive(Debug)]
pub(super) struct Session {
    worker: String,
    state: State,
    /// Users wanted, by class.
    classes: BTreeMap<String, u64>,
    stop_timeout: Duration,
    last_spawn: f64,
    known: bool,
    last_heard: Instant,
    /// Since when it is open whether the master knows this worker.
    doubtful: Option<Instant>,
    /// When something was last due and said.
    last_tick: Instant,
    introduce_at: Instant,
    heartbeat_at: Instant,
    report_at: Instant,
    statistics: Statistics,
    out: Vec<Vec<u8>>,
}

impl Session {
    /// A worker of this name, whose requests have this method and name in reports.
    pub(super) fn new(worker: &str, method: &str, name: &str, now: Now) -> Self {
        Self {
            worker: worker.to_owned(),
            state: State::Ready,
            classes: BTreeMap::new(),
            stop_timeout: Duration::ZERO,
            last_spawn: 0.0,
            known: false,
            last_heard: now.instant,
            doubtful: None,
            last_tick: now.instant,
            introduce_at: now.instant,
            heartbeat_at: now.instant,
            report_at: now.instant + REPORT,
            statistics: Statistics::new(method, name, now.wall),
            out: Vec::new(),
        }
    }

    /// What is to be sent.
    pub(super) fn outgoing(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    /// How long the master has been silent.
    pub(super) fn silence(&self, now: Now) -> Duration {
        now.instant.saturating_duration_since(self.last_heard)
    }

    fn say(&mut self, kind: &str, data: impl serde::Serialize) {
        self.out.push(to_master(kind, data, &self.worker));
    }

    /// A connection has been opened.
    pub(super) fn connected(&mut self, now: Now) {
        self.heartbeat_at = now.instant;
        if self.state == State::Ready {
            self.known = false;
            self.introduce_at = now.instant;
        } else {
            // The same master goes on with this worker; another one answers nothing.
            self.doubtful = Some(now.instant);
        }
    }

    /// A message has come.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Now) -> Result<Option<Order>, MessageError> {
        self.last_heard = now.instant;
        Ok(match FromMaster::parse(bytes)? {
            FromMaster::Ack => {
                self.known = true;
                self.doubtful = None;
                None
            }
            FromMaster::Heartbeat => {
                self.doubtful = None;
                None
            }
            FromMaster::Spawn(spawn) => self.spawn(spawn, now),
            FromMaster::Stop => Some(Order::Stop(self.stop_timeout)),
            FromMaster::Quit => Some(Order::Quit),
            FromMaster::Reconnect => Some(Order::Reconnect),
            FromMaster::Other => None,
        })
    }

    fn spawn(&mut self, spawn: Spawn, now: Now) -> Option<Order> {
        self.say("spawning", ());
        if spawn.timestamp <= self.last_spawn {
            // Spawn messages can overtake one another.
            return None;
        }
        self.last_spawn = spawn.timestamp;
        self.doubtful = None;
        let fresh = self.state == State::Ready;
        if fresh {
            self.statistics.take(now.wall);
        }
        self.stop_timeout =
            Duration::try_from_secs_f64(spawn.stop_timeout.unwrap_or(0.0)).unwrap_or_default();
        self.state = State::Spawning;
        self.classes = spawn.user_classes_count;
        Some(Order::Users { count: self.wanted(), host: spawn.host, fresh })
    }

    fn wanted(&self) -> u64 {
        self.classes.values().sum()
    }

    fn users(&self) -> Users {
        Users { user_classes_count: self.classes.clone(), user_count: self.wanted() }
    }

    /// Adds to what is reported.
    pub(super) fn record(&mut self, part: &LivePart) {
        self.statistics.add(part);
    }

    /// Says what is due, while there is a connection.
    pub(super) fn tick(&mut self, vitals: Vitals, now: Now) -> Option<Order> {
        if now.instant.saturating_duration_since(self.last_tick) >= STRUCK_OFF {
            // This process stood still, or had no connection: what the master has made of that is asked.
            self.doubtful = self.doubtful.or(Some(now.instant));
        }
        self.last_tick = now.instant;
        if self.state == State::Ready && !self.known && now.instant >= self.introduce_at {
            self.introduce(now);
        }
        // A master that hears of users from a worker that it does not know makes the worker quit.
        if self.state == State::Spawning && self.doubtful.is_none() && vitals.users == self.wanted() {
            self.state = State::Running;
            self.say("spawning_complete", self.users());
        }
        if now.instant >= self.heartbeat_at {
            self.heartbeat_at = now.instant + HEARTBEAT;
            let state = self.state.name();
            self.say(
                "heartbeat",
                Heartbeat { state, current_cpu_usage: vitals.cpu, current_memory_usage: vitals.memory },
            );
        }
        if now.instant >= self.report_at {
            self.report(now);
        }
        self.unrecognised(now)
    }

    /// What follows where the master has had time to answer, and has not.
    fn unrecognised(&mut self, now: Now) -> Option<Order> {
        self.doubtful.filter(|since| now.instant.saturating_duration_since(*since) >= RECOGNITION)?;
        if self.state != State::Ready {
            return Some(Order::Forget);
        }
        self.doubtful = None;
        self.known = false;
        None
    }

    fn introduce(&mut self, now: Now) {
        self.say("client_ready", NO_VERSION);
        self.introduce_at = now.instant + INTRODUCTION;
    }

    fn report(&mut self, now: Now) {
        self.report_at = now.instant + REPORT;
        let (stats, stats_total, errors) = self.statistics.take(now.wall);
        let Users { user_classes_count, user_count } = self.users();
        self.say("stats", Stats { stats, stats_total, errors, user_classes_count, user_count });
    }

    /// The test has ended at the master's word, and everything of it is recorded.
    pub(super) fn stopped(&mut self, now: Now) {
        self.end();
        // Before the master forgets this worker.
        self.report(now);
        self.say("client_stopped", ());
        self.introduce(now);
    }

    /// The test has ended because its master is gone: what it has not been told is nobody's.
    pub(super) fn forgotten(&mut self, now: Now) {
        self.end();
        self.statistics.take(now.wall);
        self.introduce_at = now.instant;
    }

    fn end(&mut self) {
        self.state = State::Ready;
        self.classes.values_mut().for_each(|count| *count = 0);
        self.doubtful = None;
        self.known = false;
    }

    /// Everything ends; the master is told where it is not what wanted it.
    pub(super) fn quit(&mut self, unasked: bool, now: Now) {
        self.end();
        self.report(now);
        if unasked {
            self.say("quit", ());
        }
    }

    /// A test could not begin.
    pub(super) fn failed(&mut self, what: &str, now: Now) {
        self.say("exception", Exception { msg: what, traceback: "" });
        self.end();
        self.introduce(now);
    }

    /// Shows lines on the master's page of logs.
    pub(super) fn log(&mut self, lines: Vec<String>) {
        #[derive(serde::Serialize)]
        struct Logs<'a> {
            worker_id: &'a str,
            logs: Vec<String>,
        }
        let worker = self.worker.clone();
        self.say("logs", Logs { worker_id: &worker, logs: lines });
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
