//! Servers made by hand: each connection is a script on a thread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What was accepted, and how often.
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Script {
    /// Runs `serve` for each connection, with its number from 0.
    pub(crate) fn start(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (accepted.clone(), Arc::new(serve));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (number, serve) = (count.fetch_add(1, Ordering::SeqCst), serve.clone());
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                thread::spawn(move || serve(number, Peer { stream, unread: Vec::new() }));
            }
        });
        Script { address, accepted }
    }

    /// Answers every request on every connection with these bytes, and closes after them if `close`.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>, close: bool) -> Script {
        let answer = answer.into();
        Script::start(move |_, mut peer| {
            while peer.request().is_some() {
                peer.send(&answer);
                if close {
                    break;
                }
            }
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// The next request's head; its content, if it has a length, is read and kept behind it.
    pub(crate) fn request(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8(self.unread[..end].to_vec()).unwrap();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        // What waits for a 100 response does not come by itself.
        let length = if head.contains("expect: 100-continue") { 0 } else { length };
        while self.unread.len() < end + length {
            self.more()?;
        }
        let request: Vec<u8> = self.unread.drain(..end + length).collect();
        Some(String::from_utf8_lossy(&request).into_owned())
    }

    /// Bytes until these, which are included.
    pub(crate) fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            self.more()?;
        }
    }

    pub(crate) fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            self.more()?;
        }
        Some(self.unread.drain(..count).collect())
    }

    /// A process that was stopped and goes on has its reads interrupted, where they have a timeout (signal(7)).
    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        let count = self.receive(&mut buffer).unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..count]);
        (count > 0).then_some(())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Waits for the end of the other side; whether it came.
    pub(crate) fn is_ended(&mut self) -> bool {
        let mut buffer = [0; 1024];
        loop {
            match self.receive(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// Runs a future on a core of its own.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    covet_runtime::block_on(future).unwrap()
}
