//! The null responder: the least that a server can do, as the ceiling that a generator is checked against.
//!
//! It counts the ends of request heads and answers each with the same bytes. It reads nothing else of a request, so
//! a request with a body that holds an empty line is answered twice.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, shutdown, spawn, time};
use memchr::memmem::Finder;

use super::embedded::Embedded;
use super::listen::{ListenError, Listening};
use crate::clock::{Delay, Random};

/// Answers that are kept in a row, so that a pipelined batch is answered in one send; fewer where they are long.
const COPIES: usize = 128;
/// Bytes of such a row, unless one answer is longer.
const LONGEST_ROW: usize = 32 * 1024 * 1024;
/// Bodies of a responder that stands beside a server are no longer than this, as many copies of them are kept.
pub const LONGEST_BODY: u64 = 256 * 1024;
/// What ends the head of a request.
const END: [u8; 4] = *b"\r\n\r\n";

/// What the responder answers, and when.
#[derive(Debug, Clone)]
pub struct NullOptions {
    /// Bytes in the body of every answer.
    pub body: usize,
    /// How long each answer is held back, one after another on a connection; not at all where it is `None`.
    pub delay: Option<Delay>,
    /// What random delays begin with.
    pub seed: u64,
}

impl Default for NullOptions {
    fn default() -> Self {
        Self { body: 13, delay: None, seed: 1 }
    }
}

impl NullOptions {
    fn answer(&self) -> Vec<u8> {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", self.body).into_bytes();
        answer.resize(answer.len() + self.body, b'.');
        answer
    }
}

/// Starts the responder on each core; every answer is a 200.
///
/// # Errors
/// When the address is taken or not ours, a core does not exist, or its ring cannot be made.
pub fn start(listen: SocketAddr, cores: CoreSet, options: NullOptions) -> Result<Listening, ListenError> {
    Listening::start(listen, cores, "null", move |listener| {
        let options = options.clone();
        async move { serve(listener, &options, 0).await }
    })
}

/// Starts the responder within this process, on each core, on a free port of 127.0.0.1.
///
/// # Errors
/// When a core does not exist or cannot be started, or there is no port.
pub fn embed(cores: CoreSet, options: NullOptions) -> io::Result<Embedded> {
    Embedded::start(cores, "null", move |listener, core| {
        let options = options.clone();
        async move { serve(listener, &options, core as u64).await }
    })
}

async fn serve(listener: TcpListener, options: &NullOptions, core: u64) {
    let answer = options.answer();
    let late = options
        .delay
        .map(|delay| Late { delay, random: Rc::new(RefCell::new(Random::new(options.seed, core))) });
    let copies = (LONGEST_ROW / answer.len()).clamp(1, COPIES);
    let answers = Rc::new(Answers { one: answer.len(), copies, row: answer.repeat(copies).into() });
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(stream) => match &late {
                    None => spawn(respond(stream, answers.clone())).detach(),
                    Some(late) => spawn(respond_late(stream, answers.clone(), late.clone())).detach(),
                },
                // The runtime has waited already where descriptors were short; what is left ends the listener.
                Err(error) => return eprintln!("covet-bench null: accept failed: {error}"),
            }
        }
    };
    let mut accept = std::pin::pin!(accept);
    let mut stop = std::pin::pin!(shutdown::requested());
    poll_fn(|cx| match stop.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => accept.as_mut().poll(cx),
    })
    .await;
}

/// How answers are held back.
#[derive(Clone)]
struct Late {
    delay: Delay,
    random: Rc<RefCell<Random>>,
}

/// Answers one request after another, each when its delay is over.
async fn respond_late(stream: TcpStream, answers: Rc<Answers>, late: Late) {
    let mut heads = HeadEnds::new();
    loop {
        let Ok(bytes) = stream.recv().await else { return };
        if bytes.is_empty() {
            return;
        }
        for _ in 0..heads.count(&bytes) {
            let delay = late.delay.sample(&mut late.random.borrow_mut());
            time::sleep(delay).await;
            if stream.write_all(answers.row.slice(..answers.one)).await.0.is_err() {
                return;
            }
        }
    }
}

struct Answers {
    one: usize,
    copies: usize,
    row: Bytes,
}

async fn respond(stream: TcpStream, answers: Rc<Answers>) {
    let mut heads = HeadEnds::new();
    let mut owed = 0;
    let mut stop = std::pin::pin!(shutdown::requested());
    // A broken connection ends the task, and that is all there is to do about it.
    let _: io::Result<()> = poll_fn(|cx| {
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        poll_respond(&stream, &answers, &mut heads, &mut owed, cx)
    })
    .await;
}

fn poll_respond(
    stream: &TcpStream,
    answers: &Answers,
    heads: &mut HeadEnds,
    owed: &mut u64,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while let Poll::Ready(received) = stream.poll_recv(cx) {
        let bytes = received?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        *owed += heads.count(&bytes);
    }
    while *owed > 0 {
        match stream.poll_sent(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(result) => result?,
        }
        let now = (*owed).min(answers.copies as u64);
        stream.submit_send(answers.row.slice(..answers.one * now as usize))?;
        *owed -= now;
    }
    Poll::Pending
}

/// Counts the ends of heads in a stream, wherever it is cut.
struct HeadEnds {
    finder: Finder<'static>,
    /// How many bytes of an end the last piece ended with.
    matched: usize,
}

impl HeadEnds {
    fn new() -> Self {
        Self { finder: Finder::new(&END), matched: 0 }
    }

    fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut ends = 0;
        let mut at = 0;
        while self.matched > 0 && at < bytes.len() {
            ends += u64::from(self.step(bytes[at]));
            at += 1;
        }
        let rest = &bytes[at..];
        let mut searched = 0;
        for end in self.finder.find_iter(rest) {
            ends += 1;
            searched = end + END.len();
        }
        let rest = &rest[searched..];
        for &byte in &rest[rest.len().saturating_sub(END.len() - 1)..] {
            self.step(byte);
        }
        ends
    }

    fn step(&mut self, byte: u8) -> bool {
        self.matched = if byte == END[self.matched] { self.matched + 1 } else { usize::from(byte == END[0]) };
        if self.matched == END.len() {
            self.matched = 0;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ends_are_counted_wherever_the_stream_is_cut(
            stream in "(\r|\n|\r\n|\r\n\r\n|a|b){0,40}",
            cuts in prop::collection::vec(0_usize..8, 0..20),
        ) {
            let bytes = stream.as_bytes();
            let expected = stream.matches("\r\n\r\n").count() as u64;
            let (mut heads, mut rest, mut seen) = (HeadEnds::new(), bytes, 0);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                seen += heads.count(piece);
                rest = after;
            }
            prop_assert_eq!(seen + heads.count(rest), expected);
        }
    }
}
