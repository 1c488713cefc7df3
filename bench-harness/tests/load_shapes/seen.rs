//! A server that notes what it is asked.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::load_servers::{Server, read_text};

/// What a server notes about its requests.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<(Instant, String)>>>);

impl Seen {
    /// A server that notes when each request came, and what it is; it closes where it is asked to.
    pub(crate) fn server(&self, answer: &'static [u8]) -> Server {
        let seen = self.0.clone();
        Server::start(move |mut stream| {
            let mut received = Vec::new();
            while let Some(text) = read_text(&mut stream, &mut received) {
                let closing = text.contains("Connection: close");
                seen.lock().expect("no holder panics").push((Instant::now(), text));
                if stream.write_all(answer).is_err() || closing {
                    return;
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
