//! SIGTERM loses nothing that was accepted, and no server outlives who started it.

mod server;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use covet_bench::target::child::Child;
use server::Server;

#[test]
fn sigterm_under_load_fails_no_request() {
    let mut server = Server::start();
    let answered = AtomicU64::new(0);
    let stopping = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            let mut client = server.connect();
            let (answered, stopping) = (&answered, &stopping);
            scope.spawn(move || {
                loop {
                    client.send("GET /user/1 HTTP/1.1\r\nHost: test\r\n\r\n");
                    // A request that was sent is answered, or the server announced its end one answer before.
                    let answer = client.answer();
                    assert_eq!(answer.body, b"1");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                        break;
                    }
                }
                assert!(stopping.load(Ordering::SeqCst), "closed before the signal");
                client.expect_end();
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        let end = Instant::now() + server::PATIENCE;
        while answered.load(Ordering::Relaxed) <= 16 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        stopping.store(true, Ordering::SeqCst);
        server.terminate();
    });
    assert!(answered.load(Ordering::Relaxed) > 16);
    assert!(server.wait().success());
}

#[test]
fn sigterm_waits_for_an_answer_that_is_being_sent() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.send("GET /big?n=30000000 HTTP/1.1\r\nHost: test\r\n\r\n");
    // Its beginning is here, and the rest does not fit into what the kernel holds.
    assert_eq!(client.stream.peek(&mut [0]).expect("the answer begins"), 1);
    server.terminate();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(client.answer().body.len(), 30_000_000);
    client.expect_end();
    assert!(server.wait().success());
}

#[test]
fn sigterm_closes_idle_connections_at_once() {
    let mut server = Server::start();
    let mut idle: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut idle {
        client.send("GET /plaintext HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    let started = Instant::now();
    server.terminate();
    idle.iter_mut().for_each(server::Client::expect_end);
    assert!(server.wait().success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

fn serve(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covet-bench"));
    command.args(["serve", "--cores", "0", "--listen", &format!("127.0.0.1:{port}")]);
    command
}

#[test]
fn a_child_is_observed_and_stopped() {
    // Whenever it accepts connections, a signal ends it well.
    for _ in 0..10 {
        let child = Child::start(serve, Some(&[0]), Duration::from_secs(60)).expect("it starts");
        assert!(child.stop(Duration::from_secs(60)).expect("it ends").success());
    }
    let child = Child::start(serve, Some(&[0]), Duration::from_secs(60)).expect("it starts");
    assert!(child.cpu_time().expect("it runs") > Duration::ZERO);
    assert!(child.resident().expect("it runs") > 100 * 1024);
    let address = child.address();
    assert!(child.stop(Duration::from_secs(60)).expect("it ends").success());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_port_that_somebody_else_was_given_meanwhile_is_not_the_childs() {
    let other = std::cell::RefCell::new(None);
    let command = |port| {
        let listen = || std::net::TcpListener::bind(("127.0.0.1", port)).expect("it was free");
        other.borrow_mut().get_or_insert_with(listen);
        serve(port)
    };
    let child = Child::start(command, None, Duration::from_secs(20)).expect("it starts");
    let other = other.into_inner().expect("it listens").local_addr().expect("it is bound");
    assert_ne!(child.address(), other);
    assert!(child.stop(Duration::from_secs(10)).expect("it ends").success());
}

#[test]
fn a_child_does_not_outlive_the_thread_that_started_it() {
    let address = std::thread::spawn(|| {
        let child = Child::start(serve, None, Duration::from_secs(20)).expect("it starts");
        let address = child.address();
        // Without its destructor nothing but the kernel is left to end the child.
        std::mem::forget(child);
        address
    })
    .join()
    .expect("an address");
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < end, "an orphan still listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
