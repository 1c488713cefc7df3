//! The server, spoken to over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backpressure;
mod bodies;
#[cfg(feature = "gzip")]
mod codings;
mod conformance;
mod floods;
mod harness;
mod limits;
mod log;
mod overload;
mod panics;
mod proxies;
mod shutdown;
mod slow;
mod tools;
mod trailers;
mod unix;
mod vanishing;

use covet_http::{Body, ContentType, Method, Request, Response, StatusCode};
use harness::{Client, Server};

const PLAIN: ContentType = ContentType::new("text/plain");

async fn service(mut request: Request) -> Response {
    match (request.method().clone(), request.path()) {
        (_, "/plain") => Response::new("Hello, World!").with_content_type(PLAIN),
        (_, "/target") => Response::new(request.target().to_owned()),
        (_, "/204") => Response::with_status(StatusCode::NO_CONTENT),
        (_, "/panic") => panic!("on purpose"),
        (_, "/close") => {
            let mut response = Response::new("bye");
            response.close();
            response
        }
        (_, "/later") => {
            covet_runtime::time::sleep(std::time::Duration::from_millis(20)).await;
            Response::new("later")
        }
        (_, "/big") => Response::new(vec![b'x'; 3 << 20]),
        (_, "/peer") => Response::new(request.peer_addr().map(|peer| peer.to_string()).unwrap_or_default()),
        (Method::POST, "/collect") => match request.body_mut().collect(1 << 20).await {
            Ok(body) => Response::new(body),
            Err(error) => Response::with_status(error.status()),
        },
        (Method::POST, "/echo") => Response::new(request.take_body()),
        (Method::POST, "/ignore") => Response::new("ignored"),
        (_, "/broken") => Response::new(Body::stream(harness::failing_stream())),
        (_, "/stream") => Response::new(Body::stream(harness::counting_stream(5))),
        _ => Response::with_status(StatusCode::NOT_FOUND),
    }
}

fn server() -> Server {
    Server::start(service)
}

#[test]
fn keeps_connections_and_dates_answers() {
    let server = server();
    let mut client = Client::connect(&server);
    for _ in 0..3 {
        let answer = client.get("/plain");
        assert_eq!((answer.status, &answer.body[..]), (200, &b"Hello, World!"[..]));
        assert_eq!(answer.field("content-type"), Some("text/plain"));
        assert_eq!(answer.field("content-length"), Some("13"));
        assert_eq!(answer.field("server"), Some("covet"));
        assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT") && date.len() == 29));
        assert_eq!(answer.field("connection"), None);
    }
    let peer = client.get("/peer");
    assert_eq!(peer.text(), client.local_addr().to_string());
}

#[test]
fn pipelined_requests_are_answered_in_order_and_together() {
    let server = server();
    let mut client = Client::connect(&server);
    let requests: String = (0..40).map(|n| format!("GET /target?{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    client.send(requests.as_bytes());
    for n in 0..40 {
        assert_eq!(client.answer().text(), format!("/target?{n}"));
    }
    // A request that takes time holds those behind it back, and lets those before it go.
    client.send(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\nGET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().text(), "Hello, World!");
    assert_eq!(client.answer().text(), "later");
    assert_eq!(client.answer().text(), "Hello, World!");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = server();
    let mut client = Client::connect(&server);
    for byte in b"GET /target?slow HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send(&[*byte]);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(client.answer().text(), "/target?slow");
}

#[test]
fn head_and_bodiless_statuses_have_no_content() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"HEAD /plain HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = client.head();
    assert_eq!(answer.field("content-length"), Some("13"));
    let answer = client.get("/204");
    assert_eq!((answer.status, answer.field("content-length")), (204, None));
    assert_eq!(client.get("/plain").status, 200, "the connection is in step");
}

#[test]
fn http_1_0_and_connection_options_are_honoured() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("keep-alive"));
    client.send(b"GET /plain HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().field("connection"), Some("close"));
    assert!(client.is_at_end());

    let mut client = Client::connect(&server);
    client.send(
        b"GET /plain HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /plain HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(client.answer().field("connection"), Some("close"));
    assert!(client.is_at_end(), "what is pipelined behind a close is not answered");

    let mut client = Client::connect(&server);
    assert_eq!(client.get("/close").field("connection"), Some("close"));
    assert!(client.is_at_end());
}

#[test]
fn a_client_that_half_closes_gets_its_answers() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /plain HTTP/1.1\r\nHost: h\r\n\r\n");
    client.end();
    assert_eq!(client.answer().text(), "later");
    assert_eq!(client.answer().text(), "Hello, World!");
    assert!(client.is_at_end());
}

#[test]
fn a_panic_is_a_500_and_the_core_goes_on() {
    let server = server();
    let mut client = Client::connect(&server);
    let answer = client.get("/panic");
    assert_eq!((answer.status, answer.field("content-type")), (500, Some("application/problem+json")));
    assert!(client.is_at_end());
    assert_eq!(Client::connect(&server).get("/plain").status, 200);
}
