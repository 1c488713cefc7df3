//! Connecting by name and to the first of several addresses, with real sockets that refuse, answer, or stay silent.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

mod alone;

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::net::{self, ConnectOptions, LookupErrorKind, Resolver, TcpListener, TcpStream};
use covet_runtime::time::TestClock;
use covet_runtime::{block_on, spawn, time, yield_now};
use socket2::{Domain, Socket, Type};

/// An address that answers nothing: its backlog is full, so the kernel drops every further SYN.
struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<std::net::TcpStream>,
}

impl BlackHole {
    fn new(ip: &str) -> BlackHole {
        let at = SocketAddr::new(ip.parse().unwrap(), 0);
        let listener = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
        listener.bind(&at.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        loop {
            match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => waiting.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    break;
                }
            }
            assert!(waiting.len() < 10, "the backlog does not fill");
        }
        BlackHole { address, _listener: listener, _waiting: waiting }
    }
}

/// An address where nobody listens, and nobody else can for as long as its socket is kept.
fn refusing(ip: &str) -> (Socket, SocketAddr) {
    let at = SocketAddr::new(ip.parse().unwrap(), 0);
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
    socket.bind(&at.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// The loopback address of IPv6, or where there is none, another of IPv4.
fn other_family() -> &'static str {
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        return "::1";
    }
    eprintln!("IPv6 was not tested: this machine has no ::1");
    "127.0.0.6"
}

fn listening(ip: &str) -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn quick() -> ConnectOptions {
    ConnectOptions { attempt_delay: Duration::from_millis(20), ..ConnectOptions::default() }
}

#[test]
fn a_refused_family_gives_way_at_once() {
    let (_listener, good) = listening("127.0.0.1");
    let (_held, bad) = refusing(other_family());
    block_on(async {
        let slow = ConnectOptions { attempt_delay: Duration::from_secs(2), ..ConnectOptions::default() };
        // No time goes by: who waits for the delay waits for ever.
        let _clock = TestClock::stop();
        let addresses = [bad, good];
        let connecting = soon(pin!(slow.connect_any(&addresses))).await;
        let stream = connecting.expect("it waits for a delay that has no sense").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    })
    .unwrap();
}

