//! The generator against a WebSocket server that others wrote.

mod folder;
mod load_servers;
mod null;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use covet_bench::load::{Extent, LoadError, LoadPlan, NoProgress, TargetUrl, allowed_cpus, run};
use covet_bench::record::LoopModel;
use folder::Folder;
use load_servers::{Server, held_up, last_cpu, measure};
use null::Null;
use serde_json::Value;

/// How long a server may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers each message with the same after a wait, or with another, and pings far more often than anybody would; says of
/// each connection with which code it was closed. Speaks TLS with a certificate and key that it is given.
const ECHO: &str = r#"
import asyncio, ssl, sys
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

async def echo(connection):
    path, count = connection.request.path, 0
    try:
        async for message in connection:
            if path == "/slow":
                await asyncio.sleep(0.02)
            if path == "/close":
                await connection.close(1001, "going away")
                return
            if path == "/other":
                count += 1
                message = message[::-1] if count % 2 else message
            if path == "/kind":
                message = message.encode()
            await connection.send(message)
    except ConnectionClosed:
        pass
    finally:
        await connection.wait_closed()
        # 1006 stands for a connection that ended without a Close frame.
        print("closed", connection.close_code, flush=True)

async def main():
    context = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[1:3])
    options = dict(ping_interval=0.1, ping_timeout=10, compression=None, ssl=context)
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"#;

/// The server, killed when dropped.
struct Echo {
    child: Child,
    scheme: &'static str,
    port: u16,
    lines: Receiver<String>,
}

impl Echo {
    fn start() -> Self {
        Self::with("ws", &[])
    }

