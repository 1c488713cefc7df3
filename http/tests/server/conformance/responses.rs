//! RFC 9110 sections 6.4, 6.6.1 and 15, RFC 9112 sections 4 and 6: what answers look like.

use std::time::Duration;

use covet_http::server::{Config, Timeouts};

use super::{server, service};
use crate::harness::{Client, Server, config};

#[test]
fn statuses_without_content_have_none() {
    let server = server();
    let mut client = Client::connect(&server);
    for (status, length) in [(204, None), (304, None), (205, Some("0")), (200, Some("7")), (404, Some("7"))] {
        client.send(format!("GET /status?{status} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("content-length")), (status, length));
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(answer.body.is_empty(), matches!(status, 204 | 205 | 304));
    }
    // An interim status is no answer, and nobody offered to switch.
    for status in [100, 101, 103] {
        let answer = client.get(&format!("/status?{status}"));
        assert_eq!((answer.status, answer.field("content-length")), (500, Some("0")));
    }
    assert_eq!(client.get("/target").status, 200, "the connection is in step");
}

#[test]
fn refusals_of_head_requests_have_no_content() {
    // For the one that has no end.
    let timeouts = Timeouts { head: Duration::from_secs(1), ..config().timeouts };
    let server = Server::with(Config { timeouts, ..config() }, service);
    for request in [
        &b"HEAD / HTTP/1.1\r\n\r\n"[..],
        b"\r\nHEAD / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n",
        b"HEAD https://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: h\r\nX",
    ] {
        let mut client = Client::connect(&server);
        client.send(request);
        let answer = client.head();
        assert!(answer.status >= 400 && answer.field("content-length").is_some(), "{}", answer.status);
        client.end();
        assert!(client.is_at_end(), "{}", request.escape_ascii());
    }
}

#[test]
fn every_final_answer_has_a_date() {
    let server = server();
    for request in [
        "GET /target HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /status?304 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /status?500 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /target HTTP/1.1\r\n\r\n",
        "GET /stream HTTP/1.0\r\n\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.send(request.as_bytes());
        let answer = client.head();
        assert!(
            answer.field("date").is_some_and(|date| date.len() == 29 && date.ends_with(" GMT")),
            "{request}"
        );
    }
}

#[test]
fn http_1_0_clients_get_framing_they_know() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /target HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("/target", Some("keep-alive")));
    client.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.head();
    assert_eq!((answer.field("transfer-encoding"), answer.field("content-length")), (None, None));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(client.rest(), b"0,1,2,");
}

#[test]
fn responses_cannot_be_split() {
    let server = server();
    let mut client = Client::connect(&server);
    for attempt in [
        "a%0d%0aSet-Cookie:b=c",
        "a%0d%0a%0d%0aHTTP/1.1",
        "a%0aX:y",
        "a%0dX:y",
        "a%00",
        "%0d%0a",
        "%0d%0a%20fold",
    ] {
        let answer = client.get(&format!("/split?{attempt}"));
        assert_eq!((answer.status, answer.body.len()), (400, 0), "{attempt}");
        assert_eq!((answer.field("set-cookie"), answer.field("x")), (None, None), "{attempt}");
    }
    assert_eq!(client.get("/split?fine").field("x-any"), Some("fine"));
}

#[test]
fn the_reason_phrase_is_followed_by_nothing() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /status?599 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(client.rest().starts_with(b"HTTP/1.1 599 \r\n"));
}