#[test]
fn a_silent_address_costs_one_delay() {
    let hole = BlackHole::new(other_family());
    let (_listener, good) = listening("127.0.0.1");
    block_on(async {
        let begun = Instant::now();
        let stream = ConnectOptions::default().connect_any(&[hole.address, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(begun.elapsed() >= Duration::from_millis(250), "the first had no chance to answer");
        assert!(begun.elapsed() < Duration::from_secs(20), "the second had to wait for the first");
    })
    .unwrap();
}

#[test]
fn the_error_tells_of_every_address() {
    let ((_held4, bad4), (_held6, bad6)) = (refusing("127.0.0.1"), refusing(other_family()));
    block_on(async {
        let error = quick().connect_any(&[bad4, bad6]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let tried: Vec<SocketAddr> = error.attempts().iter().map(|attempt| attempt.address).collect();
        assert_eq!(tried, [bad4, bad6]);
        let text = io::Error::from(error).to_string();
        assert!(text.contains(&format!("{bad4}: Connection refused")), "{text}");
        assert!(text.contains(&format!("{bad6}: Connection refused")), "{text}");

        let error = quick().connect_any(&[]).await.unwrap_err();
        assert!(error.to_string().contains("no address"), "{error}");
    })
    .unwrap();
}

#[test]
fn the_time_limit_covers_all_attempts() {
    let holes = [BlackHole::new("127.0.0.1"), BlackHole::new("127.0.0.2"), BlackHole::new("127.0.0.3")];
    let (_held, bad) = refusing("127.0.0.4");
    let addresses = [bad, holes[0].address, holes[1].address, holes[2].address];
    block_on(async {
        let options = ConnectOptions {
            attempt_delay: Duration::from_secs(2),
            timeout: Some(Duration::from_millis(1500)),
            ..ConnectOptions::default()
        };
        let error = options.connect_any(&addresses).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let text = error.to_string();
        assert!(text.contains("within 1.5s"), "{text}");
        assert!(text.contains(&format!("{bad}: Connection refused")), "{text}");
        assert!(text.contains(&format!("{}: no answer", holes[0].address)), "{text}");
        assert!(text.contains("2 more"), "{text}");
    })
    .unwrap();
}

#[test]
fn every_further_address_waits_for_its_own_delay() {
    let holes = [BlackHole::new("127.0.0.1"), BlackHole::new("127.0.0.2")];
    let (_listener, good) = listening("127.0.0.1");
    block_on(async {
        let delay = Duration::from_millis(60);
        let options = ConnectOptions { attempt_delay: delay, ..ConnectOptions::default() };
        let begun = Instant::now();
        let stream = options.connect_any(&[holes[0].address, holes[1].address, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(begun.elapsed() >= 2 * delay, "the third did not wait for the second");
    })
    .unwrap();
}

/// What a future that is polled now and then comes to, however long the machine takes.
async fn soon<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    within(future, Duration::from_secs(60)).await
}

/// As `soon`, for a future that is expected to come to nothing: whether it does so.
async fn waits<F: Future>(future: Pin<&mut F>) -> bool {
    within(future, Duration::from_millis(200)).await.is_none()
}

async fn within<F: Future>(mut future: Pin<&mut F>, time: Duration) -> Option<F::Output> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        // The kernel, and the threads that look names up, go by their own clock.
        std::thread::sleep(Duration::from_millis(1));
        yield_now().await;
    }
    None
}

#[test]
fn the_delay_keeps_within_its_bounds_and_to_the_clock_of_its_core() {
    let hole = BlackHole::new("127.0.0.1");
    let (_listener, good) = listening("127.0.0.1");
    block_on(async {
        let clock = TestClock::stop();
        for (asked, taken) in [(Duration::ZERO, 10), (Duration::from_secs(3600), 2000)] {
            // A clock that a test has moved is ahead of the machine's.
            clock.advance(Duration::from_secs(60)).await;
            let options = ConnectOptions { attempt_delay: asked, ..ConnectOptions::default() };
            let addresses = [hole.address, good];
            let mut connecting = pin!(options.connect_any(&addresses));
            assert!(waits(connecting.as_mut()).await);
            clock.advance(Duration::from_millis(taken - 1)).await;
            assert!(waits(connecting.as_mut()).await, "before {taken} ms");
            clock.advance(Duration::from_millis(1)).await;
            let stream = soon(connecting).await.expect("it is time for the second").unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
        }
    })
    .unwrap();
}

#[test]
fn the_time_of_the_lookup_counts() {
    let options = ConnectOptions { timeout: Some(Duration::from_secs(10)), ..ConnectOptions::default() };
    block_on(async {
        let clock = TestClock::stop();
        for _ in 0..50 {
            let mut connecting = pin!(options.connect("localhost:9"));
            poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx).is_ready())).await;
            // The answer is there before it is looked for, and too late all the same.
            std::thread::sleep(Duration::from_millis(50));
            clock.advance(Duration::from_secs(10)).await;
            let error = soon(connecting).await.expect("the time is up").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let text = error.to_string();
            if !text.contains("name servers") {
                assert!(text.contains("localhost:9 within 10s"), "{text}");
                return;
            }
        }
        panic!("the lookup is never done in 50 ms");
    })
    .unwrap();
}

