//! A server that notes what it is asked.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::load_servers::Server;

/// What a server notes about its requests.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<(Instant, String)>>>);

impl Seen {
    /// A server that notes when each request came, and its head.
    pub(crate) fn server(&self, answer: &'static [u8]) -> Server {
        let seen = self.0.clone();
        Server::start(move |mut stream: TcpStream| {
            let mut received = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) else { return };
                received.extend_from_slice(&buffer[..count]);
                while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&received[..end]).into_owned();
                    received.drain(..end + 4);
                    let body = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                    let length: usize = body.map_or(0, |length| length.parse().expect("a number"));
                    while received.len() < length {
                        let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) else {
                            return;
                        };
                        received.extend_from_slice(&buffer[..count]);
                    }
                    let body: Vec<u8> = received.drain(..length).collect();
                    let text = format!("{head}\n{}", String::from_utf8_lossy(&body));
                    let closing = text.contains("Connection: close");
                    seen.lock().expect("no holder panics").push((Instant::now(), text));
                    if stream.write_all(answer).is_err() || closing {
                        return;
                    }
                }
            }
        })
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().expect("no holder panics").iter().map(|(_, text)| text.clone()).collect()
    }

    pub(crate) fn gaps(&self) -> Vec<f64> {
        let mut times: Vec<Instant> =
            self.0.lock().expect("no holder panics").iter().map(|(at, _)| *at).collect();
        times.sort();
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }
}
