//! What the peers have in common: their arguments, their answers, and how they speak TLS.
//!
//! Each answers `GET /plaintext` with `Hello, World!` and `GET /big` with 1 MiB of zeros, on one thread:
//!
//!     PEER PORT [CERT KEY]

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The answer to `GET /plaintext`.
pub const HELLO: &str = "Hello, World!";
/// The answer to `GET /big`.
pub static BIG: [u8; 1 << 20] = [0; 1 << 20];

/// What can go wrong before a peer serves.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The port, and how TLS is to be spoken, if it is.
pub fn arguments() -> Outcome<(u16, Option<ServerConfig>)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [port] => Ok((port.parse()?, None)),
        [port, chain, key] => Ok((port.parse()?, Some(server_config(chain, key)?))),
        _ => Err("usage: PEER PORT [CERT KEY]".into()),
    }
}

fn server_config(chain: &str, key: &str) -> Outcome<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Runs a server's future on a current-thread runtime.
pub fn on_one_thread(serve: impl Future<Output = std::io::Result<()>>) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve)?;
    Ok(())
}

/// Accepts for ever, speaks TLS if asked to, and gives each stream to `begin`.
pub async fn accept(
    port: u16,
    tls: Option<ServerConfig>,
    plain: impl Fn(TcpStream) + Clone + 'static,
    secure: impl Fn(TlsStream<TcpStream>) + Clone + 'static,
) -> std::io::Result<()> {
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        match &acceptor {
            None => plain(stream),
            Some(acceptor) => {
                let (accepting, secure) = (acceptor.accept(stream), secure.clone());
                spawn_local(async move {
                    // A connection's failure is its client's affair.
                    if let Ok(stream) = accepting.await {
                        secure(stream);
                    }
                });
            }
        }
    }
}

/// Serves HTTP/1.1 on a stream by hyper, as a task of its own.
pub fn speak<S, B>(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, service: S)
where
    S: HttpService<Incoming, ResBody = B> + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection =
        http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service);
    spawn_local(async move { drop(connection.await) });
}
