//! More connections than a server takes.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use covet_http::proxy_protocol::ProxyProtocol;
use covet_http::server::{Admission, AdmissionLimits, Config, Event, Timeouts, serve};
use covet_http::{Networks, Response, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::time::timeout;
use covet_runtime::{CoreSet, Runtime};

use super::harness::{Client, Server, config};
use super::service;

fn limited(limits: AdmissionLimits) -> (Config, Admission) {
    let admission = Admission::new(limits);
    (Config { admission: Some(admission.clone()), ..config() }, admission)
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that is served.
fn held(server: &Server) -> Client {
    let mut client = Client::connect(server);
    assert_eq!(client.get("/plain").status, 200);
    client
}

#[test]
fn beyond_the_total_clients_are_told_to_come_back() {
    let (config, admission) = limited(AdmissionLimits { total: 2, ..AdmissionLimits::default() });
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let held = [held(&server), held(&server)];
    for round in 1..=3 {
        let mut third = Client::connect(&server);
        third.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = third.answer();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(answer.field("connection"), Some("close"));
        third.end();
        assert!(third.is_at_end());
        assert_eq!(counts.get(Event::OverTotal), round);
    }
    drop(held);
    eventually("places come free", || admission.open() == 0);
    assert_eq!(Client::connect(&server).get("/plain").status, 200);
}

#[test]
fn a_flood_beyond_the_total_is_reset_and_does_not_pile_up() {
    let (mut config, admission) = limited(AdmissionLimits { total: 1, ..AdmissionLimits::default() });
    config.timeouts = Timeouts { linger: Duration::from_secs(60), ..config.timeouts };
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let mut held = held(&server);
    let mut flood: Vec<Client> = (0..200).map(|_| Client::connect(&server)).collect();
    eventually("all are turned away", || counts.get(Event::OverTotal) == 200);
    // Those that are told wait for the client's end; the others are gone.
    let reset = flood.iter_mut().skip(64).filter_map(|client| client.is_reset().then_some(())).count();
    assert_eq!(reset, 136);
    assert_eq!(held.get("/plain").status, 200, "who is in is served");
    assert_eq!(admission.open(), 1);
}

#[test]
fn an_address_has_its_share_and_no_more() {
    let (config, admission) = limited(AdmissionLimits { per_address: 2, ..AdmissionLimits::default() });
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let mut two = [held(&server), held(&server)];
    assert!(Client::connect(&server).is_reset());
    assert_eq!(counts.get(Event::OverAddress), 1);
    // Loopback is a network of many addresses.
    let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    other.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    other.connect(&server.address.into()).unwrap();
    assert_eq!(Client::over(other.into()).get("/plain").status, 200);
    assert!(two.iter_mut().all(|client| client.get("/plain").status == 200));
    drop(two);
    eventually("places come free", || admission.open_from([127, 0, 0, 1].into()) == 0);
    assert_eq!(Client::connect(&server).get("/plain").status, 200);
}

#[test]
fn behind_a_proxy_its_clients_are_counted_and_ipv6_by_64_bits() {
    let (mut config, admission) = limited(AdmissionLimits { per_address: 1, ..AdmissionLimits::default() });
    config.proxy_protocol = ProxyProtocol::Required(Networks::loopback());
    let counts = config.counts.clone();
    let server = Server::with(config, service);
    let through = |from: &str| {
        let mut client = Client::connect(&server);
        client.send(format!("PROXY TCP6 {from} ::1 1 2\r\nGET /peer HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        client
    };
    let mut first = through("2001:db8:0:1::1");
    assert_eq!(first.answer().text(), "[2001:db8:0:1::1]:1");
    assert!(through("2001:db8:0:1:ffff::2").is_reset(), "the same network");
    assert_eq!(counts.get(Event::OverAddress), 1);
    assert_eq!(through("2001:db8:0:2::1").answer().status, 200, "another network");
    // Nor do those whose address the proxy does not know share its own.
    let unknown = || {
        let mut client = Client::connect(&server);
        client.send(b"PROXY UNKNOWN\r\nGET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
        client
    };
    let mut two = [unknown(), unknown()];
    assert!(two.iter_mut().all(|client| client.answer().status == 200));
    assert_eq!(admission.open_from(Ipv4Addr::LOCALHOST.into()), 0, "the proxy is nobody's client");
    drop(first);
    eventually("the place comes free", || admission.open_from("2001:db8:0:1::9".parse().unwrap()) == 0);
    assert_eq!(through("2001:db8:0:1::2").answer().status, 200);
}

#[test]
fn at_the_limit_of_a_core_new_connections_wait_and_that_is_counted() {
    let config = Config { connections: Some(1), ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, |_request| async { Response::new("ok") });
    let mut first = Client::connect(&server);
    assert_eq!(first.get("/").status, 200);
    eventually("accepting pauses", || counts.get(Event::AcceptPaused) == 1);
    let mut second = TcpStream::connect(server.address).unwrap();
    second.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    drop(first);
    assert_eq!(Client::over(second).answer().status, 200);
}

#[test]
fn a_pause_is_counted_once_however_often_the_server_is_polled_in_it() {
    let config = Config { connections: Some(1), ..config() };
    let counts = config.counts.clone();
    let (send, receive) = std::sync::mpsc::channel();
    let serving = move |_core| {
        let (send, config) = (send.clone(), config.clone());
        async move {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            let service = service_fn(|_request| async { Response::new("ok") });
            // As it is beside other futures of one task, each of which has all of them polled.
            let mut serving = std::pin::pin!(serve(listener, Rc::new(service), config));
            while timeout(Duration::from_millis(2), serving.as_mut()).await.is_err() {}
        }
    };
    let _runtime = Runtime::builder().cores(CoreSet::count(1)).start(serving).unwrap();
    let address = receive.recv().unwrap();
    for pauses in 1..=3 {
        let mut client = Client::over(TcpStream::connect(address).unwrap());
        assert_eq!(client.get("/").status, 200);
        eventually("accepting pauses", || counts.get(Event::AcceptPaused) == pauses);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(counts.get(Event::AcceptPaused), pauses);
    }
}
