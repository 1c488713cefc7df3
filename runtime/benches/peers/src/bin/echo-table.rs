//! Measures the echo servers against each other: 64 bytes to and fro on 64 connections, server on CPU 0, load on CPU 1,
//! rounds interleaved; then the memory of idle connections.
//!
//! The figure is the server's CPU time per message by the kernel's accounting (/proc/PID/task/TID/schedstat), which
//! holds whichever side was the bottleneck.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use runtime_peers::raw_ring::Echo;
use runtime_peers::{lift_limits, pin};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SERVERS: [&str; 6] = ["ceiling", "covet", "monoio", "compio", "glommio", "tokio"];
const USAGE: &str = "usage: echo-table [--rounds N] [--millis N] [--connections N] [--idle CONNECTIONS] \
                     [--servers a,b,..] (of ceiling, covet, monoio, compio, glommio, tokio)";
static MESSAGE: [u8; 64] = [b'e'; 64];
const WARM_UP: Duration = Duration::from_millis(200);

struct Plan {
    rounds: usize,
    time: Duration,
    connections: usize,
    idle: usize,
    servers: Vec<String>,
}

impl Plan {
    fn from_process() -> Result<Plan> {
        let mut plan = Plan {
            rounds: 7,
            time: Duration::from_millis(1000),
            connections: 64,
            idle: 10_000,
            servers: SERVERS.map(String::from).to_vec(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match option.as_str() {
                "--rounds" => plan.rounds = value.parse()?,
                "--millis" => plan.time = Duration::from_millis(value.parse()?),
                "--connections" => plan.connections = value.parse()?,
                "--idle" => plan.idle = value.parse()?,
                "--servers" => plan.servers = value.split(',').map(String::from).collect(),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(plan)
    }
}

/// A running server, ended when it goes out of scope.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(name: &str) -> Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = std::env::current_exe()?.with_file_name(format!("echo-{name}"));
        let process = Command::new(&program)
            .args([port.to_string(), "0".into()])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("start {}: {error}", program.display()))?;
        let server = Server { process, address: ([127, 0, 0, 1], port).into() };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(server.address).is_err() {
            if Instant::now() > end {
                return Err(format!("echo-{name} does not listen").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn cpu_time(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split_whitespace().next().unwrap_or("0").parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// What is resident and its own, in bytes.
    fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/smaps_rollup", self.process.id());
        let text = fs::read_to_string(Path::new(&path))?;
        let kib = text.lines().filter(|line| line.starts_with("Private_"));
        let kib = kib.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        Ok(kib.sum::<u64>() * 1024)
    }
}

struct Sample {
    per_message: f64,
    rate: f64,
}

fn measure(name: &str, plan: &Plan) -> Result<Sample> {
    let server = Server::start(name)?;
    // A thread of its own, as a server that this one starts later would inherit its place.
    thread::scope(|scope| scope.spawn(|| drive(name, &server, plan)).join().expect("the load does not panic"))
}

fn drive(name: &str, server: &Server, plan: &Plan) -> Result<Sample> {
    pin(1);
    let mut load = Echo::new();
    for _ in 0..plan.connections {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        let socket = stream.into_raw_fd();
        load.adopt(socket);
        load.kick(socket, &MESSAGE);
    }
    let turns = |load: &mut Echo, time: Duration| {
        let started = Instant::now();
        while started.elapsed() < time {
            load.turn();
        }
        started.elapsed()
    };
    turns(&mut load, WARM_UP);
    let (cpu, messages) = (server.cpu_time()?, load.received);
    let elapsed = turns(&mut load, plan.time);
    let (cpu, messages) = (server.cpu_time()? - cpu, (load.received - messages) as f64);
    if messages == 0.0 || load.ended > 0 {
        return Err(format!("echo-{name}: {messages} messages, {} connections ended", load.ended).into());
    }
    Ok(Sample { per_message: cpu.as_nanos() as f64 / messages, rate: messages / elapsed.as_secs_f64() })
}

/// Resident bytes for each of many connections that have sent one message and then nothing.
fn idle(name: &str, count: usize) -> Result<f64> {
    let server = Server::start(name)?;
    let converse = || -> Result<TcpStream> {
        let mut stream = TcpStream::connect(server.address)?;
        stream.write_all(&MESSAGE)?;
        stream.read_exact(&mut [0; 64])?;
        Ok(stream)
    };
    // What is allocated once, whatever the number of connections, must not be counted as theirs.
    let first: Vec<TcpStream> = (0..64).map(|_| converse()).collect::<Result<_>>()?;
    let before = server.resident()?;
    let streams: Vec<TcpStream> = (0..count).map(|_| converse()).collect::<Result<_>>()?;
    thread::sleep(Duration::from_millis(300));
    let after = server.resident()?;
    drop((first, streams));
    Ok(after.saturating_sub(before) as f64 / count as f64)
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

fn main() -> Result<()> {
    let plan = Plan::from_process()?;
    lift_limits();
    let mut samples: Vec<Vec<Sample>> = plan.servers.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        for step in 0..plan.servers.len() {
            // Each round begins with another server.
            let index = (step + round) % plan.servers.len();
            samples[index].push(measure(&plan.servers[index], &plan)?);
        }
    }
    println!(
        "TCP echo of 64 bytes, {} connections, {} rounds of {:?}; server on CPU 0, load on CPU 1; medians",
        plan.connections, plan.rounds, plan.time
    );
    println!("| server | CPU ns per message | ratio to the first | messages/s | bytes per idle connection |");
    println!("|---|---|---|---|---|");
    for (name, own) in plan.servers.iter().zip(&samples) {
        let ratio = median(own.iter().zip(&samples[0]).map(|(a, b)| a.per_message / b.per_message));
        let idle = match plan.idle {
            0 => "-".to_owned(),
            count => format!("{:.0}", idle(name, count)?),
        };
        let (cost, rate) = (
            median(own.iter().map(|sample| sample.per_message)),
            median(own.iter().map(|sample| sample.rate)),
        );
        println!("| {name} | {cost:.0} | {ratio:.3} | {rate:.0} | {idle} |");
    }
    Ok(())
}
