//! The contract on ntex 3 and its own io_uring driver.

use contract::{Arguments, BODY_LIMIT, HELLO, Message};
use ntex::http::HttpServiceConfig;
use ntex::http::header::SERVER;
use ntex::service::cfg::SharedCfg;
use ntex::time::Seconds;
use ntex::util::Bytes;
use ntex::web::types::{Path, PayloadConfig};
use ntex::web::{self, App, HttpResponse, HttpResponseBuilder};

fn signed() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.header(SERVER, contract::SERVER);
    response
}

async fn plaintext() -> HttpResponse {
    signed().content_type("text/plain").body(HELLO)
}

async fn json() -> HttpResponse {
    signed().json(&Message::hello())
}

async fn user(id: Path<String>) -> HttpResponse {
    signed().content_type("text/plain").body(id.into_inner())
}

async fn echo(body: Bytes) -> HttpResponse {
    signed().body(body)
}

#[ntex::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::from_process();
    let http = HttpServiceConfig::new().set_keepalive(Seconds(3600)).set_client_timeout(Seconds::ZERO);
    web::server(async || {
        // The factory is called once on each worker's own thread.
        contract::pin_next();
        App::new()
            .state(PayloadConfig::new(BODY_LIMIT))
            .route("/plaintext", web::get().to(plaintext))
            .route("/json", web::get().to(json))
            .route("/user/{id}", web::get().to(user))
            .route("/echo", web::post().to(echo))
    })
    .workers(arguments.cores)
    .maxconn(100_000)
    .config(SharedCfg::new("contract").add(http))
    .listen(contract::listener(arguments.port))?
    .run()
    .await
}
