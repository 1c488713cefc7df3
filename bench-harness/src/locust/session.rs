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
/// A master that answers no heartbeat for this long after a new connection does not know this worker.
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
    /// Since when the master has answered nothing on a new connection.
    doubtful: Option<Instant>,
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
        if self.state == State::Ready && !self.known && now.instant >= self.introduce_at {
            self.introduce(now);
        }
        if self.state == State::Spawning && vitals.users == self.wanted() {
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
        let doubtful = self.doubtful.is_some_and(|since| now.instant - since >= RECOGNITION);
        doubtful.then_some(Order::Forget)
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
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now(at: Instant, seconds: u64) -> Now {
        Now { instant: at + Duration::from_secs(seconds), wall: 1000.0 + seconds as f64 }
    }

    fn spawn(timestamp: f64, count: u64) -> Vec<u8> {
        let data = json!({ "timestamp": timestamp, "user_classes_count": { "A": count }, "host": "http://h:1",
            "stop_timeout": 0, "parsed_options": { "users": 3 } });
        to_master("spawn", data, "w")
    }

    fn said(session: &mut Session) -> Vec<(String, Value)> {
        let read = |bytes: Vec<u8>| {
            let (kind, data, worker): (String, Value, String) = rmp_serde::from_slice(&bytes).unwrap();
            assert_eq!(worker, "w");
            (kind, data)
        };
        session.outgoing().into_iter().map(read).collect()
    }

    fn kinds(session: &mut Session) -> Vec<String> {
        said(session).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn a_test_goes_from_ready_to_ready() {
        let at = Instant::now();
        let mut session = Session::new("w", "GET", "/", now(at, 0));
        session.connected(now(at, 0));
        assert_eq!(session.tick(Vitals::default(), now(at, 0)), None);
        assert_eq!(
            said(&mut session),
            [
                ("client_ready".to_owned(), json!(-1)),
                (
                    "heartbeat".to_owned(),
                    json!({ "state": "ready", "current_cpu_usage": 0.0, "current_memory_usage": 0 })
                )
            ]
        );
        session.receive(&to_master("ack", json!({ "index": 0 }), "w"), now(at, 0)).unwrap();
        let order = session.receive(&spawn(5.0, 7), now(at, 1)).unwrap();
        let host = Some("http://h:1".to_owned());
        assert_eq!(order, Some(Order::Users { count: 7, host: host.clone(), fresh: true }));
        // An older message that comes later changes nothing.
        assert_eq!(session.receive(&spawn(4.0, 1), now(at, 1)).unwrap(), None);
        session.tick(Vitals { users: 6, ..Vitals::default() }, now(at, 1));
        session.tick(Vitals { users: 7, ..Vitals::default() }, now(at, 1));
        assert_eq!(kinds(&mut session), ["spawning", "spawning", "heartbeat", "spawning_complete"]);
        let more = session.receive(&spawn(6.0, 9), now(at, 2)).unwrap();
        assert_eq!(more, Some(Order::Users { count: 9, host, fresh: false }));
        let stop = session.receive(&to_master("stop", (), "w"), now(at, 2)).unwrap();
        assert_eq!(stop, Some(Order::Stop(Duration::ZERO)));
        session.stopped(now(at, 2));
        assert_eq!(kinds(&mut session), ["spawning", "stats", "client_stopped", "client_ready"]);
    }

    #[test]
    fn another_master_does_not_know_the_test() {
        let at = Instant::now();
        let mut session = Session::new("w", "GET", "/", now(at, 0));
        session.receive(&spawn(5.0, 7), now(at, 1)).unwrap();
        let vitals = Vitals { users: 7, ..Vitals::default() };
        session.tick(vitals, now(at, 1));
        // The connection is lost and opened again: the same master answers heartbeats.
        session.connected(now(at, 10));
        session.receive(&to_master("heartbeat", (), "w"), now(at, 11)).unwrap();
        assert_eq!(session.tick(vitals, now(at, 30)), None);
        // Another one does not.
        session.connected(now(at, 40));
        assert_eq!(session.tick(vitals, now(at, 41)), None);
        assert_eq!(session.tick(vitals, now(at, 48)), Some(Order::Forget));
        session.forgotten(now(at, 48));
        session.outgoing();
        session.tick(Vitals::default(), now(at, 48));
        assert_eq!(kinds(&mut session), ["client_ready"]);
        assert_eq!(session.silence(now(at, 48)), Duration::from_secs(37));
    }
}
