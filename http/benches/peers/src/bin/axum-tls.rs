//! `GET /plaintext` on axum 0.8 over tokio-rustls, on one current-thread runtime.
//!
//!     axum-tls PORT CERT KEY

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, SERVER};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

async fn big() -> Bytes {
    static BIG: [u8; 1 << 20] = [0; 1 << 20];
    Bytes::from_static(&BIG)
}

async fn serve(port: u16, config: ServerConfig) -> std::io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let app = Router::new()
        .route(
            "/plaintext",
            get(async || ([(SERVER, "axum"), (CONTENT_TYPE, "text/plain")], "Hello, World!")),
        )
        .route("/big", get(big));
    let service = TowerToHyperService::new(app);
    let mut http = http1::Builder::new();
    http.pipeline_flush(true);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (acceptor, service, http) = (acceptor.clone(), service.clone(), http.clone());
        spawn_local(async move {
            // A connection's failure is its client's affair.
            if let Ok(stream) = acceptor.accept(stream).await {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, chain, key] = arguments.as_slice() else {
        return Err("usage: axum-tls PORT CERT KEY".into());
    };
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(port.parse()?, config))?;
    Ok(())
}
