//! actix-web 4 with one worker; its accepting thread comes on top.

use std::time::Duration;

use actix_web::http::header::{ContentType, SERVER};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use http_peers::{BIG, HELLO, Outcome, arguments};

async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().insert_header((SERVER, "actix")).content_type(ContentType::plaintext()).body(HELLO)
}

async fn big() -> HttpResponse {
    HttpResponse::Ok().insert_header((SERVER, "actix")).body(Bytes::from_static(&BIG))
}

fn main() -> Outcome<()> {
    let (port, tls) = arguments()?;
    let server = HttpServer::new(|| {
        App::new().route("/plaintext", web::get().to(plaintext)).route("/big", web::get().to(big))
    })
    .workers(1)
    .max_connections(100_000)
    .max_connection_rate(100_000)
    .keep_alive(Duration::from_secs(3600))
    // What is measured is not how long it waits for a client on a busy machine.
    .client_request_timeout(Duration::ZERO)
    .tls_handshake_timeout(Duration::from_secs(60));
    let address = ("127.0.0.1", port);
    let server = match tls {
        None => server.bind(address)?,
        Some(tls) => server.bind_rustls_0_23(address, tls)?,
    };
    actix_web::rt::System::new().block_on(server.run())?;
    Ok(())
}
