//! One connection apart from the load, with a thread of its own, that sees what a lone client sees.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use covet_http::tls::ClientSession;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::connection::PARTING_TIME;
use super::job::Job;
use super::placement::allowed_cpus;
use super::protocol::Protocol;
use super::reader::ResponseReader;
use super::traffic::Source;
use super::transport::Endpoint;
use super::websocket::WebSocket;
use crate::clock::Random;
use crate::read_some::read_some;
use crate::record::Hist;

/// The mean time between two requests: so few that they change nothing.
const PERIOD: Duration = Duration::from_millis(10);
/// A generator core that does not exist, whose random numbers and sequence are therefore its own.
const STREAM: u64 = 1 << 32;

/// The thread, from its start to its record.
#[derive(Debug)]
pub(super) struct Canary {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Hist>,
}

impl Canary {
    /// Starts it on a CPU that the generator does not use, where there is one; it begins to record at `opens`.
    pub(super) fn start(job: Arc<Job>, generator: &[usize], opens: Instant) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let cpu = allowed_cpus().into_iter().rev().find(|cpu| !generator.contains(cpu));
        let thread = thread::Builder::new().name("canary".to_owned()).spawn(move || {
            if let Some(cpu) = cpu {
                let mut mask = CpuSet::new();
                mask.set(cpu);
                // Elsewhere it would see the scheduler as well; so be it.
                let _ = sched_setaffinity(None, &mask);
            }
            let mut seen = Hist::new();
            // A server that closes or breaks the connection ends the canary; the load's own errors tell why.
            let _ = match job.traffic.is_web_socket() {
                false => sing::<ResponseReader>(&job, opens, &stopped, &mut seen),
                true => sing::<WebSocket>(&job, opens, &stopped, &mut seen),
            };
            seen
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it and returns what it saw; `None` when it panicked.
    pub(super) fn finish(self) -> Option<Hist> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().ok()
    }
}

trait Stream: Read + Write {
    /// Makes a read that takes longer fail.
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Stream for UnixStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// A connection that blocks, through TLS where the load's connections are.
struct Line {
    stream: Box<dyn Stream>,
    session: Option<ClientSession>,
    /// What came, and what is to leave.
    plain: Vec<u8>,
    wire: Vec<u8>,
    piece: Vec<u8>,
}

impl Line {
    fn open(job: &Job) -> io::Result<Self> {
        let stream = connect(&job.endpoint, job.timeout)?;
        let (plain, wire) = (Vec::new(), Vec::new());
        let mut line = Self { stream, session: None, plain, wire, piece: vec![0; 16 * 1024] };
        if let Some(security) = &job.security {
            let session = ClientSession::begin(&security.config, &security.name, &mut line.wire);
            line.session = Some(session.map_err(io::Error::other)?);
            while line.session.as_ref().is_some_and(ClientSession::is_handshaking) {
                line.receive()?;
            }
            line.stream.write_all(&std::mem::take(&mut line.wire))?;
        }
        Ok(line)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(session) = &mut self.session else { return self.stream.write_all(bytes) };
        session.send(bytes, &mut self.wire).map_err(io::Error::other)?;
        self.stream.write_all(&self.wire)?;
        self.wire.clear();
        Ok(())
    }

    /// Reads once into `plain`, which may get nothing of what was read; nothing to read is an error.
    fn receive(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.wire)?;
        self.wire.clear();
        let count = read_some(&mut *self.stream, &mut self.piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = &mut self.piece[..count];
        match &mut self.session {
            Some(session) => {
                session.receive(bytes, &mut self.plain, &mut self.wire).map_err(io::Error::other)?;
            }
            None => self.plain.extend_from_slice(bytes),
        }
        Ok(())
    }
}

fn connect(endpoint: &Endpoint, timeout: Duration) -> io::Result<Box<dyn Stream>> {
    Ok(match endpoint {
        Endpoint::Tcp { address, .. } => {
            let stream = TcpStream::connect_timeout(address, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_patience(timeout)?;
            Box::new(stream)
        }
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_patience(timeout)?;
            Box::new(stream)
        }
    })
}

fn sing<P: Protocol>(job: &Job, opens: Instant, stop: &AtomicBool, seen: &mut Hist) -> io::Result<()> {
    let mut shared = P::Shared::default();
    let (mut random, mut source) = (Random::new(job.seed, STREAM), Source::apart(job.seed, STREAM));
    let mut request = Vec::new();
    thread::sleep(opens.saturating_duration_since(Instant::now()));
    let (mut line, mut protocol) = begin::<P>(job, &mut random)?;
    while !stop.load(Ordering::Acquire) {
        thread::sleep(PERIOD.mul_f64(2.0 * random.unit()));
        request.clear();
        source.append(&job.traffic, &mut request);
        if P::FRAMES {
            P::frame(&mut request, 0, &mut random);
        }
        let sent = Instant::now();
        line.send(&request)?;
        let (mut answered, mut ended) = (false, false);
        while !answered {
            line.plain.clear();
            line.receive()?;
            let read = protocol.receive(&line.plain, &mut shared, &job.traffic, |_, answer| {
                (answered, ended) = (true, !answer.keep_alive);
                Ok(())
            });
            if protocol.owes_reply() {
                line.send(&protocol.reply())?;
            }
            if read.is_err() {
                return Ok(());
            }
        }
        seen.record(sent.elapsed(), 1);
        if ended {
            (line, protocol) = begin(job, &mut random)?;
        }
    }
    if P::FAREWELL { part(&mut line, &mut protocol) } else { Ok(()) }
}

/// Opens a connection that requests may be sent on.
fn begin<P: Protocol>(job: &Job, random: &mut Random) -> io::Result<(Line, P)> {
    let mut line = Line::open(job)?;
    let mut said = Vec::new();
    let mut protocol = P::begin(&job.traffic, random, &mut said);
    if !said.is_empty() {
        line.send(&said)?;
        let mut agreed = false;
        while !agreed {
            line.plain.clear();
            line.receive()?;
            agreed = protocol.establish(&line.plain).map_err(io::Error::other)?;
        }
    }
    Ok((line, protocol))
}

/// Says that nothing more comes, and waits for the peer's word, for some time.
fn part<P: Protocol>(line: &mut Line, protocol: &mut P) -> io::Result<()> {
    let begun = Instant::now();
    line.stream.set_patience(PARTING_TIME)?;
    line.send(&protocol.farewell())?;
    let mut parted = false;
    while !parted && begun.elapsed() < PARTING_TIME {
        line.plain.clear();
        line.receive()?;
        parted = protocol.part(&line.plain);
    }
    Ok(())
}
