//! hyper 1 with nothing above it.

use std::convert::Infallible;

use http_body_util::Full;
use http_peers::{BIG, HELLO, Outcome, accept, arguments, on_one_thread, speak};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let content: &'static [u8] = match request.uri().path() {
        "/plaintext" => HELLO.as_bytes(),
        "/big" => &BIG,
        _ => b"",
    };
    let mut response = Response::new(Full::new(Bytes::from_static(content)));
    if content.is_empty() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response.headers_mut().insert(SERVER, HeaderValue::from_static("hyper"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn main() -> Outcome<()> {
    let (port, tls) = arguments()?;
    on_one_thread(accept(
        port,
        tls,
        |stream| speak(stream, service_fn(answer)),
        |stream| speak(stream, service_fn(answer)),
    ))
}
