//! RFC 9112 section 5, RFC 9110 sections 5, 7.2 and 10.1.1: field lines, Host, Expect.

use super::{Closed, Open, check, check_each, get, post, server};
use crate::harness::Client;

#[test]
fn field_lines_that_are_served() {
    let requests: Vec<Vec<u8>> = [
        "X: y\r\n",
        "X:y\r\n",
        "X: \t y \t \r\n",
        "X:\r\n",
        "X: \r\n",
        "!#$%&'*+-.^_`|~09azAZ: y\r\n",
        "X: \u{e9} ~ \u{fffd}\r\n",
        "X: a\r\nx: b\r\n",
        "Unknown: anything, at all; \"with (any) \\\"syntax\\\"\"\r\n",
    ]
    .map(get)
    .into();
    check_each(&requests, 200, Open);
}

#[test]
fn field_lines_that_are_refused() {
    let requests: Vec<Vec<u8>> = [
        // Between name and colon.
        "X : y\r\n",
        "X\t: y\r\n",
        // Folded, or before the first field.
        "X: y\r\n z\r\n",
        "X: y\r\n\tz\r\n",
        "X: y\r\n \r\n",
        // Names that are no tokens.
        "X\r\n",
        ": y\r\n",
        "X Y: z\r\n",
        "X@: y\r\n",
        "X\u{e9}: y\r\n",
        "X\0: y\r\n",
        "(X): y\r\n",
        "X\x7f: y\r\n",
        // Values with controls.
        "X: a\0b\r\n",
        "X: a\rb\r\n",
        "X: a\r\r\n",
        "X: \x01\r\n",
        "X: a\x0bb\r\n",
        "X: a\x7f\r\n",
        // Line ends that are a bare LF.
        "X: y\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        "X: y\r\n\n",
        "\n",
    ]
    .map(get)
    .into();
    check_each(&requests, 400, Closed);
    check(&[
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", &[400], Closed),
        (b"GET / HTTP/1.1\r\n X: y\r\nHost: h\r\n\r\n", &[400], Closed),
        (b"GET / HTTP/1.1\nHost: h\n\n", &[400], Closed),
    ]);
}

#[test]
fn order_case_and_repetition_of_fields_are_kept() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /fields HTTP/1.1\r\nhOST: h\r\nB: 2 \r\nA:\t1\r\nb: 3\r\n\r\n");
    assert_eq!(client.answer().text(), "hOST=h\nB=2\nA=1\nb=3\n");
}

#[test]
fn fields_are_bounded_in_number_and_size() {
    let many = get(&"X: y\r\n".repeat(100));
    let long = get(&format!("X: {}\r\n", "y".repeat(70_000)));
    let endless = [&get("")[..31], b"X: ", &b"y".repeat(70_000)].concat();
    let large = get(&format!("X: {}\r\n", "y".repeat(60_000)));
    let long_name = get(&format!("{}: y\r\n", "x".repeat(66_000)));
    check(&[
        (&many, &[431], Closed),
        (&long, &[431], Closed),
        (&endless, &[431], Closed),
        (&long_name, &[431], Closed),
        (&large, &[200], Open),
    ]);
}

#[test]
fn host_is_needed_once_and_valid() {
    let with = |host: &str| format!("GET /target HTTP/1.1\r\n{host}\r\n").into_bytes();
    let refused: Vec<Vec<u8>> = [
        "",
        "Host:\r\n",
        "Host: h\r\nHost: h\r\n",
        "Host: h\r\nHOST: other\r\n",
        "Host: h, h\r\n",
        "Host: a b\r\n",
        "Host: h/\r\n",
        "Host: http://h\r\n",
        "Host: u@h\r\n",
        "Host: h:x\r\n",
        "Host: h:65536\r\n",
        "Host: h:1:2\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: [::g]\r\n",
        "Host: ::1\r\n",
        "Host: h\\\r\n",
        "Host: h%4\r\n",
        "Host: \u{e9}\r\n",
        "Host: h?q\r\n",
        "Host: h#f\r\n",
    ]
    .map(with)
    .into();
    check_each(&refused, 400, Closed);
    let served: Vec<Vec<u8>> = [
        "Host: h\r\n",
        "host:h\r\n",
        "Host: h.example.:8080\r\n",
        "Host: h:\r\n",
        "Host: 127.0.0.1\r\n",
        "Host: [::1]:80\r\n",
        "Host: a-b_c~%41!$&'()*+;=\r\n",
        "Host: \th\t\r\n",
    ]
    .map(with)
    .into();
    check_each(&served, 200, Open);
    check(&[
        (b"GET http://h/target HTTP/1.1\r\n\r\n", &[400], Closed),
        (b"GET http://h/target HTTP/1.1\r\nHost: a b\r\n\r\n", &[400], Closed),
        (b"GET /target HTTP/1.0\r\n\r\n", &[200], Closed),
        (b"GET /target HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", &[400], Closed),
    ]);
}

#[test]
fn expectations() {
    check(&[
        (&get("Expect: other\r\n"), &[417], Closed),
        (&get("Expect: 100-continue, other\r\n"), &[417], Closed),
        (&get("Expect: 100-continue=x\r\n"), &[417], Closed),
        // There is no content to wait for, so there is no 100.
        (&get("Expect: 100-continue\r\n"), &[200], Open),
        (&post("Expect: 100-continue\r\nContent-Length: 0\r\n", ""), &[200], Open),
        // What has come already is not waited for.
        (&post("Expect: 100-continue\r\nContent-Length: 2\r\n", "ab"), &[200], Open),
        (&post("Expect: 100-CONTINUE, \r\nContent-Length: 2\r\n", "ab"), &[200], Open),
        // HTTP/1.0 knows no 100.
        (b"POST /collect HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab", &[200], Closed),
    ]);
}
