//! `examples/fetch.rs`, run as the program it is.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::mpsc;

use crate::script::Script;

/// Cargo builds the examples with all the tests, beside them, but not with this one alone.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = built.join("examples/fetch");
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "covet-http", "--features", "client,gzip,tls"]);
        cargo.args(["--example", "fetch"]);
        if built.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
    }
    program
}

fn fetch(arguments: &[&str]) -> Output {
    let mut program = Command::new(program());
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        program.env_remove(name);
    }
    program.args(arguments).output().unwrap()
}

#[test]
fn fetch_prints_what_a_server_says() {
    let (send, receive) = mpsc::channel();
    let server = Script::start(move |_, mut peer| {
        send.send(peer.request().unwrap()).unwrap();
        peer.send(b"HTTP/1.1 201 Created\r\nx-kind: \xe9\r\ncontent-length: 3\r\n\r\nyes");
    });
    let url = server.url("/a?b");
    let said = fetch(&["-i", "-d", "content", "-H", "X-Sent: 1", "-m", "20", &url]);
    assert_eq!(String::from_utf8(said.stderr).unwrap(), "");
    assert!(said.status.success());
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 201 Created\n") && text.ends_with("\n\nyes"), "{text}");
    assert!(text.contains("x-kind: \\xe9\n"), "{text}");
    let asked = receive.recv().unwrap();
    assert!(asked.starts_with("POST /a?b HTTP/1.1\r\n") && asked.ends_with("\r\n\r\ncontent"), "{asked}");
    assert!(asked.contains("\r\nx-sent: 1\r\n"), "{asked}");
}

#[test]
fn fetch_says_what_went_wrong() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (arguments, expected) in [
        (vec![format!("http://{nobody}/")], "refused"),
        (vec!["gopher://h/".to_owned()], "gopher"),
        (vec!["-X".to_owned()], "-X needs a value"),
        (vec![], "usage: fetch"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = fetch(&arguments);
        assert!(!said.status.success(), "{arguments:?}");
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
