//! Conversations in every order that was met, each as a master would hear it.

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

/// A session that has told its master that it is ready.
fn ready(at: Instant) -> Session {
    let mut session = Session::new("w", "GET", "/", now(at, 0));
    session.connected(now(at, 0));
    assert_eq!(session.tick(Vitals::default(), now(at, 0)), None);
    session
}

/// One whose master knows it.
fn known(at: Instant) -> Session {
    let mut session = ready(at);
    session.receive(&to_master("ack", json!({ "index": 0 }), "w"), now(at, 0)).unwrap();
    session
}

/// One whose master runs a test of seven users.
fn spawning(at: Instant) -> Session {
    let mut session = known(at);
    session.receive(&spawn(5.0, 7), now(at, 1)).unwrap();
    session.outgoing();
    session
}

/// One that has stopped such a test at the master's word.
fn stopped(at: Instant) -> Session {
    let mut session = spawning(at);
    assert!(session.receive(&to_master("stop", (), "w"), now(at, 2)).unwrap().is_some());
    session.stopped(now(at, 2));
    session
}

/// One whose connection was lost within such a test, and opened again.
fn reconnected(at: Instant) -> Session {
    let mut session = spawning(at);
    session.connected(now(at, 2));
    session
}

const SEVEN: Vitals = Vitals { cpu: 0.0, memory: 0, users: 7 };

#[test]
fn a_test_goes_from_ready_to_ready() {
    let at = Instant::now();
    let mut session = ready(at);
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

#[test]
fn a_master_that_may_not_know_the_worker_hears_of_no_users() {
    let at = Instant::now();
    // Another master would answer `spawning_complete` with `quit`.
    let mut session = reconnected(at);
    assert_eq!(session.tick(SEVEN, now(at, 2)), None);
    assert_eq!(kinds(&mut session), ["heartbeat"]);
    // It is the same one.
    session.receive(&to_master("heartbeat", (), "w"), now(at, 2)).unwrap();
    session.tick(SEVEN, now(at, 2));
    assert_eq!(kinds(&mut session), ["spawning_complete"]);

    let mut session = reconnected(at);
    session.tick(SEVEN, now(at, 2));
    assert_eq!(session.tick(SEVEN, now(at, 10)), Some(Order::Forget));
    session.forgotten(now(at, 10));
    session.outgoing();
    session.tick(Vitals::default(), now(at, 11));
    assert_eq!(kinds(&mut session), ["client_ready", "heartbeat"]);
}

#[test]
fn a_new_order_settles_whether_the_master_knows_the_worker() {
    let at = Instant::now();
    let mut session = reconnected(at);
    session.receive(&spawn(6.0, 7), now(at, 2)).unwrap();
    session.tick(SEVEN, now(at, 2));
    assert_eq!(kinds(&mut session), ["spawning", "spawning_complete", "heartbeat"]);
    assert_eq!(session.tick(SEVEN, now(at, 30)), None);
}

#[test]
fn a_stop_while_users_come_leaves_a_worker_that_is_ready() {
    let at = Instant::now();
    let mut session = stopped(at);
    assert_eq!(kinds(&mut session), ["stats", "client_stopped", "client_ready"]);
    // Seven users are there no more, and would be none of this master's.
    session.tick(SEVEN, now(at, 2));
    assert_eq!(kinds(&mut session), ["heartbeat"]);
    // The master is slow to answer: the worker says again that it is there.
    session.tick(Vitals::default(), now(at, 7));
    assert_eq!(kinds(&mut session), ["client_ready", "heartbeat", "stats"]);
    session.receive(&to_master("ack", json!({ "index": 0 }), "w"), now(at, 8)).unwrap();
    session.tick(Vitals::default(), now(at, 20));
    assert_eq!(kinds(&mut session), ["heartbeat", "stats"]);
}

#[test]
fn a_stop_and_the_next_test_can_come_together() {
    let at = Instant::now();
    let mut session = stopped(at);
    // Sent before the master had heard that the worker is ready.
    let order = session.receive(&spawn(6.0, 7), now(at, 2)).unwrap();
    assert!(matches!(order, Some(Order::Users { count: 7, fresh: true, .. })), "{order:?}");
    session.tick(SEVEN, now(at, 2));
    let said = kinds(&mut session);
    assert_eq!(
        said,
        ["stats", "client_stopped", "client_ready", "spawning", "spawning_complete", "heartbeat"]
    );
}

#[test]
fn a_connection_lost_within_a_stop_is_no_worker_lost() {
    let at = Instant::now();
    let mut session = stopped(at);
    // What was said never left.
    session.outgoing();
    session.connected(now(at, 3));
    session.tick(Vitals::default(), now(at, 3));
    assert_eq!(kinds(&mut session), ["client_ready", "heartbeat"]);
}

#[test]
fn a_worker_that_stood_still_for_long_makes_itself_known_again() {
    let at = Instant::now();
    let mut session = known(at);
    session.tick(Vitals::default(), now(at, 1));
    session.outgoing();
    // The master has struck it off, and answers nothing.
    session.tick(Vitals::default(), now(at, 70));
    session.tick(Vitals::default(), now(at, 78));
    session.outgoing();
    session.tick(Vitals::default(), now(at, 79));
    assert_eq!(kinds(&mut session), ["client_ready", "heartbeat"]);
    session.receive(&to_master("ack", json!({ "index": 0 }), "w"), now(at, 79)).unwrap();

    // In a test its users are the master's no more.
    let mut session = spawning(at);
    session.tick(SEVEN, now(at, 1));
    assert_eq!(session.tick(SEVEN, now(at, 70)), None);
    assert_eq!(session.tick(SEVEN, now(at, 78)), Some(Order::Forget));
    // A master that has waited answers, and the test goes on.
    let mut session = spawning(at);
    session.tick(SEVEN, now(at, 1));
    session.tick(SEVEN, now(at, 70));
    session.receive(&to_master("heartbeat", (), "w"), now(at, 71)).unwrap();
    assert_eq!(session.tick(SEVEN, now(at, 90)), None);
}
