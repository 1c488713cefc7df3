//! axum 0.8, with hyper driving the router directly.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, SERVER};
use axum::routing::get;
use http_peers::{BIG, HELLO, Outcome, accept, arguments, on_one_thread, speak};
use hyper_util::service::TowerToHyperService;

fn main() -> Outcome<()> {
    let (port, tls) = arguments()?;
    let app = Router::new()
        .route("/plaintext", get(async || ([(SERVER, "axum"), (CONTENT_TYPE, "text/plain")], HELLO)))
        .route("/big", get(async || Bytes::from_static(&BIG)));
    let service = TowerToHyperService::new(app);
    let again = service.clone();
    on_one_thread(accept(
        port,
        tls,
        move |stream| speak(stream, service.clone()),
        move |stream| speak(stream, again.clone()),
    ))
}
