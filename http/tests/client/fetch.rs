//! `examples/fetch.rs`, run as the program it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{OnceLock, mpsc};

use crate::script::Script;

/// The example of this source. Cargo builds the examples with all the tests, beside them, but not with this one alone:
/// then there is none, or one of another day.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let built = test.parent().and_then(Path::parent).unwrap();
        let program = built.join("examples/fetch");
        if !is_fresh(&program) {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package", "covet-http", "--features", "client,gzip,tls"]);
            cargo.args(["--example", "fetch", "--target-dir"]).arg(built.parent().unwrap());
            if built.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success());
        }
        program
    })
}

/// Whether a program is younger than all that it is made of, as the file beside it lists that.
fn is_fresh(program: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let (Ok(made), Ok(sources)) = (modified(program), std::fs::read_to_string(program.with_extension("d")))
    else {
        return false;
    };
    let sources: Vec<&Path> = sources.split_whitespace().skip(1).map(Path::new).collect();
    // A build folder may have come from another checkout.
    sources.contains(&Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fetch.rs")))
        && sources.iter().all(|source| modified(source).is_ok_and(|changed| changed <= made))
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
    // A port that is taken, so that nobody else gets it, and on which nobody listens.
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let nobody = taken.local_addr().unwrap().as_socket().unwrap();
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
