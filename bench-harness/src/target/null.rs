//! The null responder: the least that a server can do, as the ceiling that a generator is checked against.
//!
//! It counts the ends of request heads and answers each with the same bytes. It reads nothing else of a request, so
//! a request with a body that holds an empty line is answered twice.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, shutdown, spawn};
use memchr::memmem::Finder;

use super::listen::{ListenError, Listening};

/// Answers that are kept in a row, so that a pipelined batch is answered in one send.
const COPIES: u64 = 128;
/// What ends the head of a request.
const END: [u8; 4] = *b"\r\n\r\n";

/// Starts the responder on each core; every answer is a 200 with `body` bytes.
///
/// # Errors
/// When the address is taken or not ours, a core does not exist, or its ring cannot be made.
pub fn start(listen: SocketAddr, cores: CoreSet, body: usize) -> Result<Listening, ListenError> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + body, b'.');
    Listening::start(listen, cores, "null", move |listener| serve(listener, answer.clone()))
}

async fn serve(listener: TcpListener, answer: Vec<u8>) {
    let answers = Rc::new(Answers { one: answer.len(), row: answer.repeat(COPIES as usize).into() });
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(stream) => spawn(respond(stream, answers.clone())).detach(),
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

struct Answers {
    one: usize,
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
        let now = (*owed).min(COPIES);
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
