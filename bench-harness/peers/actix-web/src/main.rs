//! The contract on actix-web 4; its accepting thread comes on top of the workers and is not pinned.

use std::time::Duration;

use actix_web::http::header::{ContentType, SERVER};
use actix_web::web::{self, Bytes, Path, PayloadConfig};
use actix_web::{App, HttpResponse, HttpResponseBuilder, HttpServer};
use contract::{Arguments, BODY_LIMIT, HELLO, Message};

fn signed() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((SERVER, contract::SERVER));
    response
}

async fn plaintext() -> HttpResponse {
    signed().content_type(ContentType::plaintext()).body(HELLO)
}

async fn json() -> HttpResponse {
    signed().json(Message::hello())
}

async fn user(id: Path<String>) -> HttpResponse {
    signed().content_type(ContentType::plaintext()).body(id.into_inner())
}

async fn echo(body: Bytes) -> HttpResponse {
    signed().body(body)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::from_process();
    HttpServer::new(|| {
        // The factory is called once on each worker's own thread.
        contract::pin_next();
        App::new()
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .route("/plaintext", web::get().to(plaintext))
            .route("/json", web::get().to(json))
            .route("/user/{id}", web::get().to(user))
            .route("/echo", web::post().to(echo))
    })
    .workers(arguments.cores)
    .max_connections(100_000)
    .keep_alive(Duration::from_secs(3600))
    .client_request_timeout(Duration::ZERO)
    .listen(contract::listener(arguments.port))?
    .run()
    .await
}
