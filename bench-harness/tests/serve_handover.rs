//! A server is replaced under load, and nobody notices.

mod server;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use server::{Server, covet_bench};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("covet-{name}-{}", std::process::id()))
}

fn serve(handover: &PathBuf, more: &[&str]) -> Server {
    let mut command = covet_bench(&["serve", "--cores", "0"]);
    command.args(more).arg("--handover").arg(handover).stderr(Stdio::inherit());
    Server::started(command)
}

fn load(url: &str, more: &[&str]) -> Child {
    let mut command = covet_bench(&["run", url, "-c", "32", "-T", "20s", "--warmup", "300ms", "-d", "5s"]);
    command.args(["--output-format", "json"]).args(more).stderr(Stdio::inherit());
    command.spawn().expect("the program runs")
}

/// Waits for the load's end; it must not have failed once.
fn assert_nothing_failed(load: Child) {
    let output = load.wait_with_output().expect("the load ends");
    let record: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(record["errors_total"], 0, "{}", record["errors"]);
    let done =
        record["requests"]["completed"].as_u64().unwrap_or_else(|| panic!("no count of answers in {record}"));
    assert!(done > 1000, "{done} answers");
}

#[test]
fn replacing_the_process_twice_under_load_fails_no_request() {
    let path = path("handover");
    let mut first = serve(&path, &["--listen", "127.0.0.1:0"]);
    let address = first.address;
    let closed = load(&format!("http://{address}/plaintext"), &[]);
    let open = load(&format!("http://{address}/user/7"), &["-R", "2000"]);
    std::thread::sleep(Duration::from_millis(1200));

    let mut second = serve(&path, &["--listen", "127.0.0.1:0"]);
    assert_eq!(second.address, address, "it has taken the socket over");
    assert!(first.wait().success());
    std::thread::sleep(Duration::from_millis(500));

    let mut third = serve(&path, &["--listen", "127.0.0.1:0"]);
    assert!(second.wait().success());
    assert_nothing_failed(closed);
    assert_nothing_failed(open);

    third.terminate();
    assert!(third.wait().success());
    assert!(!path.exists(), "the last one leaves nothing behind");
}

#[test]
fn a_unix_socket_is_handed_over_and_its_path_stays_until_the_end() {
    let (path, socket) = (path("handover-unix"), path("socket"));
    let ask = || {
        let mut stream = UnixStream::connect(&socket).expect("somebody listens");
        stream.write_all(b"GET /user/5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect("it reads");
        let text = std::io::read_to_string(stream).expect("an answer");
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with('5'), "{text}");
    };
    let unix = socket.to_str().expect("text");
    let start = || {
        let mut command = covet_bench(&["serve", "--cores", "0", "--unix", unix, "--handover"]);
        command.arg(&path);
        Server::started_at_path(command)
    };
    let mut first = start();
    ask();
    let mut second = start();
    assert!(first.wait().success());
    ask();
    second.terminate();
    assert!(second.wait().success());
    assert!(!socket.exists() && !path.exists());
}

#[test]
fn systemd_opens_the_socket_and_the_service_is_started_by_the_first_connection() {
    // It listens at once, and starts the service when somebody connects.
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = probe.local_addr().expect("it is bound");
    drop(probe);
    let mut activate = Command::new("systemd-socket-activate")
        .args(["--listen", &address.to_string(), env!("CARGO_BIN_EXE_covet-bench")])
        .args(["serve", "--cores", "0", "--systemd"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-socket-activate is there");
    let mut connected = None;
    for _ in 0..500 {
        match std::net::TcpStream::connect(address) {
            Ok(stream) => {
                connected = Some(stream);
                break;
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    let mut stream = connected.expect("it listens");
    stream.write_all(b"GET /user/9 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect("it reads");
    let text = std::io::read_to_string(stream).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with('9'), "{text}");
    // The service has taken the place of the program that started it.
    let pid = rustix::process::Pid::from_raw(activate.id() as i32).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert!(activate.wait().expect("it ends").success());
}

#[test]
fn without_sockets_from_systemd_it_says_what_is_missing() {
    let output = covet_bench(&["serve", "--cores", "0", "--systemd"]).output().expect("the program runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("systemd-socket-activate"), "{text}");
}

#[test]
fn the_proxy_protocol_comes_before_tls() {
    let mut command = covet_bench(&["serve", "--listen", "127.0.0.1:0", "--cores", "0", "--tls-self-signed"]);
    command.args(["--trust", "127.0.0.0/8", "--proxy-protocol", "required"]);
    let server = Server::started(command);
    let url = format!("https://{}/user/3", server.address);
    let curl = |more: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--insecure", "--max-time", "20", &url])
            .args(more)
            .output()
            .expect("curl is there");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(curl(&["--haproxy-protocol"]), (true, "3".to_owned()));
    assert!(!curl(&[]).0, "without a header");
}
