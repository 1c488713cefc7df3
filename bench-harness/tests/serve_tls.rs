//! `covet-bench serve` over TLS, its reload and its redirect, asked by curl.

mod folder;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use folder::Folder;

const COVET_BENCH: &str = env!("CARGO_BIN_EXE_covet-bench");

struct Served {
    child: Child,
    said: Vec<String>,
}

impl Served {
    /// Starts it on free ports and waits for this many lines.
    fn start(lines: usize, args: &[&str]) -> Served {
        let mut child = Command::new(COVET_BENCH)
            .args(["serve", "--listen", "127.0.0.1:0", "--cores", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let said = stdout.lines().take(lines).map(|line| line.expect("it is text")).collect();
        Served { child, said }
    }

    /// The port after the last colon of the words up to ` on core` or the line's end.
    fn port(&self, line: usize) -> &str {
        let line = self.said[line].split(" on core").next().unwrap_or_default();
        let line = line.split(" to HTTPS").next().unwrap_or_default();
        line.rsplit(':').next().unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the files read again. Returns what the server says about it.
fn hang_up(served: &Served, complaints: &mut impl BufRead) -> String {
    let process = Pid::from_child(&served.child);
    rustix::process::kill_process(process, Signal::HUP).expect("the server runs");
    loop {
        let mut line = String::new();
        assert_ne!(complaints.read_line(&mut line).expect("it is text"), 0, "it has ended");
        if line.starts_with("certificates ") {
            return line;
        }
    }
}

/// Runs OpenSSL, which must succeed.
fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).stdin(Stdio::null()).output().expect("openssl runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "openssl {args:?}: {said}");
    said
}

/// What OpenSSL says of a request to the server, which may fail.
fn s_client(served: &Served, args: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{}", served.port(0)), "-ign_eof"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    // It may be gone before it has read it all.
    let request = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let _ = child.stdin.take().expect("it is piped").write_all(request);
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn curl(args: &[&str]) -> String {
    let output =
        Command::new("curl").args(["-sS", "--max-time", "30"]).args(args).output().expect("curl runs");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// A new certificate for localhost and its key, in these files.
fn issue(chain: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
    std::fs::write(chain, made.cert.pem()).expect("it is written");
    std::fs::write(key, made.signing_key.serialize_pem()).expect("it is written");
}

#[test]
fn a_certificate_is_made_on_the_spot_and_http_sent_to_it() {
    let served = Served::start(3, &["--tls-self-signed", "--redirect", "127.0.0.1:0"]);
    assert!(served.said[0].starts_with("listening on https://127.0.0.1:"), "{:?}", served.said);
    assert!(served.said[2].starts_with("certificate for development, SHA-256 "), "{:?}", served.said);
    let plain = format!("http://127.0.0.1:{}/user/7?x", served.port(1));
    let said = curl(&["-i", &plain]);
    assert!(said.starts_with("HTTP/1.1 308 "), "{said}");
    let there = format!("location: https://127.0.0.1:{}/user/7?x", served.port(0));
    assert!(said.to_ascii_lowercase().contains(&there), "{said}");
    assert_eq!(curl(&["-k", "-L", &plain]), "7");
}

#[test]
fn what_the_redirect_turns_away_is_in_the_table_of_the_end_too() {
    let mut served = Served::start(3, &["--tls-self-signed", "--redirect", "127.0.0.1:0"]);
    // Garbage for the redirect, and what is no TLS for the service; each is closed once it is counted.
    for line in [1, 0] {
        let port = served.port(line).parse().expect("a port");
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
        client.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a timeout can be set");
        client.write_all(b"neither TLS nor HTTP\r\n\r\n").expect("it reads");
        // It is closed with a reset where not all was read.
        if let Err(error) = client.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    rustix::process::kill_process(Pid::from_child(&served.child), Signal::TERM).expect("it runs");
    let mut said = String::new();
    let mut errors = served.child.stderr.take().expect("it is piped");
    errors.read_to_string(&mut said).expect("it is text");
    assert!(served.child.wait().expect("it ends").success());
    let (_, table) = said.split_once("turned away or cut off in ").expect("a table");
    let rows: Vec<Vec<&str>> =
        table.lines().skip(1).map(|row| row.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows, [["1", "request", "refused"], ["1", "handshake", "tls_handshake"]], "{said}");
}

#[test]
fn a_hangup_reads_the_files_again() {
    let folder = Folder::new("reload");
    let (chain, key) = (folder.0.join("chain.pem"), folder.0.join("key.pem"));
    issue(&chain, &key);
    let (chain_name, key_name) = (chain.to_str().expect("UTF-8"), key.to_str().expect("UTF-8"));
    let mut served = Served::start(1, &["--tls", chain_name, key_name]);
    let mut complaints = BufReader::new(served.child.stderr.take().expect("it is piped"));
    let resolve = format!("localhost:{}:127.0.0.1", served.port(0));
    let url = format!("https://localhost:{}/plaintext", served.port(0));
    let get = || curl(&["--cacert", chain_name, "--resolve", &resolve, &url]);
    assert_eq!(get(), "Hello, World!");
    let old = std::fs::read(&chain).expect("it is there");
    std::fs::write(&chain, "nothing").expect("it is written");
    let said = hang_up(&served, &mut complaints);
    assert!(said.contains("the old ones are served on") && said.contains("chain.pem"), "{said}");
    std::fs::write(&chain, &old).expect("it is written");
    assert_eq!(get(), "Hello, World!");
    issue(&chain, &key);
    // Only the new certificate is trusted here, and it is not shown yet.
    assert!(get().contains("curl: (60)"), "the old certificate is still shown");
    assert_eq!(hang_up(&served, &mut complaints), "certificates reloaded\n");
    assert_eq!(get(), "Hello, World!");
}

#[test]
fn bad_files_end_the_start_with_one_line() {
    let mut served = Served::start(0, &["--tls", "/nonexistent/chain.pem", "/nonexistent/key.pem"]);
    let mut said = String::new();
    let mut stderr = served.child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("it is text");
    assert_eq!(served.child.wait().expect("it ends").code(), Some(1));
    assert!(said.starts_with("covet-bench: can't read certificate /nonexistent/chain.pem: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_redirect_that_can_not_be_ends_the_start_with_what_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let folder = Folder::new("redirect");
    let socket = folder.path("socket");
    let at_socket = ["--unix", &socket, "--tls-self-signed", "--redirect", "127.0.0.1:0"];
    let at_taken = ["--listen", "127.0.0.1:0", "--tls-self-signed", "--redirect", &taken];
    for (arguments, status, word) in
        [(at_socket, 2, "no port"), (at_taken, 1, "another address with --redirect")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_covet-bench"))
            .args(["serve", "--cores", "0"])
            .args(arguments)
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
    }
}

/// An authority made by OpenSSL, and a certificate of it: `NAME-ca.pem`, `NAME.pem` and their keys.
fn authority(folder: &Folder, name: &str) {
    let file = |end: &str| folder.path(&format!("{name}{end}"));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let root =
        ["-x509", "-days", "2", "-subj", "/CN=root", "-keyout", &file("-ca.key"), "-out", &file("-ca.pem")];
    openssl(&[&["req"][..], &curve, &root].concat());
    let asked = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        &file(".key"),
        "-out",
        &file(".csr"),
    ];
    openssl(&[&["req"][..], &curve, &asked].concat());
    let made =
        ["-CA", &file("-ca.pem"), "-CAkey", &file("-ca.key"), "-set_serial", "7", "-out", &file(".pem")];
    openssl(
        &[&["x509", "-req", "-days", "2", "-copy_extensions", "copy", "-in", &file(".csr")][..], &made]
            .concat(),
    );
}

#[test]
fn clients_show_certificates_of_roots_that_a_hangup_reads_again() {
    let folder = Folder::new("clients");
    ["first", "second"].iter().for_each(|name| authority(&folder, name));
    let (roots, chain, key) = (folder.path("roots.pem"), folder.path("first.pem"), folder.path("first.key"));
    std::fs::copy(folder.path("first-ca.pem"), &roots).expect("it is copied");
    let asked = ["--tls", &chain, &key, "--client-ca", &roots];
    let mut served = Served::start(1, &asked);
    let mut complaints = BufReader::new(served.child.stderr.take().expect("it is piped"));
    let (second, second_key) = (folder.path("second.pem"), folder.path("second.key"));
    let (first, second) = (["-cert", &chain, "-key", &key], ["-cert", &second, "-key", &second_key]);
    let is_served = |served: &Served, args: &[&str]| {
        [&["-tls1_2"][..], &["-tls1_3"]].map(|version| {
            let said = s_client(served, &[version, args].concat());
            let is_served = said.contains("Hello, World!");
            assert!(is_served || said.contains("alert"), "{said}");
            is_served
        })
    };
    assert_eq!(is_served(&served, &first), [true; 2]);
    assert_eq!(is_served(&served, &second), [false; 2]);
    assert_eq!(is_served(&served, &[]), [false; 2]);
    std::fs::write(&roots, "nothing").expect("it is written");
    let said = hang_up(&served, &mut complaints);
    assert!(said.contains("the old ones are served on") && said.contains("roots.pem"), "{said}");
    assert_eq!(is_served(&served, &first), [true; 2]);
    std::fs::copy(folder.path("second-ca.pem"), &roots).expect("it is copied");
    assert_eq!(hang_up(&served, &mut complaints), "certificates reloaded\n");
    assert_eq!(is_served(&served, &first), [false; 2]);
    assert_eq!(is_served(&served, &second), [true; 2]);

    let served = Served::start(1, &[&asked[..], &["--client-ca-optional"]].concat());
    assert_eq!(is_served(&served, &[]), [true; 2]);
    assert_eq!(is_served(&served, &second), [true; 2]);
    assert_eq!(is_served(&served, &first), [false; 2], "one that is shown must be good");
}

#[test]
fn an_ocsp_response_is_stapled_and_openssl_believes_it() {
    let folder = Folder::new("ocsp");
    authority(&folder, "site");
    let (root, root_key, chain) =
        (folder.path("site-ca.pem"), folder.path("site-ca.key"), folder.path("site.pem"));
    let (index, request, response) =
        (folder.path("index"), folder.path("request"), folder.path("response.der"));
    std::fs::write(&index, "V\t991231235959Z\t\t07\tunknown\t/CN=localhost\n").expect("it is written");
    openssl(&["ocsp", "-issuer", &root, "-cert", &chain, "-no_nonce", "-reqout", &request]);
    let signer = ["-index", &index, "-CA", &root, "-rsigner", &root, "-rkey", &root_key];
    let asked = ["-reqin", &request, "-respout", &response, "-ndays", "1"];
    openssl(&[&["ocsp"][..], &signer, &asked].concat());
    let key = folder.path("site.key");
    let served = Served::start(1, &["--tls", &chain, &key, "--ocsp", &response]);
    for version in ["-tls1_2", "-tls1_3"] {
        let said = s_client(&served, &[version, "-status", "-CAfile", &root]);
        assert!(said.contains("OCSP Response Status: successful"), "{said}");
        assert!(said.contains("Cert Status: good") && said.contains("Hello, World!"), "{said}");
    }
    let none = Served::start(1, &["--tls", &chain, &key]);
    assert!(s_client(&none, &["-status"]).contains("OCSP response: no response sent"));
}
