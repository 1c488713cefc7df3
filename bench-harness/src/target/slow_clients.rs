//! Clients that never finish a request: the head comes a byte at a time, and when the server gives one up, it connects
//! again.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What each sends at first, and what follows it, without ever coming to an end.
const START: &[u8] = b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ";
const BYTE: &[u8] = b"y";
/// How often the clients whose time has come are looked after.
const TICK: Duration = Duration::from_millis(20);

/// Slow clients that are connected to a server, looked after by a thread of their own.
///
/// Dropping it closes their connections.
#[derive(Debug)]
pub struct SlowClients {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SlowClients {
    /// Connects `count` clients, each of which sends a byte every `pause`.
    ///
    /// # Errors
    /// When a connection can't be made.
    pub fn start(address: SocketAddr, count: usize, pause: Duration) -> io::Result<Self> {
        let mut clients: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect::<io::Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let trickle = move || {
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
        let clients = SlowClients::start(address, 2, Duration::from_millis(40)).expect("it listens");
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
}
