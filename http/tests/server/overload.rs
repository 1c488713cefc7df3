//! More requests than a core can serve.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use covet_http::server::{Config, Counts, Event, Overload};
use covet_http::{Request, Response};

use super::harness::{Client, Server, config};

/// Holds the handlers of `/hold` until it is opened, and knows whose turn came.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    begun: Vec<String>,
    is_open: bool,
}

impl Gate {
    /// A client whose request is held.
    fn hold(&self, server: &Server) -> Client {
        self.0.lock().unwrap().is_open = false;
        let mut client = Client::connect(server);
        client.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        self.wait_for("/hold");
        client
    }

    /// Waits for the beginning of a request's handler, of which none has begun so far.
    fn wait_for(&self, path: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.0.lock().unwrap().begun.iter().any(|begun| begun == path) {
            assert!(Instant::now() < end, "{path} does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whose handlers have begun, which this forgets.
    fn begun(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().begun)
    }

    fn open(&self) {
        self.0.lock().unwrap().is_open = true;
    }
}

/// Answers when the gate is open, or after as many milliseconds as the path says; `/block/` keeps the core busy meanwhile.
async fn slow(gate: Gate, request: Request) -> Response {
    let path = request.path();
    gate.0.lock().unwrap().begun.push(path.to_owned());
    if path == "/hold" {
        while !gate.0.lock().unwrap().is_open {
            covet_runtime::time::sleep(Duration::from_millis(5)).await;
        }
    } else if let Some(millis) = path.strip_prefix("/block/") {
        std::thread::sleep(Duration::from_millis(millis.parse().unwrap()));
    } else if path == "/block-and-wait" {
        std::thread::sleep(Duration::from_millis(2500));
        covet_runtime::time::sleep(Duration::from_secs(8)).await;
    } else if let Some(millis) = path.strip_prefix("/wait/") {
        covet_runtime::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
    }
    Response::new(path.to_owned())
}

fn server(overload: Overload) -> (Server, Counts, Gate) {
    let config = Config { overload: Some(overload), ..config() };
    let (counts, gate) = (config.counts.clone(), Gate::default());
    let theirs = gate.clone();
    (Server::with(config, move |request| slow(theirs.clone(), request)), counts, gate)
}

fn ask(server: &Server, path: &str) -> Client {
    let mut client = Client::connect(server);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    // In this order.
    std::thread::sleep(Duration::from_millis(60));
    client
}

#[test]
fn what_fits_is_served_what_waits_too_and_the_rest_is_told_to_come_back() {
    let (server, counts, gate) = server(Overload {
        in_flight: 1,
        queue: 1,
        age: Duration::from_secs(100),
        retry_after: Duration::from_millis(2500),
    });
    let mut served = gate.hold(&server);
    let mut queued = ask(&server, "/second");
    let mut shed = ask(&server, "/third");
    // It is told at once, while the first is still served.
    let answer = shed.answer();
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("3")));
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert_eq!(gate.begun(), ["/hold"], "the second waits for its turn");
    gate.open();
    assert_eq!(served.answer().text(), "/hold");
    assert_eq!(queued.answer().text(), "/second");
    assert_eq!(shed.get("/again").status, 200, "its connection goes on");

    // Who has waited has left the queue.
    let mut served = gate.hold(&server);
    let mut queued = ask(&server, "/fifth");
    gate.open();
    assert_eq!((served.answer().text(), queued.answer().text()), ("/hold".into(), "/fifth".into()));
    assert_eq!((counts.get(Event::QueueFull), counts.get(Event::TooOld)), (1, 0));
}

#[test]
fn who_waits_for_too_long_is_told_so_while_waiting() {
    let (server, counts, gate) =
        server(Overload { in_flight: 1, age: Duration::from_secs(1), ..Overload::default() });
    let mut served = gate.hold(&server);
    let started = Instant::now();
    let mut queued = ask(&server, "/second");
    assert_eq!(queued.answer().status, 503);
    assert!(started.elapsed() >= Duration::from_millis(950), "after {:?}", started.elapsed());
    assert_eq!(gate.begun(), ["/hold"]);
    gate.open();
    assert_eq!(served.answer().text(), "/hold", "what is worked on is not touched");
    assert_eq!(counts.get(Event::TooOld), 1);
    assert_eq!(queued.get("/again").status, 200);
}

#[test]
fn requests_that_a_busy_core_left_lying_are_shed_by_their_age() {
    let (server, counts, _) = server(Overload { age: Duration::from_secs(1), ..Overload::default() });
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(&server)).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    // All at once: the first keeps the core busy for longer than the others may wait.
    for client in &mut clients {
        client.send(b"GET /block/700 HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.answer().status).collect();
    let shed = statuses.iter().filter(|&&status| status == 503).count();
    assert!((1..8).contains(&shed), "{statuses:?}");
    assert_eq!(counts.get(Event::TooOld), shed as u64);
    assert!(clients.iter_mut().all(|client| client.get("/").status == 200));
}

#[test]
fn what_a_request_has_waited_before_it_queues_counts() {
    let (server, counts, _) =
        server(Overload { in_flight: 1, age: Duration::from_secs(3), ..Overload::default() });
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&server)).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    // While the first keeps the core busy two more come, of which one keeps the other waiting twice: for the core, then
    // for its turn.
    let started = Instant::now();
    for (client, path) in clients.iter_mut().zip(["/block/300", "/block-and-wait", "/late"]) {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(clients[2].answer().status, 503);
    let waited = started.elapsed();
    assert!(waited > Duration::from_millis(2900) && waited < Duration::from_secs(5), "after {waited:?}");
    assert_eq!(counts.get(Event::TooOld), 1);
}

#[test]
fn a_pipelined_request_is_as_old_as_its_own_bytes() {
    let (server, counts, gate) = server(Overload { age: Duration::from_secs(2), ..Overload::default() });
    let mut client = gate.hold(&server);
    // This one waits for longer than it may, and the next comes shortly before its turn.
    client.send(b"GET /old HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread::sleep(Duration::from_millis(2800));
    client.send(b"GET /young HTTP/1.1\r\nHost: h\r\n\r\nGET /younger HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    gate.open();
    assert_eq!(client.answer().text(), "/hold");
    assert_eq!(client.answer().status, 503);
    assert_eq!((client.answer().text(), client.answer().text()), ("/young".into(), "/younger".into()));
    assert_eq!(counts.get(Event::TooOld), 1);
}

#[test]
fn a_request_that_is_shed_has_its_body_read_and_its_connection_in_step() {
    let (server, _, gate) = server(Overload { in_flight: 1, queue: 0, ..Overload::default() });
    let mut busy = gate.hold(&server);
    let mut client = Client::connect(&server);
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    client.send(b"POST /y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!((client.answer().status, client.answer().status), (503, 503));
    gate.open();
    assert_eq!(busy.answer().status, 200);
    assert_eq!(client.get("/z").text(), "/z");
}

#[test]
fn a_client_that_goes_away_gives_its_turn_back() {
    let age = Duration::from_secs(100);
    let (server, _, _) = server(Overload { in_flight: 1, queue: 4, age, ..Overload::default() });
    let busy = ask(&server, "/wait/300");
    let waiting = ask(&server, "/wait/300");
    drop((busy, waiting));
    let mut last = ask(&server, "/last");
    assert_eq!(last.answer().text(), "/last");
}
