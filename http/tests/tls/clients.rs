//! Client certificates.

use std::sync::Arc;

use covet_http::tls::{self, ClientCertificates};
use rustls::ClientConfig;

use crate::authority::{Authority, Pair};
use crate::harness::{BOTH, Client, Server};

fn config(authority: &Authority, version: usize, pair: Option<&Pair>) -> ClientConfig {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&BOTH[version..=version])
            .unwrap()
            .with_root_certificates(authority.roots());
    match pair.map(Pair::client_auth) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

pub(crate) fn start(authority: &Authority, clients: ClientCertificates) -> Server {
    let pair = authority.issue("local", &["localhost"]);
    Server::start(
        &tls::Config::builder().certificate(pair.files()).client_certificates(clients).build().unwrap(),
    )
}

/// What goes wrong on the way to the first answer; with TLS 1.3 the client is done before the server has judged.
fn refusal(server: &Server, config: ClientConfig) -> String {
    let mut client = Client::of(server, config, "localhost");
    if let Err(error) = client.tls.conn.complete_io(&mut client.tls.sock) {
        return error.to_string();
    }
    let _ = std::io::Write::write_all(&mut client.tls, b"GET /facts HTTP/1.1\r\nHost: h\r\n\r\n");
    client.answer().unwrap_err().to_string()
}

#[test]
fn a_required_certificate_must_be_shown_and_good() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = start(&authority, ClientCertificates::required(&authority.root_file));
    let good = authority.issue("client", &["client.test"]);
    let past = authority.issue_for_years("past", &["client.test"], 2001, 2002);
    let strange = stranger.issue("client", &["client.test"]);
    for version in [0, 1] {
        let mut client = Client::of(&server, config(&authority, version, Some(&good)), "localhost");
        let facts = client.get("/facts");
        assert!(facts.ends_with(" false 1"), "{facts}");
        client.send(b"GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(client.answer().unwrap() == *good.der, "the handler sees another certificate");
        let alert = refusal(&server, config(&authority, version, None));
        assert!(alert.contains("CertificateRequired") || alert.contains("HandshakeFailure"), "{alert}");
        let alert = refusal(&server, config(&authority, version, Some(&strange)));
        assert!(alert.contains("UnknownCA") || alert.contains("DecryptError"), "{alert}");
        let alert = refusal(&server, config(&authority, version, Some(&past)));
        assert!(alert.contains("CertificateExpired"), "{alert}");
    }
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_bad() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = start(&authority, ClientCertificates::optional(&authority.root_file));
    let good = authority.issue("client", &["client.test"]);
    let strange = stranger.issue("client", &["client.test"]);
    for version in [0, 1] {
        let mut anonymous = Client::of(&server, config(&authority, version, None), "localhost");
        assert!(anonymous.get("/facts").ends_with(" false 0"));
        let mut known = Client::of(&server, config(&authority, version, Some(&good)), "localhost");
        assert!(known.get("/facts").ends_with(" false 1"));
        refusal(&server, config(&authority, version, Some(&strange)));
    }
}

#[test]
fn a_resumed_session_remembers_its_certificate() {
    let authority = Authority::new();
    let server = start(&authority, ClientCertificates::required(&authority.root_file));
    let good = authority.issue("client", &["client.test"]);
    for version in [0, 1] {
        let config = Arc::new(config(&authority, version, Some(&good)));
        let facts = [(); 2].map(|()| Client::new(&config, "localhost", server.addresses[0]).get("/facts"));
        assert!(facts[0].ends_with(" false 1") && facts[1].ends_with(" true 1"), "{facts:?}");
    }
}
