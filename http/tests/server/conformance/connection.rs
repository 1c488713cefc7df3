//! RFC 9112 section 9: persistence, pipelining, closing; half-close and answers that come before the request's end.

use std::sync::atomic::{AtomicUsize, Ordering};

use covet_http::{Request, Response};

use super::{Closed, Open, PROBE, check, server};
use crate::harness::{Client, Server};

#[test]
fn persistence_follows_version_and_options() {
    let request = |version: &str, option: &str| {
        format!("GET /target HTTP/{version}\r\nHost: h\r\n{option}\r\n").into_bytes()
    };
    let cases = [
        ("1.1", "", Open),
        ("1.1", "Connection: keep-alive\r\n", Open),
        ("1.1", "Connection: close\r\n", Closed),
        ("1.1", "Connection: CLOSE\r\n", Closed),
        ("1.1", "Connection: x , close,\r\n", Closed),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", Closed),
        ("1.1", "Connection: closed, not-close\r\n", Open),
        ("1.1", "Connection:\r\n", Open),
        ("1.1", "Proxy-Connection: close\r\n", Open),
        ("1.0", "", Closed),
        ("1.0", "Connection: Keep-Alive\r\n", Open),
        ("1.0", "Connection: keep-alive, close\r\n", Closed),
        ("1.0", "Keep-Alive: timeout=5\r\n", Closed),
    ]
    .map(|(version, option, then)| (request(version, option), then));
    let cases: Vec<_> = cases.iter().map(|(bytes, then)| (&bytes[..], &[200][..], *then)).collect();
    check(&cases);
}

#[test]
fn requests_of_all_kinds_in_one_pipeline() {
    check(&[
        (
            b"GET /target?1 HTTP/1.1\r\nHost: h\r\n\r\n\
              POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab\
              POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nT: u\r\n\r\n\
              \r\nGET /later HTTP/1.1\r\nHost: h\r\n\r\n\
              POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /\
              GET /stream HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /status?204 HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /status?304 HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /target HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            &[200, 200, 200, 200, 200, 200, 204, 304, 200],
            Open,
        ),
        // A close, or a request that is not understood, is the last one.
        (
            b"GET /target HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /close HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /target HTTP/1.1\r\nHost: h\r\n\r\n",
            &[200, 200],
            Closed,
        ),
        (
            b"POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab\
              GET /target HTTP/1.1\r\nHost: h\r\n\r\n",
            &[200],
            Closed,
        ),
        (
            b"GET /target HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /later HTTP/1.1\r\nHost: h\r\n\r\n\
              GET /target HTTP/1.1\r\n\r\n",
            &[200, 200, 400],
            Closed,
        ),
    ]);
}

#[test]
fn head_in_a_pipeline_has_no_content() {
    let server = server();
    let mut client = Client::connect(&server);
    for target in ["/target", "/later", "/stream", "/ignore", "/status?404"] {
        let request = format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(&[request.as_bytes(), PROBE, request.as_bytes(), request.as_bytes(), PROBE].concat());
        for followed in [true, false, true] {
            let answer = client.head();
            assert!(answer.field("content-length").is_some() || target == "/stream", "{target}");
            if followed {
                assert_eq!(client.answer().text(), "/target?probe", "behind HEAD {target}");
            }
        }
    }
}

#[test]
fn a_pipeline_that_is_cut_anywhere_has_the_same_answers() {
    let server = server();
    let pipeline = b"POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
        HEAD /target HTTP/1.1\r\nHost: h\r\n\r\nPOST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\ncd";
    for cut in 1..pipeline.len() {
        let mut client = Client::connect(&server);
        client.send(&pipeline[..cut]);
        // The answers to what has come are there before the rest is sent, so that the cut is seen.
        let mut seen = Vec::new();
        if cut > 85 {
            seen.push(client.answer().text());
        }
        client.send(&pipeline[cut..]);
        client.end();
        if seen.is_empty() {
            seen.push(client.answer().text());
        }
        assert_eq!(client.head().status, 200, "cut at {cut}");
        seen.push(client.answer().text());
        assert_eq!(seen, ["ab", "cd"], "cut at {cut}");
        assert!(client.is_at_end(), "cut at {cut}");
    }
}

