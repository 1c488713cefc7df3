//! Clients that never finish a request: the head comes a byte at a time, and when the server gives one up, it connects
//! again. And somebody who lets them do so, for comparison.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use crate::realtime;

/// What each sends at first, and what follows it, without ever coming to an end.
const START: &[u8] = b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ";
const BYTE: &[u8] = b"y";
/// How often the clients whose time has come are looked after: they share a CPU with the load, so there are few of them at
/// a time.
const TICK: Duration = Duration::from_millis(1);

/// Slow clients that are connected to a server, looked after by a thread of their own.
///
/// Dropping it closes their connections.
#[derive(Debug)]
pub struct SlowClients {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SlowClients {
    /// Connects `count` clients, each of which sends a byte every `pause`, from these CPUs; from any if there are none.
    ///
    /// # Errors
    /// When a connection can't be made.
    pub fn start(address: SocketAddr, count: usize, pause: Duration, cpus: &[usize]) -> io::Result<Self> {
        let mut mask = CpuSet::new();
        cpus.iter().for_each(|&cpu| mask.set(cpu));
        let pinned = !cpus.is_empty();
        let mut clients: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect::<io::Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let trickle = move || {
            if pinned {
                // Elsewhere they would be in the server's way; so be it.
                let _ = sched_setaffinity(None, &mask);
            }
            // Whoever waits for a load to sleep has a train of bytes to send then, which no thousand clients would send
            // at once. Where it isn't allowed they do; so be it.
            let _ = realtime::go_first(realtime::BESIDE);
            // The default of 50 µs would be part of every tick; so be that.
            let _ = set_current_timer_slack(Some(NonZeroU64::MIN));
            let begun = Instant::now();
            let mut sent = 0;
            while !stopping.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                // Spread evenly, so that the server hears of one after the other.
                let due = (begun.elapsed().as_secs_f64() / pause.as_secs_f64() * count as f64) as usize;
                for turn in sent..due.min(sent + count) {
                    let client = &mut clients[turn % count];
                    if !is_alive(client)
                        && let Ok(fresh) = connect(address)
                    {
                        *client = fresh;
                    }
                }
                sent = due;
            }
        };
        let thread = thread::Builder::new().name("slow-clients".into()).spawn(trickle)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whoever connects here may send what it likes, and is neither read nor answered: slow clients cost themselves as much as
/// with a server, and nobody else anything.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sink {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When there is none, or no thread.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let take = move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                held.extend(stream);
            }
        };
        let thread = thread::Builder::new().name("sink".into()).spawn(take)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(START)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Sends the next byte; `false` if the server has had enough.
fn is_alive(client: &mut TcpStream) -> bool {
    // An answer is a refusal: the head has not ended.
    let is_open = matches!(client.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    is_open && !matches!(client.write(BYTE), Err(error) if error.kind() != ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn they_trickle_and_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound");
        let clients = SlowClients::start(address, 2, Duration::from_millis(40), &[]).expect("it listens");
        let (mut first, _) = listener.accept().expect("a client");
        let (second, _) = listener.accept().expect("a client");
        first.set_read_timeout(Some(Duration::from_secs(10))).expect("an option");
        let mut head = vec![0; START.len() + 3];
        first.read_exact(&mut head).expect("bytes");
        assert_eq!(head, [START, b"yyy"].concat());
        drop(second);
        let (_third, _) = listener.accept().expect("it connects again");
        drop(clients);
        assert_eq!(first.read_to_end(&mut head).map(|_| ()).ok(), Some(()), "closed in order");
    }

    #[test]
    fn a_sink_takes_what_comes_and_says_nothing() {
        let sink = Sink::start().expect("some port is free");
        let cpus = [crate::load::allowed_cpus()[0]];
        let clients =
            SlowClients::start(sink.address(), 300, Duration::from_millis(50), &cpus).expect("it listens");
        thread::sleep(Duration::from_millis(200));
        let mut one = connect(sink.address()).expect("it listens");
        assert!(is_alive(&mut one));
        drop(clients);
        drop(sink);
        let end = Instant::now() + Duration::from_secs(10);
        while is_alive(&mut one) {
            assert!(Instant::now() < end, "the sink has gone and its connections have not");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
