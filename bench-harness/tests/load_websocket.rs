//! The generator against a WebSocket server that others wrote.

mod load_servers;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use covet_bench::load::{Extent, LoadError, LoadPlan, NoProgress, TargetUrl, run};
use covet_bench::record::{LoopModel, RunRecord};
use load_servers::{Server, assert_accounts_close, last_cpu};

/// Answers each message with the same after a wait, and pings far more often than anybody would.
const ECHO: &str = r#"
import asyncio, sys
from websockets.asyncio.server import serve

async def echo(connection):
    path = connection.request.path
    async for message in connection:
        if path == "/slow":
            await asyncio.sleep(0.02)
        if path == "/close":
            await connection.close()
            return
        await connection.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0, ping_interval=0.1, ping_timeout=10, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"#;

/// The server, killed when dropped.
struct Echo {
    child: Child,
    port: u16,
}

impl Echo {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let python = root.join("target/test-tools/bin/python");
        assert!(python.exists(), "{} is missing: run scripts/install-test-tools", python.display());
        let mut command = Command::new(python);
        command.args(["-c", ECHO]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self { port: line.trim().parse().expect("a port"), child }
    }

    fn plan(&self, path: &str, connections: usize, millis: u64) -> LoadPlan {
        let url = format!("ws://127.0.0.1:{}{path}", self.port);
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
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn measure(plan: &LoadPlan) -> RunRecord {
    let record = run(plan, &NoProgress).expect("the run begins");
    assert_accounts_close(&record);
    record
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
    assert!((60..=101).contains(&record.completed), "{}", record.to_text());
    assert!(record.lateness.is_some());
}

#[test]
fn a_server_that_closes_is_an_early_close() {
    let echo = Echo::start();
    let record = measure(&echo.plan("/close", 2, 500));
    assert_eq!(record.completed, 0);
    assert!(record.errors.early_close > 0 && record.reconnects > 0, "{}", record.to_text());
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