#[test]
fn a_client_that_half_closes_gets_all_its_answers() {
    let server = server();
    for (bytes, answers) in [
        (&b"GET /target HTTP/1.1\r\nHost: h\r\n\r\n"[..], vec!["/target"]),
        (
            b"GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
            vec!["later", "0,1,2,"],
        ),
        (b"POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", vec!["abc"]),
        (
            b"POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            vec!["a"],
        ),
        // Half a head behind them is nothing.
        (b"GET /target HTTP/1.1\r\nHost: h\r\n\r\nGET /ta", vec!["/target"]),
    ] {
        let mut client = Client::connect(&server);
        client.send(bytes);
        client.end();
        for answer in answers {
            assert_eq!(client.answer().text(), answer, "{}", bytes.escape_ascii());
        }
        assert!(client.is_at_end(), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_answer_that_comes_early_is_read_though_the_client_keeps_sending() {
    let server = server();
    // The first is refused by its length, the second is not read, the third has a head that is no head.
    for start in [
        "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n",
        "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n",
        "POST /ignore HTTP/1.1\r\n\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.send(start.as_bytes());
        // All of it is sent before the answer is looked at: a reset in between would lose the answer.
        assert!(client.try_send(&vec![b'x'; 1_900_000]), "{start:?}");
        let answer = client.answer();
        assert!(matches!(answer.status, 200 | 400 | 413), "{start:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{start:?}");
        client.end();
        assert!(client.is_at_end(), "{start:?}");
    }
}

#[test]
fn a_chunked_body_that_nobody_reads_is_drained_up_to_a_bound() {
    let server = server();
    let chunks = |count: usize| {
        let chunk = [&b"1000\r\n"[..], &[b'x'; 0x1000], b"\r\n"].concat().repeat(count);
        let head = &b"POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"[..];
        [head, &chunk, b"0\r\n\r\n", PROBE].concat()
    };
    let mut client = Client::connect(&server);
    client.send(&chunks(10));
    assert_eq!(client.answer().text(), "ignored");
    assert_eq!(client.answer().text(), "/target?probe");
    let mut client = Client::connect(&server);
    client.try_send(&chunks(200));
    assert_eq!(client.answer().text(), "ignored");
    client.end();
    assert!(client.is_at_end(), "what is behind the body is not answered");
}

#[test]
fn a_100_response_is_sent_when_content_is_wanted_and_missing() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(
        b"POST /collect HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(client.head().status, 100);
    client.send(b"1\r\na\r\n");
    client.send(b"0\r\n\r\n");
    assert_eq!(client.answer().text(), "a");
    // A final status instead of it: the client may send the content all the same, so the connection ends.
    client.send(b"POST /ignore HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("ignored", Some("close")));
    client.try_send(b"abc");
    client.end();
    assert!(client.is_at_end());
}

#[test]
fn behind_a_close_no_handler_is_called() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(|request: Request| async move {
        CALLS.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new("here");
        if request.path() == "/close" {
            response.close();
        }
        response
    });
    for (last, option) in [("/close", ""), ("/", "Connection: close\r\n")] {
        let before = CALLS.load(Ordering::SeqCst);
        let mut client = Client::connect(&server);
        client.send(format!("GET {last} HTTP/1.1\r\nHost: h\r\n{option}\r\n").as_bytes());
        client.try_send(&b"POST /order HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".repeat(3));
        assert_eq!(client.answer().field("connection"), Some("close"));
        client.end();
        assert!(client.is_at_end());
        assert_eq!(CALLS.load(Ordering::SeqCst), before + 1);
    }
}

#[test]
fn after_100_a_final_status_follows_whatever_happens() {
    let server = server();
    for (path, status) in [("/collect", 200), ("/read-and-panic", 500)] {
        let mut client = Client::connect(&server);
        let head = "Host: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        client.send(format!("POST {path} HTTP/1.1\r\n{head}").as_bytes());
        assert_eq!(client.head().status, 100);
        client.send(b"ab");
        assert_eq!(client.answer().status, status);
    }
    // Content that never comes, as its end says.
    let mut client = Client::connect(&server);
    client.send(b"POST /collect HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.end();
    assert_eq!(client.answer().status, 400);
}
