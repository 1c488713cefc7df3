//! The contract on hyper 1: one current-thread runtime per core, each with a listener of its own.

use std::convert::Infallible;

use bytes::Bytes;
use contract::{Arguments, BODY_LIMIT, HELLO, Message, SERVER};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    let response = match *request.method() {
        Method::GET if path == "/plaintext" => ok("text/plain", Bytes::from_static(HELLO.as_bytes())),
        Method::GET if path == "/json" => match serde_json::to_vec(&Message::hello()) {
            Ok(json) => ok("application/json", json.into()),
            Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Method::GET => match path.strip_prefix("/user/") {
            Some(id) if !id.is_empty() && !id.contains('/') => {
                ok("text/plain", Bytes::copy_from_slice(id.as_bytes()))
            }
            _ => empty(StatusCode::NOT_FOUND),
        },
        Method::POST if path == "/echo" => {
            match Limited::new(request.into_body(), BODY_LIMIT).collect().await {
                Ok(body) => ok("application/octet-stream", body.to_bytes()),
                Err(_) => empty(StatusCode::BAD_REQUEST),
            }
        }
        _ => empty(StatusCode::NOT_FOUND),
    };
    Ok(response)
}

fn ok(content_type: &'static str, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::from_std(contract::listener(port))?;
    let mut http = http1::Builder::new();
    http.pipeline_flush(true);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = http.serve_connection(TokioIo::new(stream), service_fn(answer));
        // A connection's failure is its client's affair.
        spawn_local(async move { drop(connection.await) });
    }
}

fn main() {
    let arguments = Arguments::from_process();
    contract::each_core(arguments.cores, |_| {
        let served = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| LocalSet::new().block_on(&runtime, serve(arguments.port)));
        served.expect("a runtime and a listener at start-up");
    });
}
