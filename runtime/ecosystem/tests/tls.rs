//! rustls by tokio-rustls, both ends on our streams.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::sync::Arc;

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn configs() -> (ServerConfig, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, client)
}

#[test]
fn a_handshake_and_data_both_ways() {
    block_on(async {
        let (server, client) = configs();
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let echo = spawn(async move {
            let stream = listener.accept().await.unwrap();
            let mut tls = TlsAcceptor::from(Arc::new(server)).accept(stream).await.unwrap();
            let mut all = Vec::new();
            tls.read_to_end(&mut all).await.unwrap();
            tls.write_all(&all).await.unwrap();
            tls.shutdown().await.unwrap();
            all.len()
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
        let sent: Vec<u8> = (0..200_000u32).map(|byte| byte as u8).collect();
        tls.write_all(&sent).await.unwrap();
        tls.shutdown().await.unwrap();
        let mut got = Vec::new();
        tls.read_to_end(&mut got).await.unwrap();
        assert!(got == sent);
        assert_eq!(echo.await.unwrap(), sent.len());
    })
    .unwrap();
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    block_on(async {
        let (server, _) = configs();
        let (_, client) = configs();
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let stream = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::new(server)).accept(stream).await.is_err()
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        assert!(TlsConnector::from(Arc::new(client)).connect(name, stream).await.is_err());
        assert!(server.await.unwrap());
    })
    .unwrap();
}
