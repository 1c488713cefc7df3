//! `covet-bench run` on `https` URLs: on our own server, on nginx and on OpenSSL's.

mod authority;
#[path = "../server/mod.rs"]
mod server;

use std::process::{Command, Output, Stdio};

use authority::{Authority, Program};
use serde_json::Value;
use server::{Server, covet_bench};

fn run(url: &str, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covet-bench"));
    command
        .args(["run", url, "-t", "1", "--warmup", "0", "-T", "20s", "--output-format", "json"])
        .args(options);
    command.stdin(Stdio::null()).output().expect("the binary runs")
}

/// The result of a run in which nothing went wrong.
fn result(url: &str, options: &[&str]) -> Value {
    let output = run(url, options);
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let json: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {complaints}"));
    assert_eq!(json["errors_total"], 0, "{:#}", json["errors"]);
    json
}

/// The one line of a run that did not begin.
fn refusal(url: &str, options: &[&str]) -> String {
    let output = run(url, options);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    // The runtime's own lines are about a machine that is short of CPU.
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("covet-bench: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

fn count(json: &Value, name: &str) -> u64 {
    json["tls"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {:#}", json["tls"]))
}

/// Our own server, with a certificate for `localhost` of the authority's.
fn serve(authority: &Authority) -> Server {
    authority.issue("server", &["localhost"], 4000);
    let (chain, key) = (authority.path("server.pem"), authority.path("server.key"));
    let serve = ["serve", "--listen", "127.0.0.1:0", "--cores", "0", "--tls", &chain, &key];
    Server::started(covet_bench(&serve))
}

/// The commonest certificate of all on a machine of one's own.
#[test]
fn an_issuers_certificate_in_a_servers_place_is_told_with_a_remedy() {
    let authority = Authority::new();
    let server = Program::start("openssl", &authority, |port| {
        let files = ["-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem"];
        let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
        let made = Command::new("openssl")
            .args(["req", "-x509"])
            .args(files[0].split(' '))
            .args(subject)
            .current_dir(authority.folder())
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let accept = port.to_string();
        ["s_server", "-accept", &accept, "-cert", "own.pem", "-key", "own.key", "-www", "-quiet"]
            .map(str::to_owned)
            .to_vec()
    });
    let url = format!("https://localhost:{}/", server.port);
    let line = refusal(&url, &["-c", "1", "-n", "1", "--cacert", &authority.path("own.pem")]);
    assert!(line.contains("CA:FALSE") && line.contains("--insecure"), "{line}");
    assert_eq!(result(&url, &["-c", "1", "-n", "1", "--insecure"])["requests"]["completed"], 1);
}

#[test]
fn requests_are_counted_and_handshakes_apart_from_them() {
    let authority = Authority::new();
    let server = serve(&authority);
    let url = format!("https://localhost:{}/plaintext", server.address.port());
    let root = authority.path("root.pem");
    let json = result(&url, &["-c", "8", "-n", "2000", "--cacert", &root]);
    assert_eq!(json["requests"]["completed"], 2000);
    assert_eq!(json["conditions"]["protocol"], "HTTP/1.1 over TLS");
    assert_eq!(json["conditions"]["tls"], "1.2 to 1.3, resumption, verified");
    assert_eq!(json["tls"]["agreed"][0]["version"], "TLS 1.3");
    let suite = json["tls"]["agreed"][0]["cipher_suite"].as_str().expect("a name");
    assert!(suite.starts_with("TLS13_"), "{suite}");
    assert_eq!((count(&json, "full_handshakes"), count(&json, "resumed_handshakes")), (8, 0));
    assert_eq!(json["tls"]["handshake"]["count"], 8);
    // The handshake comes after connecting, which its time includes.
    let (connect, handshake) =
        (json["connect"]["mean_ns"].as_f64(), json["tls"]["handshake"]["mean_ns"].as_f64());
    assert!(handshake > connect, "{handshake:?} {connect:?}");
    // What is counted is HTTP: no record, no handshake.
    let sent = json["requests"]["sent"].as_u64().expect("a number");
    let host = format!("localhost:{}", server.address.port());
    let head = format!("GET /plaintext HTTP/1.1\r\nHost: {host}\r\n\r\n").len() as u64;
    assert_eq!(json["bytes"]["out"].as_u64(), Some(head * sent));
}

/// Answers each connection once, with a body that its end completes: announced, or as whoever cuts the connection makes it.
const UNTIL_CLOSE: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    raw, _ = listener.accept()
    try:
        connection = context.wrap_socket(raw, server_side=True)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        if sys.argv[2] == "announced":
            connection.unwrap()
        connection.close()
    except OSError:
        raw.close()
"#;

#[test]
fn a_body_that_the_connections_end_completes_needs_an_end_that_nobody_else_can_make() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"], 4000);
    let load = |how: &str| {
        let server = Program::start("python3", &authority, |port| {
            ["-c", UNTIL_CLOSE, &port.to_string(), how].map(str::to_owned).to_vec()
        });
        let url = format!("https://localhost:{}/", server.port);
        let root = authority.path("root.pem");
        // The server has one connection at a time: a probe would wait for the load.
        let output = run(&url, &["-c", "1", "-n", "10", "-d", "20s", "--probes", "off", "--cacert", &root]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let announced = load("announced");
    assert_eq!((&announced["requests"]["completed"], &announced["errors_total"]), (&10.into(), &0.into()));
    let cut = load("cut");
    assert_eq!(cut["requests"]["completed"], 0, "{:#}", cut["errors"]);
    assert!(cut["errors"]["early_close"].as_u64() > Some(0), "{:#}", cut["errors"]);
}

#[test]
fn connections_resume_sessions_unless_told_not_to() {
    let authority = Authority::new();
    let server = serve(&authority);
    let url = format!("https://localhost:{}/plaintext", server.address.port());
    let root = authority.path("root.pem");
    for version in ["1.2", "1.3"] {
        let common = ["-c", "2", "-n", "60", "--requests-per-connection", "10", "--cacert", &root];
        let versions = ["--tls-min", version, "--tls-max", version];
        let json = result(&url, &[&common[..], &versions].concat());
        assert_eq!(json["requests"]["completed"], 60);
        assert_eq!(json["tls"]["agreed"][0]["version"], format!("TLS {version}"));
        // Both of the first connections are opened before there is a session.
        assert!(count(&json, "resumed_handshakes") >= 4, "{:#}", json["tls"]);
        assert_eq!(count(&json, "full_handshakes"), 2);
        let json = result(&url, &[&common[..], &versions, &["--no-resume"]].concat());
        assert_eq!(count(&json, "resumed_handshakes"), 0);
        assert!(count(&json, "full_handshakes") >= 6, "{:#}", json["tls"]);
    }
}

#[test]
fn large_pipelined_and_open_loops_are_whole() {
    let authority = Authority::new();
    let server = serve(&authority);
    let port = server.address.port();
    let root = authority.path("root.pem");
    let big = format!("https://localhost:{port}/big?n=200000");
    let json = result(&big, &["-c", "3", "-n", "90", "--cacert", &root]);
    assert_eq!(json["requests"]["completed"], 90);
    assert!(json["bytes"]["in"].as_u64().expect("a number") > 90 * 200_000);
    let small = format!("https://localhost:{port}/plaintext");
    let json = result(&small, &["-c", "2", "-n", "4000", "--pipeline", "16", "--cacert", &root]);
    assert_eq!(json["requests"]["completed"], 4000);
    let json = result(&small, &["-c", "4", "-d", "1s", "-R", "500", "--cacert", &root, "--probes", "on"]);
    assert!(json["lateness"]["count"].as_u64() > Some(200), "{:#}", json["lateness"]);
    // A connection apart speaks TLS as well.
    assert!(json["probes"]["canary"]["count"].as_u64() > Some(0), "{:#}", json["probes"]);
}

#[test]
fn what_is_not_trusted_is_refused_with_what_to_do() {
    let authority = Authority::new();
    let server = serve(&authority);
    let port = server.address.port();
    let (url, root) = (format!("https://localhost:{port}/"), authority.path("root.pem"));
    let said = refusal(&url, &["-n", "1", "-c", "1"]);
    assert!(said.contains("UnknownIssuer") && said.contains("--cacert FILE"), "{said}");
    let address = format!("https://127.0.0.1:{port}/");
    let said = refusal(&address, &["-n", "1", "-c", "1", "--cacert", &root]);
    assert!(said.contains("127.0.0.1") && said.contains("--sni"), "{said}");
    let json = result(&address, &["-n", "4", "-c", "1", "--cacert", &root, "--sni", "localhost"]);
    assert_eq!(json["requests"]["completed"], 4);
    let json = result(&address, &["-n", "4", "-c", "1", "--insecure"]);
    assert_eq!(json["tls"]["verified"], false);
    // A server that does not speak TLS, and a client that does not.
    let plain = Server::start();
    let said = refusal(&format!("https://{}/", plain.address), &["-n", "1", "-c", "1", "--insecure"]);
    assert!(said.contains("no TLS session with 127.0.0.1"), "{said}");
}

#[test]
fn nginx_asks_for_a_client_certificate() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"], 4000);
    authority.issue("client", &["client"], 4000);
    let root = authority.folder().display().to_string();
    let nginx = Program::start("nginx", &authority, |port| {
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{}}\nhttp {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate server.pem; ssl_certificate_key server.key;\n\
             ssl_protocols TLSv1.2 TLSv1.3;\n\
             ssl_client_certificate root.pem; ssl_verify_client on; keepalive_requests 100;\n\
             ssl_session_cache shared:s:1m; location / {{ return 200 $ssl_client_verify; }} }} }}\n"
        );
        std::fs::write(authority.folder().join("nginx.conf"), text).expect("it is written");
        ["-p", &root, "-c", "nginx.conf"].map(str::to_owned).into()
    });
    let url = format!("https://localhost:{}/", nginx.port);
    let ca = authority.path("root.pem");
    let (cert, key) = (authority.path("client.pem"), authority.path("client.key"));
    for version in ["1.2", "1.3"] {
        let tls = ["--cacert", &ca, "--tls-min", version, "--tls-max", version];
        let shown = ["-c", "2", "-n", "500", "--cert", &cert, "--key", &key];
        let json = result(&url, &[&tls[..], &shown].concat());
        assert_eq!(json["requests"]["completed"], 500);
        assert_eq!(json["tls"]["agreed"][0]["version"], format!("TLS {version}"));
        // nginx ends a connection after a hundred requests, and the next one resumes its session.
        assert!(count(&json, "resumed_handshakes") >= 2, "{:#}", json["tls"]);
        // Without a certificate it answers 400.
        let output = run(&url, &[&tls[..], &["-c", "1", "-n", "3"]].concat());
        let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        assert_eq!(json["requests"]["completed"], 0);
        assert_eq!(json["errors"]["unexpected_status"], 3, "{:#}", json["errors"]);
    }
}