    fn with(scheme: &'static str, arguments: &[&Path]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let python = root.join("target/test-tools/bin/python");
        assert!(python.exists(), "{} is missing: run scripts/install-test-tools", python.display());
        let mut command = Command::new(python);
        command.args(["-c", ECHO]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let port = lines.recv_timeout(PATIENCE).expect("it listens").parse().expect("a port");
        Self { child, scheme, port, lines }
    }

    fn plan(&self, path: &str, connections: usize, millis: u64) -> LoadPlan {
        let url = format!("{}://localhost:{}{path}", self.scheme, self.port);
        let mut plan = LoadPlan {
            connections,
            warmup: Duration::ZERO,
            extent: Extent { duration: Some(Duration::from_millis(millis)), requests: None },
            timeout: Duration::from_secs(10),
            ..LoadPlan::closed(TargetUrl::parse(&url).expect("a URL"), vec![last_cpu()])
        };
        plan.request.body = b"a message".to_vec().into();
        plan
    }

    /// The codes with which so many connections were closed.
    fn closed(&self, connections: usize) -> Vec<String> {
        let line = || self.lines.recv_timeout(PATIENCE).expect("it tells how a connection was closed");
        (0..connections).map(|_| line()).collect()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn messages_are_echoed_and_their_latency_is_the_servers() {
    let echo = Echo::start();
    let record = measure(&echo.plan("/slow", 4, 1500));
    assert_eq!((record.failed, record.errors.total()), (0, 0), "{}", record.to_text());
    assert!(record.completed > 20, "{}", record.to_text());
    // Pings came all the while, and were answered: a server without its pong closes.
    assert_eq!(record.reconnects, 0);
    assert!(record.response.min() >= 19_000_000, "{}", record.to_text());
    assert_eq!(record.conditions.protocol, "WebSocket");
    assert_eq!(record.status, [0; 6], "messages have no status");
}

#[test]
fn every_length_of_a_message_and_several_under_way() {
    let echo = Echo::start();
    for length in [0, 125, 126, 65_535, 65_536, 300_000] {
        let mut plan = echo.plan("/", 2, 60_000);
        plan.pipeline = 3;
        plan.request.body = vec![b'x'; length].into();
        plan.extent = Extent { duration: None, requests: Some(24) };
        let record = measure(&plan);
        assert_eq!((record.completed, record.errors.total()), (24, 0), "{length}: {}", record.to_text());
        assert!(record.bytes_in >= 24 * length as u64, "{length}");
    }
}

#[test]
fn an_open_loop_sends_messages_when_they_are_due() {
    let echo = Echo::start();
    let plan = LoadPlan { loop_model: LoopModel::Open { rate: 100.0 }, ..echo.plan("/", 4, 1000) };
    let record = measure(&plan);
    let due = (100.0 * (record.elapsed + held_up(&record)).as_secs_f64()) as u64;
    assert!((60..=due + 1).contains(&record.completed), "{}", record.to_text());
    assert!(record.lateness.is_some());
}

#[test]
fn a_server_that_closes_is_an_early_close_and_has_its_close_frame_answered() {
    let echo = Echo::start();
    let record = measure(&echo.plan("/close", 2, 500));
    assert_eq!(record.completed, 0);
    assert!(record.errors.early_close > 0 && record.reconnects > 0, "{}", record.to_text());
    // The code of the answer, which is the server's own.
    assert_eq!(echo.closed(2), ["closed 1001"; 2]);
}

#[test]
fn what_is_no_echo_is_unexpected_content_until_it_is_allowed() {
    let echo = Echo::start();
    for (path, all) in [("/other", false), ("/kind", true)] {
        let mut plan = echo.plan(path, 1, 60_000);
        plan.extent = Extent { duration: None, requests: Some(20) };
        let record = measure(&plan);
        // Every second message came back to front, and is as long as what was sent.
        let expected = if all { (0, 20) } else { (10, 10) };
        assert_eq!((record.completed, record.errors.unexpected_content), expected, "{}", record.to_text());
        let first = record.errors.first.as_deref().expect("the first error in words");
        assert!(first.contains("a message of 9 bytes that is not the one sent"), "{first}");
        plan.expect.same_length = false;
        assert_eq!(measure(&plan).completed, 20);
    }
}

#[test]
fn messages_that_differ_are_each_compared_with_their_own() {
    let echo = Echo::start();
    let mut plan = echo.plan("/", 2, 60_000);
    plan.pipeline = 4;
    plan.request.template = true;
    plan.request.body = b"{{seq}} {{random:1..1000000}} {{hex:9}}".to_vec().into();
    plan.extent = Extent { duration: None, requests: Some(400) };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (400, 0), "{}", record.to_text());
}

#[test]
fn every_connection_ends_with_a_close_frame() {
    let echo = Echo::start();
    let mut plan = echo.plan("/", 4, 300);
    plan.canary = true;
    let record = measure(&plan);
    assert!(record.probes.canary.is_some_and(|canary| !canary.is_empty()), "a canary sang");
    assert_eq!(echo.closed(5), ["closed 1000"; 5]);
    // Those that are used up as well.
    let mut plan = echo.plan("/", 1, 60_000);
    plan.requests_per_connection = Some(5);
    plan.extent = Extent { duration: None, requests: Some(15) };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (15, 0), "{}", record.to_text());
    assert_eq!(echo.closed(3), ["closed 1000"; 3]);
}

#[test]
fn tls_carries_messages_to_a_server_whose_certificate_is_good() {
    let folder = Folder::new("wss");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (folder.0.join("chain.pem"), folder.0.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    let echo = Echo::with("wss", &[&chain, &key]);
    let mut plan = echo.plan("/", 2, 60_000);
    let refused = run(&plan, &NoProgress).unwrap_err();
    assert!(matches!(refused, LoadError::Handshake { .. }), "{refused}");
    plan.tls.roots = Some(chain);
    plan.canary = true;
    for length in [0, 126, 70_000] {
        plan.pipeline = 3;
        plan.request.body = vec![b'x'; length].into();
        plan.extent = Extent { duration: Some(Duration::from_millis(1000)), requests: None };
        let record = measure(&plan);
        assert_eq!((record.failed, record.errors.total()), (0, 0), "{length}: {}", record.to_text());
        assert!(record.completed > 6, "{length}: {}", record.to_text());
        assert_eq!(record.conditions.protocol, "WebSocket over TLS");
        assert!(record.probes.canary.is_some_and(|canary| !canary.is_empty()), "a canary sang");
        assert_eq!(echo.closed(3), ["closed 1000"; 3]);
    }
}

/// The null responder of WebSocket, and with it the ceiling of a run, plain and over TLS.
#[test]
fn a_run_on_the_null_responder_has_its_ceiling_measured() {
    for secure in [&[][..], &["--tls-self-signed"]] {
        let null = Null::start(&[&["--cores", "0", "--websocket"], secure].concat());
        let url = null.url.as_str();
        assert!(url.starts_with(if secure.is_empty() { "ws://" } else { "wss://" }), "{url}");
        let output = Command::new(env!("CARGO_BIN_EXE_covet-bench"))
            .args(["run", url, "--insecure", "-t", "1", "-c", "4", "-d", "1s", "--warmup", "0", "-T", "20s"])
            .args(["--body", "Hello", "--probes", "on", "--output-format", "json"])
            .output()
            .expect("the binary runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{complaints}"));
        assert_eq!(json["errors_total"], 0, "{:#}", json["errors"]);
        assert!(json["requests"]["completed"].as_u64() > Some(0), "{json:#}");
        let guard = |name: &str| {
            let guards = json["guards"].as_array().expect("guards");
            guards.iter().find(|guard| guard["name"] == name).expect("a guard")["outcome"].clone()
        };
        assert_ne!(guard("canary"), "not measured", "{json:#}");
        // The ceiling needs a CPU beside the generator's.
        if allowed_cpus().len() > 1 {
            assert_ne!(guard("ceiling"), "not measured", "{json:#}");
        }
    }
}

#[test]
fn what_speaks_no_websocket_is_told_at_once() {
    let server = Server::answering(load_servers::OK);
    let url = server.url().to_string().replacen("http", "ws", 1);
    let plan =
        LoadPlan { connections: 1, ..LoadPlan::closed(TargetUrl::parse(&url).unwrap(), vec![last_cpu()]) };
    let error = run(&plan, &NoProgress).unwrap_err();
    assert!(matches!(error, LoadError::Upgrade { .. }), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("HTTP/1.1 200 OK"), "{source}");
}
