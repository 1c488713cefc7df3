//! The whole server over a real socket: what a client sends in pieces has the same answers as sent at once.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use covet_http::server::{Config, serve};
use covet_http::{Body, Request, Response, StatusCode, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};

use crate::{Signature, signature, splits};

async fn answer(mut request: Request) -> Response {
    let line = format!("{} {} {:?}\n", request.method(), request.target(), request.version());
    let content = request.body_mut().collect(1 << 16).await;
    // What the server makes of 2xx to CONNECT is a refusal, and those are not compared.
    if request.method().as_str() == "CONNECT" {
        return Response::with_status(StatusCode::NOT_FOUND);
    }
    match (request.path(), content) {
        (_, Err(error)) => Response::with_status(error.status()),
        ("/echo", Ok(_)) => Response::new(Body::from(line)),
        ("/close", Ok(body)) => {
            let mut response = Response::new(body);
            response.close();
            response
        }
        ("/none", Ok(_)) => Response::with_status(StatusCode::NO_CONTENT),
        (_, Ok(body)) => Response::new([line.as_bytes(), &body].concat()),
    }
}

/// Starts the server at the first call; it ends with the process.
fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        let runtime = Runtime::builder()
            .cores(CoreSet::count(1))
            .start(move |_core| {
                let send = send.clone();
                async move {
                    let listener =
                        TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("loopback has a free port");
                    send.send(listener.local_addr().expect("it is bound")).expect("the starter waits");
                    serve(listener, std::rc::Rc::new(service_fn(answer)), Config::default()).await;
                }
            })
            .expect("the runtime starts");
        std::mem::forget(runtime);
        receive.recv().expect("the server starts")
    })
}

/// What the server answers before it closes, as far as it must be the same each time; and whether it ends in a refusal.
fn converse(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(address()).expect("the server listens");
    stream.set_nodelay(true).expect("the socket is open");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("the socket is open");
    for piece in pieces {
        // It fails where the server has said all it will.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the server answers and closes");
    without_refusal(without_chance(&bytes))
}

/// Leaves out what depends on time: dates, and interim responses, which content that has come already makes needless.
fn without_chance(bytes: &[u8]) -> Vec<u8> {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    const DATE: &[u8] = b"Date: ";
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(CONTINUE) {
            rest = behind;
        } else if rest.starts_with(DATE) && rest.len() > DATE.len() + 29 {
            rest = &rest[DATE.len() + 29..];
        } else {
            kept.push(byte);
            rest = behind;
        }
    }
    kept
}

/// Of several faults in a head another may be found first when it trickles in, and some show only at its end: so it
/// counts only what is before the refusal.
fn without_refusal(mut bytes: Vec<u8>) -> (Vec<u8>, bool) {
    let start = bytes.windows(9).rposition(|text| text == b"HTTP/1.1 ");
    let refused = start.filter(|&at| bytes[at..].windows(24).any(|text| text == b"application/problem+json"));
    if let Some(at) = refused {
        bytes.truncate(at);
    }
    (bytes, refused.is_some())
}

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    let (whole, refused) = converse(&[bytes]);
    let (pieces, _) = converse(&splits::pieces(input));
    assert_eq!(
        whole.escape_ascii().to_string(),
        pieces.escape_ascii().to_string(),
        "{}",
        bytes.escape_ascii()
    );
    let answers = whole.windows(12).filter(|text| text.starts_with(b"HTTP/1.1 ")).map(|text| text[9]);
    signature((answers.collect::<Vec<_>>(), refused))
}
