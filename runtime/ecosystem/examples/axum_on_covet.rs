//! An axum application with a tower-http stack, on Covet's pinned cores.
//!
//! ```text
//! cargo run -p covet-ecosystem --example axum_on_covet -- 127.0.0.1:8080
//! curl --compressed -i http://127.0.0.1:8080/hello/you
//! ```
//!
//! Every core has its own listener, its own `Router` and its own connections; hyper speaks HTTP/1 and HTTP/2 over our
//! streams. The time limit of tower-http sleeps by `tokio::time`, so a tokio runtime stands beside the cores.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use covet_runtime::compat::hyper::{CoreExecutor, CoreTimer};
use covet_runtime::net::TcpListener;
use covet_runtime::{Runtime, compat, shutdown, spawn};
use http::StatusCode;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

/// The application: nothing in it knows where it runs.
pub(crate) fn app(limit: Duration) -> Router {
    Router::new()
        .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("hello, {name}\n") }))
        .route("/text", get(|| async { "the same line again\n".repeat(1_000) }))
        .route("/sum", post(|Json(numbers): Json<Vec<i64>>| async move { Json(numbers.iter().sum::<i64>()) }))
        .route("/never", get(std::future::pending::<()>))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit))
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(TraceLayer::new_for_http())
}

/// Serves it on this core until the shutdown begins; connections then finish what they do.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "could not accept");
                    covet_runtime::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = shutdown::requested() => return,
        };
        let service = TowerToHyperService::new(app.clone());
        spawn(async move {
            let mut builder = auto::Builder::new(CoreExecutor);
            builder.http1().timer(CoreTimer);
            builder.http2().timer(CoreTimer);
            let connection = builder.serve_connection(stream, service);
            let mut connection = std::pin::pin!(connection);
            let outcome = tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = shutdown::requested() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended");
            }
        })
        .detach();
    }
}

#[cfg_attr(
    test,
    allow(dead_code, reason = "a test that takes the application and the server in has no use for it")
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    let tokio = compat::tokio::helper()?;
    let runtime = Runtime::builder().handle_signals(true).beside_tokio(tokio.handle()).start(
        move |core| async move {
            match TcpListener::bind(address) {
                Ok(listener) => serve(listener, app(Duration::from_secs(10))).await,
                Err(error) => eprintln!("core {}: could not listen on {address}: {error}", core.index()),
            }
        },
    )?;
    println!("axum on Covet: http://{address}/hello/you");
    runtime.join()?;
    Ok(())
}