#[test]
fn an_address_that_needs_no_answer_to_fail_holds_nobody_up() {
    let (_listener, good) = listening("127.0.0.1");
    let (_held, refused) = refusing("127.0.0.1");
    let other_family = "[::1]:9".parse().unwrap();
    block_on(async {
        let options = ConnectOptions {
            attempt_delay: Duration::from_secs(2),
            local: Some("127.0.0.1".parse().unwrap()),
            ..ConnectOptions::default()
        };
        let clock = TestClock::stop();
        let addresses = [refused, other_family, good];
        let connecting = soon(pin!(options.connect_any(&addresses))).await;
        let stream = connecting.expect("it waits for a delay that has no sense").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        clock.resume();
        // The error's kind is that of the first to fail.
        let error = options.connect_any(&[other_family, refused]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert_eq!(error.attempts()[1].error.kind(), io::ErrorKind::ConnectionRefused);
    })
    .unwrap();
}

#[test]
fn names_are_looked_up() {
    let (listener, address) = listening("127.0.0.1");
    block_on(async move {
        let found = net::lookup("localhost:81").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 81), "{found:?}");
        let stream = TcpStream::connect_host(&format!("localhost:{}", address.port())).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(listener);

        let resolver = Resolver::remembering(4, Duration::from_secs(60));
        assert_eq!(resolver.lookup("localhost:1").await.unwrap()[0].port(), 1);
        assert_eq!(resolver.lookup("localhost:2").await.unwrap()[0].port(), 2);

        let error = TcpStream::connect_host("no..such:80").await.unwrap_err();
        assert_eq!(error.lookup().unwrap().kind(), LookupErrorKind::NotFound);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no..such"), "{error}");
        let error = TcpStream::connect_host("example.org").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("host:port"), "{error}");
    })
    .unwrap();
}

#[test]
fn many_lookups_share_the_threads_and_those_given_up_hold_nobody_up() {
    block_on(async {
        let lookups: Vec<_> = (0..200).map(|_| spawn(net::lookup("localhost:80"))).collect();
        for _ in 0..3 {
            yield_now().await;
        }
        for (index, lookup) in lookups.into_iter().enumerate() {
            if index % 3 == 0 {
                lookup.cancel();
            } else {
                assert!(!lookup.await.unwrap().unwrap().is_empty());
            }
        }
    })
    .unwrap();
}

#[test]
fn the_local_address_is_chosen() {
    let (listener, address) = listening("127.0.0.1");
    let bad = "[::1]:9".parse().unwrap();
    let local: IpAddr = "127.0.0.5".parse().unwrap();
    block_on(async {
        let options = ConnectOptions { local: Some(local), ..quick() };
        let stream = options.connect_any(&[bad, address]).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), local);
        assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
        let error = options.connect_any(&[bad]).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.5"), "{error}");
    })
    .unwrap();
}

#[test]
fn fast_open_is_no_different_from_outside() {
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let options = ConnectOptions { fast_open: true, ..quick() };
        for _ in 0..3 {
            let client = options.connect_any(&[address]).await.unwrap();
            client.write_all("early").await.0.unwrap();
            let server = listener.accept().await.unwrap();
            assert_eq!(&server.recv().await.unwrap()[..], b"early");
        }
    })
    .unwrap();
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn attempts_that_are_given_up_leave_no_descriptor() {
    alone("attempts_that_are_given_up_leave_no_descriptor", || {
        let holes = [BlackHole::new("127.0.0.1"), BlackHole::new(other_family())];
        let (listener, good) = listening("127.0.0.1");
        let (_held, bad) = refusing("127.0.0.2");
        block_on(async {
            time::sleep(Duration::from_millis(1)).await;
            let before = open_descriptors();
            let lists = [
                vec![holes[0].address, holes[1].address, bad],
                vec![holes[1].address, good],
                vec![bad, holes[0].address, good],
                vec![good, bad],
            ];
            let options =
                ConnectOptions { attempt_delay: Duration::from_millis(10), ..ConnectOptions::default() };
            let mut seed = 7u32;
            for round in 0..200 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let mut connect = pin!(options.connect_any(&lists[round % lists.len()]));
                // Given up after some polls, or after some time.
                if seed >> 31 == 0 {
                    let limit = Duration::from_micros(u64::from(seed >> 16 & 0x7fff));
                    let _ = time::timeout(limit, connect.as_mut()).await;
                } else {
                    for _ in 0..seed >> 28 & 7 {
                        let done = poll_fn(|cx| Poll::Ready(connect.as_mut().poll(cx).is_ready())).await;
                        if done {
                            break;
                        }
                        yield_now().await;
                    }
                }
            }
            let end = Instant::now() + Duration::from_secs(60);
            while open_descriptors() > before {
                assert!(Instant::now() < end, "{} descriptors more", open_descriptors() - before);
                time::sleep(Duration::from_millis(5)).await;
            }
        })
        .unwrap();
        drop(listener);
    });
}
