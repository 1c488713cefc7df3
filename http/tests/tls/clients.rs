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
        let facts = [(); 2].map(|()| Client::new(&config, "localhost", server.address).get("/facts"));
        assert!(facts[0].ends_with(" false 1") && facts[1].ends_with(" true 1"), "{facts:?}");
    }
}

#[test]
fn a_reload_takes_the_roots_as_well() {
    let (first, second) = (Authority::new(), Authority::new());
    let roots = first.folder().join("clients.pem");
    std::fs::copy(&first.root_file, &roots).unwrap();
    let pair = first.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(pair.files());
    let tls = builder.client_certificates(ClientCertificates::required(&roots)).build().unwrap();
    let server = Server::start(&tls);
    // The server's own certificate is always the first authority's.
    let (old, new) = (first.issue("old", &["client.test"]), second.issue("new", &["client.test"]));
    let shown = |version, client: &Pair| Arc::new(config(&first, version, Some(client)));
    let facts = |config: &Arc<ClientConfig>| Client::new(config, "localhost", server.address).get("/facts");
    let refused = |config: &Arc<ClientConfig>| refusal(&server, ClientConfig::clone(config));
    let before = [0, 1].map(|version| shown(version, &old));
    for config in &before {
        assert!(facts(config).ends_with(" false 1"));
        assert!(facts(config).ends_with(" true 1"));
        refused(&shown(0, &new));
    }
    let mut open = Client::new(&before[1], "localhost", server.address);
    assert!(open.get("/facts").ends_with(" 1"));

    std::fs::copy(&second.root_file, &roots).unwrap();
    tls.reload().unwrap();
    for (version, before) in before.iter().enumerate() {
        // Neither with its certificate nor with the session that it began with it.
        let alert = refused(before);
        assert!(alert.contains("UnknownCA") || alert.contains("DecryptError"), "{alert}");
        assert!(facts(&shown(version, &new)).ends_with(" false 1"));
    }
    assert!(open.get("/facts").ends_with(" 1"), "an open connection goes on");

    let kept = shown(1, &new);
    facts(&kept);
    for broken in ["nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&roots, broken).unwrap();
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("clients.pem"), "{error}");
        assert!(facts(&kept).ends_with(" true 1"), "sessions are resumed, as nothing has changed");
        refused(&before[0]);
    }
}