#[test]
fn openssl_refuses_who_shows_no_certificate_and_announces_the_end_of_bodies() {
    let authority = Authority::new();
    authority.issue("server", &["localhost"], 4000);
    authority.issue("client", &["client"], 4000);
    let ca = authority.path("root.pem");
    for (option, version) in [("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")] {
        let openssl = Program::start("openssl", &authority, |port| {
            let accept = format!("127.0.0.1:{port}");
            let words = ["s_server", "-quiet", "-www", "-cert", "server.pem", "-key", "server.key", option];
            let client = ["-Verify", "1", "-verify_return_error", "-CAfile", "root.pem", "-accept", &accept];
            [&words[..], &client].concat().into_iter().map(str::to_owned).collect()
        });
        let url = format!("https://localhost:{}/", openssl.port);
        let (cert, key) = (authority.path("client.pem"), authority.path("client.key"));
        // It answers without a length, and ends the connection after each answer.
        let shown = ["-c", "1", "-n", "3", "--cacert", &ca, "--cert", &cert, "--key", &key];
        let json = result(&url, &[&shown[..], &["--no-validate-length"]].concat());
        assert_eq!(json["requests"]["completed"], 3);
        assert_eq!(json["tls"]["agreed"][0]["version"], version);
        let output = run(&url, &["-c", "1", "-d", "2s", "--cacert", &ca]);
        let said = match version {
            // The client's side of the handshake is over before the server looks at the certificate.
            "TLS 1.3" => {
                let json: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
                assert!(json["errors"]["tls"].as_u64() > Some(0), "{:#}", json["errors"]);
                json["errors"]["first"].as_str().expect("words").to_owned()
            }
            _ => String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(said.contains("--cert"), "{said}");
    }
}

#[test]
fn an_expired_certificate_is_named() {
    let authority = Authority::new();
    authority.issue("old", &["localhost"], 2021);
    let openssl = Program::start("openssl", &authority, |port| {
        let accept = format!("127.0.0.1:{port}");
        let words = ["s_server", "-quiet", "-www", "-cert", "old.pem", "-key", "old.key", "-accept", &accept];
        words.map(str::to_owned).into()
    });
    let url = format!("https://localhost:{}/", openssl.port);
    let said = refusal(&url, &["-c", "1", "-n", "1", "--cacert", &authority.path("root.pem")]);
    assert!(said.contains("expired") && said.contains("renew it"), "{said}");
}
