//! RFC 9110 and RFC 9112 over real sockets: bytes in, statuses out, and whether the connection goes on.
//!
//! `docs/http-conformance.md` names these tests requirement by requirement.

mod burned;
mod connection;
mod fields;
mod framing;
mod request_line;
mod responses;
mod upgrade;

use covet_http::server::Config;
use covet_http::{Body, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::harness::{Client, Server, counting_stream};

/// What becomes of the connection behind the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The next request on it is answered.
    Open,
    /// It is closed in order, the last answer says so, and what is behind it is not answered.
    Closed,
}
use Then::{Closed, Open};

/// What is sent, the statuses of the answers, and what becomes of the connection.
type Case<'a> = (&'a [u8], &'a [u16], Then);

const PROBE: &[u8] = b"GET /target?probe HTTP/1.1\r\nHost: h\r\n\r\n";

/// The usual times: nothing here is about them, and a busy machine must not make it so.
fn server() -> Server {
    Server::with(Config::default(), service)
}

/// Sends each case's bytes on a connection of its own, with another request right behind them.
fn check(cases: &[Case<'_>]) {
    let server = server();
    for &(bytes, statuses, then) in cases {
        let shown = bytes[..bytes.len().min(120)].escape_ascii().to_string();
        let mut client = Client::connect(&server);
        client.try_send(bytes);
        client.try_send(PROBE);
        let mut option = None;
        for &status in statuses {
            // As the parser of answers is told: one to HEAD has no content.
            let answer =
                if bytes.starts_with(b"HEAD ") || status == 100 { client.head() } else { client.answer() };
            assert_eq!(answer.status, status, "{shown}");
            option = answer.field("connection").map(str::to_owned);
        }
        match then {
            Open => assert_eq!(client.answer().text(), "/target?probe", "{shown}"),
            Closed => {
                assert_eq!(option.as_deref(), Some("close"), "{shown}");
                client.end();
                assert!(client.is_at_end(), "{shown}");
            }
        }
    }
    assert_eq!(Client::connect(&server).get("/target?alive").text(), "/target?alive");
}

/// A GET request with these lines behind its Host field.
fn get(lines: &str) -> Vec<u8> {
    format!("GET /target HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes()
}

/// A POST request with these lines behind its Host field, and this content; the answer is the content.
fn post(lines: &str, content: &str) -> Vec<u8> {
    format!("POST /collect HTTP/1.1\r\nHost: h\r\n{lines}\r\n{content}").into_bytes()
}

/// Checks that each request has this answer, and no other behind it.
fn check_each(requests: &[Vec<u8>], status: u16, then: Then) {
    let statuses = [status];
    let cases: Vec<Case<'_>> = requests.iter().map(|bytes| (&bytes[..], &statuses[..], then)).collect();
    check(&cases);
}

async fn service(mut request: Request) -> Response {
    match (request.method().clone(), request.path()) {
        (_, "/target") => Response::new(request.target().to_owned()),
        (method, "/method") => Response::new(method.as_str().to_owned()),
        (Method::POST, "/read-and-panic") => {
            request.body_mut().collect(100).await.unwrap();
            panic!("on purpose, with the content read");
        }
        (_, "/authority") => Response::new(request.authority().unwrap_or_default().to_owned()),
        (_, "/fields") => Response::new(
            request
                .fields()
                .map(|(name, value)| format!("{name}={}\n", value.escape_ascii()))
                .collect::<String>(),
        ),
        (Method::POST, "/collect") => match request.body_mut().collect(1 << 20).await {
            Ok(body) => Response::new(body),
            Err(error) => Response::with_status(error.status()),
        },
        (_, "/ignore") => Response::new("ignored"),
        (_, "/later") => {
            covet_runtime::time::sleep(std::time::Duration::from_millis(20)).await;
            Response::new("later")
        }
        (_, "/stream") => Response::new(Body::stream(counting_stream(3))),
        (_, "/close") => {
            let mut response = Response::new("bye");
            response.close();
            response
        }
        (_, "/status") => {
            let code = request.query().and_then(|code| code.parse().ok()).unwrap_or(500);
            let mut response = Response::new("content");
            response.set_status(StatusCode::from_u16(code).unwrap());
            response
        }
        (_, "/split") => split(request.query().unwrap_or_default()),
        (_, "/upgrade") => upgrade::echo(request).await,
        (_, "*") => Response::new("server"),
        (Method::CONNECT, "/") if request.authority() == Some("echo:7") => upgrade::echo(request).await,
        _ => Response::with_status(StatusCode::NOT_FOUND),
    }
}

/// Puts what the client sent, decoded, into a field, as a careless application would.
fn split(encoded: &str) -> Response {
    let text = encoded.replace("%0d", "\r").replace("%0a", "\n").replace("%00", "\0");
    let mut response = Response::new("made");
    match (HeaderValue::from_str(&text), HeaderName::from_bytes(text.as_bytes())) {
        (Ok(value), _) => response.headers_mut().insert("x-any", value),
        (_, Ok(name)) => response.headers_mut().insert(name, HeaderValue::from_static("x")),
        _ => return Response::with_status(StatusCode::BAD_REQUEST),
    };
    response
}
