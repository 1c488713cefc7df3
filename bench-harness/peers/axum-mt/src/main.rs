//! The contract on axum 0.8 as it is usually deployed: `axum::serve` on the multi-thread runtime.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{self, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contract::{Arguments, HELLO, Message, SERVER};
use tokio::net::TcpListener;

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
    axum::serve(listener, app()).await
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::from_process();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.cores)
        .on_thread_start(contract::pin_next)
        .enable_all()
        .build()?;
    // `block_on` polls its future on the calling thread, which is no worker: accepting would not be pinned.
    let serving = runtime.spawn(serve(arguments.port));
    runtime.block_on(serving).map_err(std::io::Error::other)?
}
