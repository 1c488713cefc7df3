//! OpenSSL and curl as clients.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use covet_http::tls::{self, ClientCertificates};

use crate::authority::Authority;
use crate::harness::{Client, Server, client_config};
use crate::programs::missing;
use crate::{clients, local};

/// Runs a program with this input; says so and returns nothing where it is not installed.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Output> {
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            missing(program, &error);
            return None;
        }
    };
    // The program may be gone before it has read it all.
    let _ = child.stdin.take().unwrap().write_all(input);
    Some(child.wait_with_output().unwrap())
}

fn openssl(server: &Server, authority: &Authority, more: &[&str], input: &[u8]) -> Option<String> {
    let address = format!("127.0.0.1:{}", server.port());
    let root = authority.root_file.to_str().unwrap();
    let mut arguments = vec!["s_client", "-connect", &address, "-servername", "localhost", "-CAfile", root];
    arguments.extend_from_slice(&["-verify_return_error", "-ign_eof"]);
    arguments.extend_from_slice(more);
    let output = run("openssl", &arguments, input)?;
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

const LAST: &[u8] = b"GET /facts HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[test]
fn openssl_speaks_both_versions_and_resumes() {
    let (authority, server) = local();
    let session = authority.folder().join("session");
    let session = session.to_str().unwrap();
    for (option, version) in [("-tls1_2", "Tls12"), ("-tls1_3", "Tls13")] {
        let first = [option, "-alpn", "h2,http/1.1", "-sess_out", session];
        let Some(said) = openssl(&server, &authority, &first, LAST) else { return };
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
        assert!(said.contains(&format!("{version} localhost http/1.1 false 0")), "{said}");
        let again = [option, "-alpn", "http/1.1", "-sess_in", session];
        let said = openssl(&server, &authority, &again, LAST).unwrap();
        assert!(said.contains(&format!("{version} localhost http/1.1 true 0")), "{said}");
    }
    let Some(said) = openssl(&server, &authority, &["-tls1_1"], LAST) else { return };
    assert!(!said.contains("HTTP/1.1 200"), "{said}");
}

#[test]
fn sessions_without_tickets_are_resumed_if_they_are_remembered() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let session = authority.folder().join("session");
    let session = session.to_str().unwrap();
    for remembered in [0, 16] {
        let builder = tls::Config::builder().certificate(pair.files());
        let server = Server::start(&builder.session_cache(remembered).build().unwrap());
        let first = ["-tls1_2", "-no_ticket", "-sess_out", session];
        let Some(said) = openssl(&server, &authority, &first, LAST) else { return };
        assert!(said.contains("Tls12 localhost  false 0"), "{said}");
        // OpenSSL writes no file when the server has given it nothing to resume.
        assert_eq!(Path::new(session).exists(), remembered > 0);
        if remembered > 0 {
            let again = ["-tls1_2", "-no_ticket", "-sess_in", session];
            let said = openssl(&server, &authority, &again, LAST).unwrap();
            assert!(said.contains("Tls12 localhost  true 0"), "{said}");
        }
    }
}

#[test]
fn a_session_does_not_carry_a_client_certificate_to_another_name() {
    let authority = Authority::new();
    let server = clients::start(&authority, ClientCertificates::required(&authority.root_file));
    let client = authority.issue("client", &["client.test"]);
    let (certificate, key) = (client.certificate.to_str().unwrap(), client.key.to_str().unwrap());
    let session = authority.folder().join("session");
    let session = session.to_str().unwrap();
    for (option, version) in [("-tls1_2", "Tls12"), ("-tls1_3", "Tls13")] {
        let first = [option, "-cert", certificate, "-key", key, "-sess_out", session];
        let Some(said) = openssl(&server, &authority, &first, LAST) else { return };
        // OpenSSL sends the root behind the certificate.
        assert!(said.contains(&format!("{version} localhost  false 2")), "{said}");
        let same = [option, "-sess_in", session];
        let said = openssl(&server, &authority, &same, LAST).unwrap();
        assert!(said.contains(&format!("{version} localhost  true 2")), "{said}");
        let other = [option, "-sess_in", session, "-servername", "other.test"];
        let said = openssl(&server, &authority, &other, LAST).unwrap();
        assert!(!said.contains("HTTP/1.1 200"), "{said}");
        assert!(said.contains("certificate required") || said.contains("handshake failure"), "{said}");
    }
}

#[test]
fn renegotiation_is_refused() {
    let (authority, server) = local();
    let address = format!("127.0.0.1:{}", server.port());
    let started = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "localhost", "-tls1_2"])
        .args(["-legacy_renegotiation", "-CAfile", authority.root_file.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return missing("openssl", &error),
    };
    // Its input stays open, or it would not wait for the answer.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"R\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
    let mut client = Client::of(&server, client_config(authority.roots()), "localhost");
    assert_eq!(client.get("/later"), "later");
}

#[test]
fn curl_moves_large_bodies() {
    let (authority, server) = local();
    let upload = authority.folder().join("upload");
    std::fs::write(&upload, vec![b'u'; 1 << 20]).unwrap();
    let root = authority.root_file.to_str().unwrap();
    let resolve = format!("localhost:{}:127.0.0.1", server.port());
    let url = |path: &str| format!("https://localhost:{}{path}", server.port());
    let data = format!("@{}", upload.display());
    for version in [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]] {
        let common = [
            "--disable",
            "--noproxy",
            "*",
            "-sS",
            "--fail",
            "--max-time",
            "60",
            "--cacert",
            root,
            "--resolve",
            &resolve,
        ];
        let (echo, big) = (url("/echo"), url("/big"));
        let both = [&common[..], &version, &["--data-binary", &data, &echo]].concat();
        let Some(output) = run("curl", &both, b"") else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.len() == 1 << 20 && output.stdout.iter().all(|byte| *byte == b'u'));
        let down = [&common[..], &version, &[&big, &big]].concat();
        let output = run("curl", &down, b"").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout.len(), 6 << 20);
    }
}

const LOGGED: &str = "COVET_TEST_KEY_LOG_OPTION";

/// Runs in a process of its own, as the environment of this one is that of all tests.
#[test]
#[ignore = "run by `keys_are_logged_only_when_asked`"]
fn one_handshake() {
    let Ok(option) = std::env::var(LOGGED) else { return };
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let tls = tls::Config::builder().certificate(pair.files()).key_log(option == "on").build().unwrap();
    let server = Server::start(&tls);
    assert_eq!(Client::of(&server, client_config(authority.roots()), "localhost").get("/later"), "later");
}

#[test]
fn keys_are_logged_only_when_asked() {
    let authority = Authority::new();
    let log = |option: &str| {
        let file = authority.folder().join(option);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tools::one_handshake", "--ignored"])
            .env("SSLKEYLOGFILE", &file)
            .env(LOGGED, option)
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        read(&file)
    };
    assert_eq!(log("off"), "");
    let logged = log("on");
    assert!(logged.contains("SERVER_TRAFFIC_SECRET_0"), "{logged}");
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
