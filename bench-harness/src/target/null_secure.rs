//! The null responder over TLS, as the ceiling of a generator that speaks it.
//!
//! What a TLS server does is next to all TLS, so this is the HTTP server with a service that does nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use covet_http::server::{Config, serve};
use covet_http::tls::{self, Certificate};
use covet_http::{Body, Response, service_fn};
use covet_runtime::CoreSet;
use covet_runtime::net::TcpListener;

use super::embedded::Embedded;
use super::listen::{ListenError, Listening};

/// Starts it on each core, with a certificate made on the spot for `localhost` and answers of so many bytes.
///
/// # Errors
/// When the address is taken or not ours, a core does not exist, its ring cannot be made, or no certificate can be made.
pub fn start(listen: SocketAddr, cores: CoreSet, body: usize) -> Result<Listening, ListenError> {
    let tls = own_certificate().map_err(ListenError::Sockets)?;
    Listening::start(listen, cores, "null", move |listener| answer(listener, tls.clone(), body))
}

/// Starts it within this process, on each core, on a free port of 127.0.0.1.
///
/// # Errors
/// When a core does not exist or cannot be started, there is no port, or no certificate can be made.
pub fn embed(cores: CoreSet, body: usize) -> io::Result<Embedded> {
    let tls = own_certificate()?;
    Embedded::start(cores, "null", move |listener, _core| answer(listener, tls.clone(), body))
}

pub(super) fn own_certificate() -> io::Result<tls::Config> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    let certificate = Certificate::pem(made.cert.pem(), made.signing_key.serialize_pem());
    tls::Config::builder().certificate(certificate).build().map_err(io::Error::other)
}

fn answer(listener: TcpListener, tls: tls::Config, body: usize) -> impl Future<Output = ()> {
    let answer = Bytes::from(vec![b'.'; body]);
    let service = service_fn(move |_request| {
        let response = Response::new(Body::from(answer.clone()));
        async move { response }
    });
    serve(listener, Rc::new(service), Config { tls: Some(tls), ..Config::default() })
}
