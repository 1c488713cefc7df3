//! The contract on axum 0.8, one current-thread runtime per core: hyper drives the router directly.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::{Arguments, HELLO, Message, SERVER};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

fn app() -> Router {
    Router::new()
        .route("/plaintext", get(|| async { signed(HELLO) }))
        .route("/json", get(|| async { signed(Json(Message::hello())) }))
        .route("/user/{id}", get(|Path(id): Path<String>| async move { signed(id) }))
        .route("/echo", post(|body: Bytes| async move { signed(body) }))
}

fn signed(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::from_std(contract::listener(port))?;
    let service = TowerToHyperService::new(app());
    let mut http = http1::Builder::new();
    http.pipeline_flush(true);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
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
