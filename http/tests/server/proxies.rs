//! Servers behind proxies: the PROXY protocol, and forwarded fields.

use std::process::Command;
use std::time::{Duration, Instant};

use covet_http::forwarded::{ForwardedFields, Forwarding};
use covet_http::proxy_protocol::ProxyProtocol;
use covet_http::server::{Config, Counts, Event, Timeouts};
use covet_http::{Networks, Request, Response};

use super::harness::{Client, Server, config};
use super::log;

/// Says who has sent the request.
async fn who(request: Request) -> Response {
    let client = request.client();
    let peer = request.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
    let name = request.proxied().and_then(|header| header.authority()).unwrap_or_default();
    Response::new(format!(
        "{peer} {:?} {:?} {} {:?} {name}",
        client.address, client.port, client.scheme, client.host
    ))
}

fn server(proxy_protocol: ProxyProtocol) -> (Server, Counts) {
    let config = Config { proxy_protocol, ..config() };
    let counts = config.counts.clone();
    (Server::with(config, who), counts)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Version 2, of a client at 192.0.2.1:258, with a TLV that names a host.
fn binary() -> Vec<u8> {
    let tlv = b"\x02\x00\x06a.test";
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    header.extend((12 + tlv.len() as u16).to_be_bytes());
    header.extend([192, 0, 2, 1, 198, 51, 100, 7, 1, 2, 0, 80]);
    header.extend(tlv);
    header
}

fn loopback() -> Networks {
    Networks::loopback()
}

#[test]
fn both_versions_tell_handlers_who_the_client_is() {
    let (server, counts) = server(ProxyProtocol::Required(loopback()));
    let mut client = Client::connect(&server);
    client.send(&[&b"PROXY TCP4 192.0.2.9 198.51.100.7 4711 80\r\n"[..], GET].concat());
    assert_eq!(client.answer().text(), r#"192.0.2.9:4711 Some(192.0.2.9) Some(4711) http Some("h") "#);
    assert!(client.get("/").text().starts_with("192.0.2.9:4711 "), "all requests have it");
    // After a pause, in which the connection keeps next to nothing, too.
    std::thread::sleep(Duration::from_millis(1300));
    assert!(client.get("/").text().starts_with("192.0.2.9:4711 "));

    let mut client = Client::connect(&server);
    for byte in binary() {
        client.send(&[byte]);
    }
    client.send(GET);
    assert_eq!(client.answer().text(), r#"192.0.2.1:258 Some(192.0.2.1) Some(258) http Some("h") a.test"#);

    // A health check has no client but itself.
    let mut client = Client::connect(&server);
    client.send(&[&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"[..], GET].concat());
    assert!(client.answer().text().starts_with(&client.local_addr().to_string()));
    assert_eq!(counts.get(Event::ProxyHeader), 0);
}

#[test]
fn curl_speaks_it() {
    let (server, counts) = server(ProxyProtocol::Required(loopback()));
    let url = format!("http://{}/", server.address);
    let output = Command::new("curl")
        .args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60"])
        .args(["--haproxy-protocol", &url])
        .output()
        .expect("curl is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("127.0.0.1:"), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(counts.get(Event::ProxyHeader), 0);
}

#[test]
fn what_is_no_good_header_is_closed_at_once() {
    let (server, counts) = server(ProxyProtocol::Required(loopback()));
    let mut unknown_version = binary();
    unknown_version[12] = 0x11;
    let cases: [&[u8]; 4] = [
        GET,
        b"PROXY TCP4 192.0.2.9 x 1 2\r\n",
        &unknown_version,
        &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
    ];
    for (count, bytes) in (1..).zip(cases) {
        let mut client = Client::connect(&server);
        client.send(bytes);
        // No time runs out while this is waited for.
        client.rest();
        assert_eq!(counts.get(Event::ProxyHeader), count, "{}", bytes.escape_ascii());
    }
    // A balancer that looks whether somebody is there is no trouble.
    drop(Client::connect(&server));
    let mut client = Client::connect(&server);
    client.send(&[&binary(), GET].concat());
    assert_eq!(client.answer().status, 200);
    assert_eq!(counts.get(Event::ProxyHeader), 4);
}

#[test]
fn from_strangers_a_header_is_refused_or_is_no_http() {
    let strangers: Networks = "192.0.2.0/24".parse().unwrap();
    let (required, counts) = server(ProxyProtocol::Required(strangers.clone()));
    let mut client = Client::connect(&required);
    client.try_send(&[&binary(), GET].concat());
    assert!(client.rest().is_empty());
    assert_eq!(counts.get(Event::ProxyHeader), 1);

    log::listen();
    let (optional, counts) = server(ProxyProtocol::Optional(strangers));
    let mut client = Client::connect(&optional);
    client.send(&[&b"PROXY TCP4 192.0.2.9 198.51.100.7 4711 80\r\n"[..], GET].concat());
    assert_eq!(client.answer().status, 400, "a forged header is not believed");
    let told = ["where none is taken", &client.local_addr().to_string(), "times=1 "];
    assert_eq!((counts.get(Event::ProxyHeader), log::warnings_with(&told)), (1, 1));
    let mut client = Client::connect(&optional);
    client.send(GET);
    assert!(client.answer().text().starts_with("127.0.0.1:"));

    let (off, counts) = server(ProxyProtocol::Off);
    for (number, header) in (1..).zip([&b"PROXY TCP4 192.0.2.9 198.51.100.7 4711 80\r\n"[..], &binary()]) {
        let mut client = Client::connect(&off);
        client.send(&[header, GET].concat());
        assert_eq!((client.answer().status, counts.get(Event::ProxyHeader)), (400, number));
    }
    let mut client = Client::connect(&off);
    client.send(b"PROXYX / HTTP/1.1\r\nHost: h\r\n\r\nPROXY x\r\n");
    assert_eq!((client.answer().status, client.answer().status), (200, 400));
    assert_eq!((counts.get(Event::ProxyHeader), counts.get(Event::Refused)), (2, 3));
}

#[test]
fn where_it_is_optional_both_kinds_of_connection_are_served() {
    let (server, _) = server(ProxyProtocol::Optional(loopback()));
    let mut client = Client::connect(&server);
    client.send(b"P");
    std::thread::sleep(Duration::from_millis(30));
    client.send(b"UT / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.answer().text().starts_with("127.0.0.1:"), "so far it may have been either");
    let mut client = Client::connect(&server);
    client.send(&[&binary(), GET].concat());
    assert!(client.answer().text().starts_with("192.0.2.1:258 "));
}

#[test]
fn a_header_has_no_more_time_than_a_head() {
    let timeouts = Timeouts { head: Duration::from_secs(1), ..config().timeouts };
    let proxy_protocol = ProxyProtocol::Required(loopback());
    let config = Config { proxy_protocol, timeouts, ..config() };
    let counts = config.counts.clone();
    let server = Server::with(config, who);
    for (start, count) in [(&b""[..], 0), (b"PROXY TCP4 ", 1), (b"PROXY UNKNOWN", 2)] {
        let started = Instant::now();
        let mut client = Client::connect(&server);
        client.send(start);
        assert!(client.rest().is_empty());
        assert!(
            started.elapsed() > Duration::from_millis(700) && started.elapsed() < Duration::from_secs(30)
        );
        assert_eq!(counts.get(Event::ProxyHeader), count, "{}", start.escape_ascii());
    }
}

#[test]
fn forwarded_fields_are_believed_from_proxies_alone() {
    let through = |fields, trusted: &str, lines: &str| {
        let forwarding = Forwarding::new(trusted.parse().unwrap(), fields);
        let server = Server::with(Config { forwarded: Some(forwarding), ..config() }, who);
        let mut client = Client::connect(&server);
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes());
        let text = client.answer().text();
        let (_, client) = text.split_once(' ').unwrap();
        client.trim_end().to_owned()
    };
    let (rfc, x) = (ForwardedFields::Forwarded, ForwardedFields::XForwarded);
    let line = "Forwarded: for=\"192.0.2.1:99\";proto=https;host=a.test\r\n";
    assert_eq!(through(rfc, "127.0.0.0/8", line), r#"Some(192.0.2.1) Some(99) https Some("a.test")"#);
    assert!(through(rfc, "10.0.0.0/8", line).starts_with("Some(127.0.0.1) "), "nobody trusts this client");
    assert!(
        through(x, "127.0.0.0/8", line).starts_with("Some(127.0.0.1) "),
        "the proxy writes another field"
    );
    let line =
        "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n";
    assert_eq!(through(x, "127.0.0.0/8", line), r#"Some(192.0.2.1) None https Some("a.test")"#);
}

#[test]
fn the_proxy_protocol_and_forwarded_fields_go_together() {
    // The header names the proxy that has sent the request, and that one names its client.
    let forwarding = Forwarding::new("10.0.0.0/8".parse().unwrap(), ForwardedFields::XForwarded);
    let proxy_protocol = ProxyProtocol::Required(loopback());
    let server = Server::with(Config { proxy_protocol, forwarded: Some(forwarding), ..config() }, who);
    for (sender, expected) in [("10.0.0.1", "Some(192.0.2.1)"), ("192.0.2.7", "Some(192.0.2.7)")] {
        let mut client = Client::connect(&server);
        client.send(format!("PROXY TCP4 {sender} 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n").as_bytes());
        let text = client.answer().text();
        assert!(text.contains(expected), "{text}");
    }
}
