//! The reference service: the routes that Covet is measured by, kept so that any tool can be pointed at them.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /plaintext` | `Hello, World!`, 13 bytes |
//! | `GET /json` | `{"message":"Hello, World!"}`, serialised for each request |
//! | `GET /user/{id}` | the id |
//! | `POST /echo` | the request's body, whatever its framing, streamed |
//! | `GET`, `HEAD`, `OPTIONS` `/` | `OK` |
//! | `POST`, `PUT`, `PATCH` `/` | the request's body |
//! | `GET /headers` | the request's fields as received, one `Name: value` on a line |
//! | `GET /204`, `GET /304` | that status, without a body |
//! | `GET /big?n=BYTES` | that many zero bytes, streamed from one shared block |
//!
//! With [`Routes::diagnostics`] there is also `GET /panic`, whose handler panics, so that what comes of it can be looked at.
//!
//! Anything else is 404; another method on one of these paths is 405 with `Allow`.

mod streams;

use std::rc::Rc;

use covet_http::server::{Config, serve};
use covet_http::{Body, Request, Response, StatusCode};
use covet_router::{Json, Next, Path, Query, Result, Router};
use covet_runtime::CoreSet;
use serde::{Deserialize, Serialize};

use super::listen::{ListenError, Listening};
use super::sockets::Sockets;
use streams::{Block, echoed};

const HELLO: &str = "Hello, World!";
const TEXT: &str = "text/plain";
const BINARY: &str = "application/octet-stream";

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

#[derive(Deserialize)]
struct Size {
    n: u64,
}

/// Which routes there are, and what is around them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Routes {
    /// How many middleware are around them.
    pub middleware: u16,
    /// Whether there are those that show how the server takes a fault of the application's.
    pub diagnostics: bool,
}

impl Routes {
    fn router(self) -> Router {
        let routes = if self.diagnostics { router().get("/panic", panics) } else { router() };
        (0..self.middleware).fold(routes, |routes, _| routes.layer(pass))
    }
}

/// Starts the service on each core.
///
/// # Errors
/// When a core does not exist, its ring cannot be made, or descriptors are short.
pub fn start(
    sockets: Sockets,
    cores: CoreSet,
    config: Config,
    routes: Routes,
) -> Result<Listening, ListenError> {
    Listening::start_on(sockets, cores, "reference", move |listener| {
        serve(listener, Rc::new(routes.router()), config.clone())
    })
}

/// A middleware that does what most do on most requests: it looks at a field, finds nothing to do, and hands on.
async fn pass(request: Request, next: Next) -> Result<Response> {
    match request.field("x-reference-refuse") {
        Some(_) => Ok(bare(StatusCode::FORBIDDEN)),
        None => Ok(next.run(request).await),
    }
}

/// The reference service's routes.
pub fn router() -> Router {
    let block = Block::zeros();
    Router::new()
        .get("/plaintext", plaintext)
        .get("/json", json)
        .get("/user/{id}", user)
        .post("/echo", echo)
        .get("/", root)
        .options("/", root)
        .post("/", echo)
        .put("/", echo)
        .patch("/", echo)
        .get("/headers", headers)
        .get("/204", async || bare(StatusCode::NO_CONTENT))
        .get("/304", async || bare(StatusCode::NOT_MODIFIED))
        .get("/big", move |Query(Size { n }): Query<Size>| {
            let body = block.repeated(n);
            async move { typed(BINARY, body) }
        })
}

async fn plaintext() -> Response {
    typed(TEXT, Body::from_static(HELLO.as_bytes()))
}

async fn json() -> Json<Message> {
    Json(Message { message: HELLO })
}

async fn user(Path(id): Path<String>) -> Response {
    typed(TEXT, Body::from(id))
}

async fn root() -> Response {
    typed(TEXT, Body::from_static(b"OK"))
}

async fn echo(body: Body) -> Result<Response> {
    Ok(typed(BINARY, echoed(body).await?))
}

async fn headers(request: Request) -> Response {
    let mut lines = Vec::with_capacity(256);
    for (name, value) in request.fields() {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.push(b'\n');
    }
    typed(TEXT, Body::from(lines))
}

async fn panics() -> Response {
    panic!("/panic was asked for")
}

fn typed(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.set_content_type(content_type);
    response
}

fn bare(status: StatusCode) -> Response {
    Response::with_status(status)
}

#[cfg(test)]
mod tests;
