//! RFC 9112 sections 2.2, 2.3 and 3: the request line, its target, the version.

use super::{Closed, Open, check, check_each, server};
use crate::harness::Client;

#[test]
fn lines_that_are_served() {
    check(&[
        (b"GET /target HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        // At least one empty line before it is skipped.
        (b"\r\nGET /target HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        (b"GET /target?a?b/;c=d HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        // The four forms of the target.
        (b"GET http://h/target HTTP/1.1\r\nHost: other\r\n\r\n", &[200], Open),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        (b"OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", &[404], Open),
        // Methods are case-sensitive, and any token may be one: it is for the application to refuse it.
        (b"get /target HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        (b"!#$%&'*+-.^_`|~09azAZ /target HTTP/1.1\r\nHost: h\r\n\r\n", &[200], Open),
        // A later minor version is 1.1 to us.
        (b"GET /target HTTP/1.9\r\nHost: h\r\n\r\n", &[200], Open),
        (b"GET /target HTTP/1.0\r\n\r\n", &[200], Closed),
        // 8,000 bytes of request line are to be supported.
        (long("GET /target?", 8_000).as_bytes(), &[200], Open),
        (long("GET /target?", 16_000).as_bytes(), &[200], Open),
    ]);
}

#[test]
fn lines_that_are_refused() {
    let lines: [&[u8]; 33] = [
        b"GET\r\n",
        b"GET /\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET /  HTTP/1.1\r\n",
        b"GET  / HTTP/1.1\r\n",
        b" GET / HTTP/1.1\r\n",
        b"GET\t/ HTTP/1.1\r\n",
        b"GET / HTTP/1.1\t\r\n",
        b"GET /a b HTTP/1.1\r\n",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\r\r\n",
        b"GET /\r HTTP/1.1\r\n",
        b"GET /\0 HTTP/1.1\r\n",
        b"GET /\x7f HTTP/1.1\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n",
        b"GET /#a HTTP/1.1\r\n",
        b"GET target HTTP/1.1\r\n",
        b"GET * HTTP/1.1\r\n",
        b"GET h:1 HTTP/1.1\r\n",
        b"GET http:///a HTTP/1.1\r\n",
        b"GET http://u:p@h/a HTTP/1.1\r\n",
        b"GET ftp://h/a HTTP/1.1\r\n",
        b"CONNECT / HTTP/1.1\r\n",
        b"CONNECT h HTTP/1.1\r\n",
        b"CONNECT h: HTTP/1.1\r\n",
        b"CONNECT h:0 HTTP/1.1\r\n",
        b"CONNECT h:65536 HTTP/1.1\r\n",
        b"G@T / HTTP/1.1\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTP/1.10\r\n",
        b"GET / HTTP/11\r\n",
        b"GET / HTTP /1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    let requests: Vec<Vec<u8>> = lines.iter().map(|line| [line, &b"Host: h\r\n\r\n"[..]].concat()).collect();
    check_each(&requests, 400, Closed);
    check_each(
        &[
            b"\nGET /target HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
            b"\r\n\r\n\r\nGET /target HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
            b"\r\rGET /target HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        ],
        400,
        Closed,
    );
}

#[test]
fn other_major_versions_are_505() {
    check(&[
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", &[505], Closed),
        (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", &[505], Closed),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505], Closed),
    ]);
}

#[test]
fn long_targets_are_414_and_endless_methods_501() {
    let endless_target = format!("GET /{}", "a".repeat(20_000));
    let endless_method = "M".repeat(20_000);
    check(&[
        (long("GET /target?", 16_500).as_bytes(), &[414], Closed),
        (endless_target.as_bytes(), &[414], Closed),
        (endless_method.as_bytes(), &[501], Closed),
    ]);
}

#[test]
fn methods_are_handed_on_as_they_are() {
    let server = server();
    let mut client = Client::connect(&server);
    for method in ["GET", "get", "Get", "PATCH", "!#$%&'*+-.^_`|~09azAZ"] {
        client.send(format!("{method} /method HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!(client.answer().text(), method);
    }
}

#[test]
fn the_target_decides_over_the_host_field() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET http://real:81/authority HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(client.answer().text(), "real:81");
    client.send(b"GET /authority HTTP/1.1\r\nHost: here:82\r\n\r\n");
    assert_eq!(client.answer().text(), "here:82");
    client.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().text(), "server");
}

#[test]
fn https_is_not_served_in_the_clear() {
    check(&[
        (b"GET https://h/target HTTP/1.1\r\nHost: h\r\n\r\n", &[421], Closed),
        (b"GET HTTPS://h/target HTTP/1.1\r\nHost: h\r\n\r\n", &[421], Closed),
        (b"HEAD https://h/target HTTP/1.1\r\nHost: h\r\n\r\n", &[421], Closed),
    ]);
}

/// A request whose line has `length` bytes without its CRLF.
fn long(start: &str, length: usize) -> String {
    let fill = "a".repeat(length - start.len() - " HTTP/1.1".len());
    format!("{start}{fill} HTTP/1.1\r\nHost: h\r\n\r\n")
}
