//! What the reference service says it has turned away or cut off, when it ends and on SIGUSR1.

mod server;

use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use server::{Client, Server, covet_bench};

fn start(options: &[&str]) -> Server {
    let arguments = [&["serve", "--listen", "127.0.0.1:0", "--cores", "0"], options].concat();
    Server::started(covet_bench(&arguments))
}

/// What it has said by its end, which is asked for.
fn ended(mut server: Server) -> String {
    server.terminate();
    assert!(server.wait().success());
    server.errors()
}

/// The table: count, unit and event of each row. `None` if there is none.
fn table(said: &str) -> Option<Vec<String>> {
    let (_, below) = said.split_once("turned away or cut off in ")?;
    let mut lines = below.lines();
    let time = lines.next().expect("a heading");
    assert!(time.ends_with(" s:") || time.ends_with(" ms:"), "{said}");
    Some(lines.map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect())
}

fn curl(url: &str) -> (String, String) {
    let wanted =
        ["-sS", "--noproxy", "*", "--max-time", "60", "-w", "%{http_code}", "-o", "/dev/null", "-v", url];
    let output = Command::new("curl").args(wanted).output().expect("curl is there");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn at_its_end_it_prints_what_happened_and_nothing_else() {
    let server = start(&[]);
    let url = format!("http://{}/plaintext", server.address);
    assert_eq!(curl(&url).0, "200");
    let mut slow = server.connect();
    slow.send("GET /plaintext HTTP/1.1\r\nHost: a\r\nX-Unfinished: ");
    let mut garbage: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for client in &mut garbage {
        client.send_if_open("\x01\x02\x03 no request at all\r\n\r\n");
        assert_eq!(client.answer().status, 400);
        client.expect_end();
    }
    assert_eq!(slow.answer().status, 408);
    slow.expect_end();
    let said = ended(server);
    assert_eq!(table(&said).expect("a table"), ["2 requests refused", "1 connection head_timeout"], "{said}");
}

#[test]
fn a_server_to_which_nothing_happened_says_nothing() {
    let server = start(&[]);
    assert_eq!(curl(&format!("http://{}/json", server.address)).0, "200");
    let said = ended(server);
    let lines = said.lines().filter(|line| !line.starts_with("note: serving on epoll"));
    assert_eq!(lines.count(), 0, "{said}");
}

/// What comes up to a line that ends so.
fn up_to(log: &mut impl BufRead, is_last: impl Fn(&str) -> bool) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).expect("text"), 0, "it has ended: {said}");
        said.push_str(&line);
        if is_last(line.trim_end()) {
            return said;
        }
    }
}

#[test]
fn sigusr1_prints_it_below_the_statistics_of_the_cores_and_the_service_goes_on() {
    let mut server = start(&["--tls-self-signed", "--max-per-address", "1"]);
    let mut log = BufReader::new(server.take_stderr());
    let signal = || {
        kill_process(Pid::from_raw(server.pid() as i32).expect("a process id"), Signal::USR1)
            .expect("it runs");
    };
    signal();
    let said = up_to(&mut log, |line| line.starts_with("nothing was turned away or cut off in "));
    assert!(said.contains("covet: 1 cores, ") && said.contains("operations"), "{said}");

    let held = server.connect();
    let mut refused = server.connect();
    refused.send_if_open("x");
    assert!(matches!(refused.stream.read(&mut [0]), Ok(0) | Err(_)));
    drop(held);
    // No TLS at all; the one before may still be about to be closed.
    let mut last = String::new();
    while !last.contains(" tls_handshake ") {
        let mut plain = server.connect();
        plain.send_if_open("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
        let _ = plain.stream.read_to_end(&mut Vec::new());
        drop(plain);
        signal();
        last = up_to(&mut log, |line| line.starts_with("covet: "));
        last += &up_to(&mut log, |line| line.contains(" tls_handshake ") || line.contains(" over_address "));
    }
    server.terminate();
    assert!(server.wait().success());
    let mut said = String::new();
    log.read_to_string(&mut said).expect("text");
    let rows = table(&said).expect("a table");
    let rows: Vec<_> = rows.iter().filter_map(|row| row.split_once(' ')).map(|(_, row)| row).collect();
    let wanted = |name: &str| rows.iter().any(|row| row.ends_with(name));
    assert!(wanted(" over_address") && wanted(" tls_handshake"), "{said}");
}

#[test]
fn a_panic_can_be_looked_at_where_that_is_asked_for() {
    for options in [&["--diagnostics"][..], &["--diagnostics", "--middleware", "2"]] {
        let server = start(options);
        let url = format!("http://{}/panic", server.address);
        let (status, talk) = curl(&url);
        assert_eq!(status, "500", "{talk}");
        assert!(talk.to_ascii_lowercase().contains("< connection: close"), "{talk}");
        assert_eq!(curl(&format!("http://{}/plaintext", server.address)).0, "200");
        let said = ended(server);
        let logged = said.lines().filter(|line| line.contains(" ERROR "));
        assert_eq!(logged.filter(|line| line.contains("/panic was asked for")).count(), 1, "{said}");
        assert_eq!(table(&said).expect("a table"), ["1 panic panic"], "{said}");
    }
}

#[test]
fn without_diagnostics_there_is_no_route_that_panics() {
    let server = start(&[]);
    assert_eq!(curl(&format!("http://{}/panic", server.address)).0, "404");
    assert_eq!(table(&ended(server)), None);
}
