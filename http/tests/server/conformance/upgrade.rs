//! RFC 9110 sections 7.8 and 9.3.6: going on in another protocol.

use std::time::{Duration, Instant};

use covet_http::server::{Config, Event, Timeouts};
use covet_http::{HeaderValue, Method, Request, Response, StatusCode, UpgradeError, header};

use super::{PROBE, server};
use crate::harness::{Client, Server};

/// Echoes what comes behind the switch; the query says what to do wrong.
pub(super) async fn echo(mut request: Request) -> Response {
    let switched = match *request.method() {
        Method::CONNECT => StatusCode::OK,
        _ => StatusCode::SWITCHING_PROTOCOLS,
    };
    let mut response = Response::with_status(switched);
    if switched != StatusCode::OK {
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("echo"));
    }
    match request.query() {
        Some("untaken") => return response,
        Some("dropped") => {
            drop(request.upgrade());
            return response;
        }
        _ => {}
    }
    let Some(upgrade) = request.upgrade() else {
        response.set_status(StatusCode::UPGRADE_REQUIRED);
        return response;
    };
    assert!(request.upgrade().is_none(), "there is one connection to take");
    if request.query() == Some("declined") {
        covet_runtime::spawn(async move { assert_eq!(upgrade.await.err(), Some(UpgradeError::Declined)) })
            .detach();
        return Response::new("no");
    }
    covet_runtime::spawn(async move {
        let stream = upgrade.await.unwrap();
        assert!(stream.peer_addr().is_some());
        loop {
            let bytes = stream.recv().await.unwrap();
            if bytes.is_empty() {
                break;
            }
            stream.send(bytes).await.unwrap();
        }
        stream.send("end").await.unwrap();
        stream.end().await.unwrap();
    })
    .detach();
    response
}

const OFFER: &str = "Host: h\r\nConnection: Upgrade\r\nUpgrade: other/2, echo\r\n";

#[test]
fn a_handler_takes_the_connection_over() {
    let server = server();
    for early in ["", "\0\r\nearly"] {
        let mut client = Client::connect(&server);
        // What was pipelined before is answered before; what comes with the request belongs to the next protocol.
        client.send(PROBE);
        client.send(format!("GET /upgrade HTTP/1.1\r\n{OFFER}\r\n{early}").as_bytes());
        assert_eq!(client.answer().text(), "/target?probe");
        let answer = client.head();
        assert_eq!((answer.status, answer.field("upgrade")), (101, Some("echo")));
        assert_eq!(answer.field("connection"), Some("upgrade"));
        assert_eq!((answer.field("content-length"), answer.field("transfer-encoding")), (None, None));
        client.send(PROBE);
        client.end();
        assert_eq!(client.rest(), [early.as_bytes(), PROBE, b"end"].concat());
    }
}

#[test]
fn a_tunnel_is_made_by_connect() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(b"CONNECT echo:7 HTTP/1.1\r\nHost: echo:7\r\n\r\n");
    let answer = client.head();
    assert_eq!(
        (answer.status, answer.field("content-length"), answer.field("connection")),
        (200, None, None)
    );
    client.send(b"through");
    client.end();
    assert_eq!(client.rest(), b"throughend");
}

#[test]
fn content_before_the_switch_is_not_taken_for_the_next_protocol() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(format!("POST /upgrade HTTP/1.1\r\n{OFFER}Content-Length: 3\r\n\r\nabcdef").as_bytes());
    assert_eq!(client.head().status, 101);
    client.end();
    assert_eq!(client.rest(), b"defend");

    let mut client = Client::connect(&server);
    client.send(
        format!("POST /upgrade HTTP/1.1\r\n{OFFER}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(client.head().status, 100);
    client.send(b"abcdef");
    assert_eq!(client.head().status, 101);
    client.end();
    assert_eq!(client.rest(), b"defend");
}

#[test]
fn what_is_no_offer_is_ignored() {
    let server = server();
    for request in [
        "GET /upgrade HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\n\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n",
        "GET /upgrade HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("upgrade")), (426, Some("echo")), "{request}");
        assert!(answer.field("connection").is_some_and(|options| options.contains("upgrade")), "{request}");
        assert_eq!(client.get("/target").status, 200, "{request}");
    }
}

#[test]
fn an_offer_that_is_declined_changes_nothing() {
    let server = server();
    let mut client = Client::connect(&server);
    for (target, status) in [("/upgrade?declined", 200), ("/upgrade?untaken", 500), ("/upgrade?dropped", 500)]
    {
        client.send(format!("GET {target} HTTP/1.1\r\n{OFFER}\r\n").as_bytes());
        assert_eq!(client.answer().status, status, "{target}");
        assert_eq!(client.get("/target").status, 200, "{target}");
    }
    // A handler that answers everything has not made a tunnel.
    client.send(b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    client.send(b"CONNECT * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().status, 400);
}

/// What `served` does with the connection is told by the error that it ends with.
fn told(
    timeouts: Timeouts,
) -> (Server, covet_http::server::Counts, std::sync::mpsc::Receiver<std::io::Error>) {
    let config = Config { timeouts, ..Config::default() };
    let counts = config.counts.clone();
    let (send, receive) = std::sync::mpsc::channel();
    let server = Server::with(config, move |mut request: Request| {
        let send = send.clone();
        let floods = request.path() == "/flood";
        let upgrade = request.upgrade().unwrap();
        covet_runtime::spawn(async move {
            let stream = upgrade.await.unwrap();
            let error = loop {
                let outcome = match floods {
                    true => stream.send(vec![0; 1 << 20]).await,
                    false => match stream.recv().await {
                        Ok(bytes) => stream.send(bytes).await,
                        Err(error) => Err(error),
                    },
                };
                if let Err(error) = outcome {
                    break error;
                }
            };
            send.send(error).unwrap();
        })
        .detach();
        async {
            let response = Response::with_status(StatusCode::SWITCHING_PROTOCOLS);
            response.with_header(header::UPGRADE, HeaderValue::from_static("echo"))
        }
    });
    (server, counts, receive)
}

#[test]
fn a_connection_that_has_left_http_may_not_be_silent_for_ever() {
    let limit = Duration::from_secs(3);
    let (server, counts, errors) = told(Timeouts { upgraded: limit, ..Timeouts::default() });
    let mut client = Client::connect(&server);
    client.send(format!("GET / HTTP/1.1\r\n{OFFER}\r\n").as_bytes());
    assert_eq!(client.head().status, 101);
    let mut last = Instant::now();
    // Longer than the limit, but never silent for so long.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        last = Instant::now();
        client.send(b"x");
        client.read_some(1);
    }
    let error = errors.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
    assert!(last.elapsed() >= limit - Duration::from_millis(50), "after {:?}", last.elapsed());
    assert!(client.rest().is_empty());
    assert_eq!(counts.get(Event::UpgradedTimeout), 1);
}

#[test]
fn a_connection_that_has_left_http_and_is_not_read_is_given_up() {
    let (server, counts, errors) =
        told(Timeouts { write: Duration::from_millis(400), ..Timeouts::default() });
    let mut client = Client::connect(&server);
    client.send(format!("GET /flood HTTP/1.1\r\n{OFFER}\r\n").as_bytes());
    let error = errors.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
    assert_eq!((counts.get(Event::WriteTimeout), counts.get(Event::UpgradedTimeout)), (1, 0));
    client.reset();
}
