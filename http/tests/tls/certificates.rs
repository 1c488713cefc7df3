//! Which certificate is shown, what is wrong with bad ones, and their exchange while the server runs.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use covet_http::tls::{self, Certificate};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::authority::Authority;
use crate::harness::{BOTH, Client, Server, client_config, client_config_of};

fn error_of(certificate: Certificate) -> String {
    tls::Config::builder().certificate(certificate).build().unwrap_err().to_string()
}

fn written(folder: &Path, name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_certificate_is_the_one_for_the_name() {
    let authority = Authority::new();
    let first = authority.issue("first", &["first.test"]);
    let exact = authority.issue("exact", &["exact.test", "www.exact.test"]);
    let wildcard = authority.issue("wildcard", &["*.exact.test"]);
    let builder = tls::Config::builder().certificate(first.files());
    let tls = builder.certificate(exact.files()).certificate(wildcard.files()).build().unwrap();
    let server = Server::start(&tls);
    let config = Arc::new(client_config(authority.roots()));
    let shown = |name: &str| Client::new(&config, name, server.address).certificate();
    assert_eq!(shown("first.test"), *first.der);
    assert_eq!(shown("exact.test"), *exact.der);
    assert_eq!(shown("WWW.exact.test"), *exact.der);
    assert_eq!(shown("other.exact.test"), *wildcard.der);
    let mut unknown = Client::new(&config, "a.b.exact.test", server.address);
    let error = unknown.tls.conn.complete_io(&mut unknown.tls.sock).unwrap_err().to_string();
    assert!(error.contains("first.test"), "{error}");
    let mut mixed = Client::new(&config, "WWW.exact.test", server.address);
    assert!(mixed.get("/facts").contains(" www.exact.test "));
}

#[test]
fn bad_certificates_are_refused_with_the_reason() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("one", &["a.test"]), authority.issue("other", &["a.test"]));
    let past = authority.issue_for_years("past", &["a.test"], 2001, 2002);
    let future = authority.issue_for_years("future", &["a.test"], 3000, 3001);
    let mismatch = error_of(Certificate::files(&one.certificate, &other.key));
    assert!(mismatch.contains("other.key does not belong to the certificate in"), "{mismatch}");
    assert!(error_of(past.files()).contains("past.pem expired on Tue, 01 Jan 2002 00:00:00 GMT"));
    assert!(error_of(future.files()).contains("future.pem is not valid before Wed, 01 Jan 3000"));
    let missing = error_of(Certificate::files(authority.folder().join("none.pem"), &one.key));
    assert!(missing.contains("can't read certificate") && missing.contains("none.pem"), "{missing}");
    let swapped = error_of(Certificate::files(&one.key, &one.certificate));
    assert!(swapped.contains("one.key: holds no certificate"), "{swapped}");
    let keyless = error_of(Certificate::files(&one.certificate, &one.certificate));
    assert!(keyless.contains("holds no private key"), "{keyless}");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = written(authority.folder(), "encrypted.key", encrypted.as_bytes());
    assert!(error_of(Certificate::files(&one.certificate, encrypted)).contains("openssl pkey"));
    let garbage = Certificate::pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "");
    assert!(error_of(garbage).contains("the PEM given for certificate: its first certificate is not X.509"));
    // Where PEM is torn, nothing of it is told: it may be the key.
    let key = fs::read_to_string(&one.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let begun = key.replacen("PRIVATE KEY-----\n", "PRIVATE KEY-----", 1);
    for (torn, problem) in [
        (key.replace('\n', ""), "has no end"),
        (key.replace("-----END", "#"), "has no end"),
        (begun, "more in it than"),
    ] {
        let torn = error_of(Certificate::pem(fs::read(&one.certificate).unwrap(), torn));
        assert!(torn.starts_with("the PEM given for private key: is not PEM: "), "{torn}");
        assert!(torn.contains(problem), "{torn}");
        let bytes = format!("{:?}", secret.as_bytes());
        assert!(!torn.contains(secret) && !torn.contains(bytes.trim_matches(['[', ']'])), "{torn}");
    }
    let none = tls::Config::builder().build().unwrap_err().to_string();
    assert!(none.contains("no certificate was given"), "{none}");
    let ocsp = written(authority.folder(), "bad.ocsp", b"\x30\x03\x0a\x01\x06");
    assert!(error_of(one.files().ocsp_file(ocsp)).contains("refused the request with status 6"));
    let roots = tls::ClientCertificates::required(&one.key);
    let error = tls::Config::builder().certificate(one.files()).client_certificates(roots).build();
    assert!(error.unwrap_err().to_string().contains("one.key: holds no certificate"));
}

