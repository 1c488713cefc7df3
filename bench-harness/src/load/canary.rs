//! One connection apart from the load, with a thread of its own, that sees what a lone client sees.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

use super::job::Job;
use super::placement::allowed_cpus;
use super::reader::{HeadMemo, ResponseReader};
use super::traffic::Source;
use super::transport::Endpoint;
use crate::clock::Random;
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
            let _ = sing(&job, opens, &stopped, &mut seen);
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

trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

fn open(endpoint: &Endpoint, timeout: Duration) -> io::Result<Box<dyn Stream>> {
    Ok(match endpoint {
        Endpoint::Tcp { address, .. } => {
            let stream = TcpStream::connect_timeout(address, timeout)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            Box::new(stream)
        }
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(timeout))?;
            Box::new(stream)
        }
    })
}

fn sing(job: &Job, opens: Instant, stop: &AtomicBool, seen: &mut Hist) -> io::Result<()> {
    let (mut reader, mut memo) = (ResponseReader::default(), HeadMemo::default());
    let (mut random, mut source) = (Random::new(job.seed, STREAM), Source::apart(job.seed, STREAM));
    let (mut request, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    thread::sleep(opens.saturating_duration_since(Instant::now()));
    let mut stream = open(&job.endpoint, job.timeout)?;
    while !stop.load(Ordering::Acquire) {
        thread::sleep(PERIOD.mul_f64(2.0 * random.unit()));
        request.clear();
        source.append(&job.traffic, &mut request);
        let sent = Instant::now();
        stream.write_all(&request)?;
        let (mut answered, mut ended) = (false, false);
        while !answered {
            let count = stream.read(&mut piece)?;
            let read = reader.read(&piece[..count], &mut memo, job.traffic.method(), |answer| {
                (answered, ended) = (true, !answer.keep_alive);
                Ok(())
            });
            if count == 0 || read.is_err() {
                return Ok(());
            }
        }
        seen.record(sent.elapsed(), 1);
        if ended {
            (stream, reader) = (open(&job.endpoint, job.timeout)?, ResponseReader::default());
        }
    }
    Ok(())
}
