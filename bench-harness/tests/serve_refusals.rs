//! What the reference service refuses, and how.

mod server;

use std::time::{Duration, Instant};

use server::{Server, covet_bench};

fn refusal(server: &Server, request: impl AsRef<[u8]>) -> u16 {
    let mut client = server.connect();
    client.send_if_open(request);
    let answer = client.answer();
    client.expect_end();
    answer.status
}

#[test]
fn malformed_requests_get_400_and_a_close() {
    let server = Server::start();
    for request in [
        "not a request\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
    ] {
        assert_eq!(refusal(&server, request), 400, "{request:?}");
    }
}

#[test]
fn a_smuggled_request_is_never_answered() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.answer().status, 400);
    client.expect_end();
}

#[test]
fn what_is_too_large_is_refused_by_kind() {
    let server = Server::start();
    let long = "a".repeat(100 * 1024);
    let target = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(refusal(&server, target), 414);
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n");
    assert_eq!(refusal(&server, field), 431);
    let fields = "X-Many: 1\r\n".repeat(500);
    assert_eq!(refusal(&server, format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")), 431);
    let body = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nbeginning";
    assert_eq!(refusal(&server, body), 413);
}

#[test]
fn an_unknown_coding_and_version_are_named() {
    let server = Server::start();
    let coded = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assert_eq!(refusal(&server, coded), 501);
    assert_eq!(refusal(&server, "GET / HTTP/3.0\r\nHost: a\r\n\r\n"), 505);
}

#[test]
fn a_slow_head_gets_408() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /plaintext HTTP/1.1\r\nHost: a\r\nX-Unfinished: ");
    let started = Instant::now();
    let answer = client.answer();
    assert_eq!(answer.status, 408);
    assert!(started.elapsed() > Duration::from_secs(1), "a client needs some time");
    client.expect_end();
}

#[test]
fn what_it_warns_of_is_a_line_of_standard_error() {
    let required = ["--trust", "127.0.0.1", "--proxy-protocol", "required"];
    let arguments = [&["serve", "--listen", "127.0.0.1:0", "--cores", "0"][..], &required].concat();
    let mut server = Server::started(covet_bench(&arguments));
    let mut client = server.connect();
    client.send_if_open("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    client.expect_end();
    server.terminate();
    assert!(server.wait().success());
    let errors = server.errors();
    let warned: Vec<&str> = errors
        .lines()
        // A busy machine may hold it up, of which it tells too.
        .filter(|line| line.contains(" WARN ") && !line.contains(" has been held for "))
        .collect();
    assert!(matches!(warned[..], [line] if line.contains("no good PROXY protocol header")), "{errors}");
}

#[test]
fn a_port_in_use_is_one_line_and_exit_status_1() {
    let server = Server::start();
    let address = server.address.to_string();
    let output = covet_bench(&["serve", "--listen", &address, "--cores", "0"]).output().expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&address) && stderr.lines().count() == 1, "{stderr}");
    let mut client = server.connect();
    client.send("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_core_that_does_not_exist_is_one_line_with_a_failing_exit_status() {
    // A machine may have any core up to the kernel's highest; a number beyond that is a mistake in the command line.
    for (cores, status) in [("900", 1), ("0-900", 1), ("4000", 2)] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--cores", cores];
        let output = covet_bench(&arguments).output().expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.starts_with("covet-bench: core ") || stderr.contains("the core list"), "{stderr}");
        assert!(stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn too_few_open_files_are_one_line_with_the_remedy_however_few() {
    for limit in ["4", "6", "12"] {
        // The shell itself needs none beyond the three that it has.
        let line = format!("ulimit -n {limit}; exec \"$0\" serve --listen 127.0.0.1:0 --cores 0");
        let output = std::process::Command::new("sh")
            .args(["-c", &line, env!("CARGO_BIN_EXE_covet-bench")])
            .output()
            .expect("a shell is there");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{limit}: {stderr}");
        assert!(
            stderr.contains(&format!("the limit is {limit}: raise it first")) && stderr.lines().count() == 1,
            "{limit}: {stderr}"
        );
    }
}

#[test]
fn a_core_list_that_does_not_parse_is_one_line() {
    let output = covet_bench(&["serve", "--cores", "zero"]).output().expect("it runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(matches!(output.status.code(), Some(1 | 2)), "{stderr}");
    assert!(stderr.contains("zero") && stderr.lines().count() == 1, "{stderr}");
}