#[test]
fn a_reload_reaches_new_handshakes_and_no_open_connection() {
    let authority = Authority::new();
    let old = authority.issue("site", &["localhost"]);
    let tls = tls::Config::builder().certificate(old.files()).build().unwrap();
    let server = Server::start(&tls);
    let config = Arc::new(client_config(authority.roots()));
    let connect = || Client::new(&config, "localhost", server.address);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut kept = connect();
            loop {
                assert_eq!(kept.get("/later"), "later");
                assert_eq!(connect().get("/later"), "later");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for round in 0..20 {
            let new = authority.issue("site", &["localhost"]);
            tls.reload().unwrap();
            let fresh = client_config(authority.roots());
            assert_eq!(Client::of(&server, fresh, "localhost").certificate(), *new.der, "round {round}");
        }
        done.store(true, Ordering::Relaxed);
        load.join().unwrap();
    });
}

#[test]
fn a_reload_of_a_broken_file_leaves_everything_as_it_was() {
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let tls = tls::Config::builder().certificate(pair.files()).build().unwrap();
    let server = Server::start(&tls);
    let shown = || Client::of(&server, client_config(authority.roots()), "localhost").certificate();
    let whole = std::fs::read(&pair.certificate).unwrap();
    std::fs::write(&pair.certificate, &whole[..whole.len() / 2]).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("site.pem"));
    assert_eq!(shown(), *pair.der);
    std::fs::remove_file(&pair.certificate).unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(shown(), *pair.der);
    let other = authority.issue("other", &["localhost"]);
    tls.replace_certificates(vec![other.files()]).unwrap();
    assert_eq!(shown(), *other.der);
    tls.reload().unwrap();
    assert_eq!(shown(), *other.der);
}

/// Remembers the OCSP response that came with the certificate.
#[derive(Debug)]
struct Stapled {
    inner: Arc<WebPkiServerVerifier>,
    response: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.response.lock().unwrap() = ocsp.to_vec();
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[test]
fn an_ocsp_response_is_stapled_and_reloaded() {
    let authority = Authority::new();
    let pair = authority.issue("site", &["localhost"]);
    let response = [&b"\x30\x07\x0a\x01\x00\x04\x02"[..], b"v1"].concat();
    let file = written(authority.folder(), "site.ocsp", &response);
    let tls = tls::Config::builder().certificate(pair.files().ocsp_file(&file)).build().unwrap();
    let server = Server::start(&tls);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(authority.roots(), provider).build().unwrap();
    let verifier = Arc::new(Stapled { inner, response: Mutex::default() });
    let stapled = || {
        BOTH.iter()
            .map(|&version| {
                let mut config = client_config_of(authority.roots(), &[version]);
                config.dangerous().set_certificate_verifier(verifier.clone());
                Client::of(&server, config, "localhost").certificate();
                verifier.response.lock().unwrap().clone()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(stapled(), [&response[..]; 2]);
    let newer = [&b"\x30\x07\x0a\x01\x00\x04\x02"[..], b"v2"].concat();
    std::fs::write(&file, &newer).unwrap();
    tls.reload().unwrap();
    assert_eq!(stapled(), [&newer[..]; 2]);
}
