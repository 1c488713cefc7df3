//! What connections speak: bytes in, exchanges out; no socket and no clock.
//!
//! The loop that sends, waits and counts is written once for every [`Protocol`] and compiled for each, so that HTTP/1.1
//! pays nothing for there being others. A protocol that answers out of order, as HTTP/2 does, names the place of the
//! request that an answer is for; one that begins with a handshake of its own, as WebSocket does, makes it before the
//! first request.

use super::reader::{Answer, HeadMemo, ReadError, ResponseReader};
use super::traffic::Traffic;
use crate::clock::Random;

/// One connection's side of a protocol, from the connection's opening to its end.
pub(super) trait Protocol: Sized + 'static {
    /// What the connections of a core share, such as what was decoded last.
    type Shared: Default;

    /// Whether a request is put into a frame each time that it is sent; if not, it goes out as it was prepared.
    const FRAMES: bool;

    /// Whether answers have a status.
    const STATUS: bool;

    /// Whether an answer repeats its request: both then come to the same mark.
    const ECHOES: bool;

    /// Whether the peer may change how many exchanges may be under way at once.
    const SLOTS_VARY: bool;

    /// Whether both sides say that they end, before the connection does.
    const FAREWELL: bool;

    /// Begins on a connection that was just opened; appends to `out` what is said before the first request.
    fn begin(traffic: &Traffic, random: &mut Random, out: &mut Vec<u8>) -> Self;

    /// Takes in what the peer says to that, where it was anything, and says whether requests may follow.
    ///
    /// # Errors
    /// When the peer does not agree.
    fn establish(&mut self, bytes: &[u8]) -> Result<bool, ReadError>;

    /// How many exchanges may be under way at once, of `depth` that are wanted.
    ///
    /// Asked when the connection is open, and where [`Protocol::SLOTS_VARY`] again after all that is received. What is under
    /// way beyond a number that has shrunk goes on, and no more follows until it has ended.
    fn slots(&self, depth: u64) -> u64;

    /// Puts a frame around the request that lies in `out` from `start` on; returns the mark that its answer must have.
    fn frame(out: &mut Vec<u8>, start: usize, random: &mut Random) -> u32;

    /// Takes in the next received piece, and hands out every answer that it completes, each with its request's place
    /// among those that have none: 0 is the oldest.
    ///
    /// # Errors
    /// When the bytes are not of the protocol, or `on_answer` refuses an answer: the connection is of no further use.
    fn receive(
        &mut self,
        bytes: &[u8],
        shared: &mut Self::Shared,
        traffic: &Traffic,
        on_answer: impl FnMut(u64, Answer) -> Result<(), ReadError>,
    ) -> Result<(), ReadError>;

    /// Whether the peer waits for something that is no request.
    fn owes_reply(&self) -> bool;

    /// What it waits for.
    fn reply(&mut self) -> Vec<u8>;

    /// Whether some of an answer has come, and not all of it.
    fn is_inside(&self) -> bool;

    /// The answer that the end of the connection completes, if there is one.
    fn finish(&mut self) -> Option<Answer>;

    /// What is said at the end, where it was not said before; nothing where the protocol has no word for it.
    fn farewell(&mut self) -> Vec<u8>;

    /// Takes in what comes after that, and says whether the peer has said its own.
    fn part(&mut self, bytes: &[u8]) -> bool;
}

impl Protocol for ResponseReader {
    type Shared = HeadMemo;

    const FRAMES: bool = false;
    const STATUS: bool = true;
    const ECHOES: bool = false;
    const SLOTS_VARY: bool = false;
    const FAREWELL: bool = false;

    fn begin(_traffic: &Traffic, _random: &mut Random, _out: &mut Vec<u8>) -> Self {
        Self::default()
    }

    fn establish(&mut self, _bytes: &[u8]) -> Result<bool, ReadError> {
        Ok(true)
    }

    #[inline]
    fn slots(&self, depth: u64) -> u64 {
        depth
    }

    fn frame(_out: &mut Vec<u8>, _start: usize, _random: &mut Random) -> u32 {
        0
    }

    #[inline]
    fn receive(
        &mut self,
        bytes: &[u8],
        shared: &mut HeadMemo,
        traffic: &Traffic,
        mut on_answer: impl FnMut(u64, Answer) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.read(bytes, shared, traffic.method(), |answer| on_answer(0, answer))
    }

    #[inline]
    fn owes_reply(&self) -> bool {
        false
    }

    fn reply(&mut self) -> Vec<u8> {
        Vec::new()
    }

    #[inline]
    fn is_inside(&self) -> bool {
        ResponseReader::is_inside(self)
    }

    fn finish(&mut self) -> Option<Answer> {
        ResponseReader::finish(self)
    }

    fn farewell(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn part(&mut self, _bytes: &[u8]) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
