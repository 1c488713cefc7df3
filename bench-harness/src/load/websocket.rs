//! WebSocket, as far as a client of an echo needs it: messages out, masked; messages in, compared (RFC 6455).
//!
//! A request is a message of one frame, text where it is UTF-8 and binary where it is not, and the next message that the
//! server sends is its answer, of the same kind and content. What is in both is compared by a checksum of 32 bits, so that no
//! message is kept. Pings are answered, and so is the server's Close; extensions are not spoken. Keys come from the seed of the run, so that
//! it can be made again: section 10.3 wants keys that nobody foresees, for the sake of proxies that a load is not sent by.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc32fast::Hasher;

use super::protocol::Protocol;
use super::reader::{Answer, ReadError};
use super::traffic::Traffic;
use crate::clock::Random;

/// RFC 6455, section 1.3: what a server adds to the key of a handshake.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes that the head of the answer to a handshake may have.
const HEAD_LIMIT: usize = 16 * 1024;
/// The longest payload of a control frame.
const CONTROL_LIMIT: u64 = 125;
/// What a Close frame says that is sent for no fault (section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// One connection's side of the protocol.
#[derive(Debug)]
pub(super) struct WebSocket {
    /// What the server has to prove that it understood.
    accept: String,
    /// Bytes of a head that is not whole: that of the handshake's answer, then those of frames.
    head: Vec<u8>,
    /// The frame whose payload is coming.
    frame: Option<Frame>,
    /// The message so far, where one has begun.
    message: Option<Message>,
    control: Vec<u8>,
    reply: Vec<u8>,
    /// Whether a Close frame was sent, or lies in the reply.
    closing: bool,
}

/// A message that is coming.
#[derive(Debug, Clone)]
struct Message {
    length: u64,
    mark: Hasher,
}

impl Message {
    fn new(opcode: u8) -> Self {
        let mut mark = Hasher::new();
        mark.update(&[opcode]);
        Self { length: 0, mark }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.mark.update(bytes);
    }

    fn mark(self) -> u32 {
        self.mark.finalize()
    }
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: u8,
    last: bool,
    left: u64,
}

impl Protocol for WebSocket {
    type Shared = ();

    const FRAMES: bool = true;
    const STATUS: bool = false;
    const ECHOES: bool = true;
    const SLOTS_VARY: bool = false;
    const FAREWELL: bool = true;

    fn begin(traffic: &Traffic, random: &mut Random, out: &mut Vec<u8>) -> Self {
        let nonce: Vec<u8> =
            [random.bits(), random.bits()].iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let key = STANDARD.encode(nonce);
        traffic.append_handshake(out, random);
        out.extend_from_slice(
            format!(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            )
            .as_bytes(),
        );
        Self {
            accept: accept(&key),
            head: Vec::new(),
            frame: None,
            message: None,
            control: Vec::new(),
            reply: Vec::new(),
            closing: false,
        }
    }

    fn establish(&mut self, bytes: &[u8]) -> Result<bool, ReadError> {
        self.head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else {
            return if self.head.len() > HEAD_LIMIT {
                Err(ReadError::Refused("a head without an end"))
            } else {
                Ok(false)
            };
        };
        // What follows the head is the first of the frames.
        let rest = self.head.split_off(end + 4);
        let head = std::mem::replace(&mut self.head, rest);
        agreed(&String::from_utf8_lossy(&head), &self.accept)?;
        Ok(true)
    }

    fn slots(&self, depth: u64) -> u64 {
        depth
    }

    fn frame(out: &mut Vec<u8>, start: usize, random: &mut Random) -> u32 {
        let opcode = if std::str::from_utf8(&out[start..]).is_ok() { TEXT } else { BINARY };
        let mut message = Message::new(opcode);
        message.take(&out[start..]);
        mask(out, start, opcode, random.bits() as u32);
        message.mark()
    }

    fn receive(
        &mut self,
        received: &[u8],
        _shared: &mut (),
        _traffic: &Traffic,
        on_answer: impl FnMut(u64, Answer) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.take(received, on_answer)
    }

    fn owes_reply(&self) -> bool {
        !self.reply.is_empty()
    }

    fn reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }

    fn is_inside(&self) -> bool {
        self.message.is_some() || self.frame.is_some() || !self.head.is_empty()
    }

    fn finish(&mut self) -> Option<Answer> {
        None
    }

    fn farewell(&mut self) -> Vec<u8> {
        if !self.closing {
            self.close(&NORMAL_CLOSURE.to_be_bytes());
        }
        self.reply()
    }

    fn part(&mut self, bytes: &[u8]) -> bool {
        // Messages that were under way are nobody's any more; what is no frame is no reason to wait either.
        self.take(bytes, |_, _| Ok(())).is_err()
    }
}

impl WebSocket {
    fn take(
        &mut self,
        received: &[u8],
        mut on_answer: impl FnMut(u64, Answer) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        // Bytes that came with the answer to the handshake, or a head that was cut.
        let joined;
        let mut bytes = received;
        if !self.head.is_empty() {
            joined = [&std::mem::take(&mut self.head)[..], received].concat();
            bytes = &joined;
        }
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let Some((frame, used)) = parse_head(bytes)? else {
                        self.head = bytes.to_vec();
                        return Ok(());
                    };
                    self.begin_frame(frame)?;
                    bytes = &bytes[used..];
                    frame
                }
            };
            let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            if is_control(frame.opcode) {
                self.control.extend_from_slice(&bytes[..here]);
            } else if let Some(message) = &mut self.message {
                message.take(&bytes[..here]);
            }
            frame.left -= here as u64;
            bytes = &bytes[here..];
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(());
            }
            if is_control(frame.opcode) {
                self.end_control(frame.opcode)?;
            } else if frame.last
                && let Some(message) = self.message.take()
            {
                let (body, mark) = (message.length, message.mark());
                on_answer(0, Answer { status: 0, body, mark, keep_alive: true })?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    fn begin_frame(&mut self, frame: Frame) -> Result<(), ReadError> {
        match (frame.opcode, &self.message) {
            (CONTINUATION, None) => Err(ReadError::Refused("the middle of a message that has no beginning")),
            (TEXT | BINARY, Some(_)) => Err(ReadError::Refused("a message within another")),
            (TEXT | BINARY, None) => {
                self.message = Some(Message::new(frame.opcode));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end_control(&mut self, opcode: u8) -> Result<(), ReadError> {
        let payload = std::mem::take(&mut self.control);
        match opcode {
            CLOSE => {
                if !self.closing {
                    // The server's own code, which is the first two bytes where there is one (section 5.5.1).
                    self.close(&payload[..payload.len().min(2)]);
                }
                Err(ReadError::Closed)
            }
            PING => {
                self.answer(PONG, &payload);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, payload: &[u8]) {
        self.closing = true;
        self.answer(CLOSE, payload);
    }

    fn answer(&mut self, opcode: u8, payload: &[u8]) {
        let start = self.reply.len();
        self.reply.extend_from_slice(payload);
        // What masks a repetition of the server's own bytes hides nothing from it.
        mask(&mut self.reply, start, opcode, 0x1F2E_3D4C);
    }
}

fn is_control(opcode: u8) -> bool {
    opcode & 0x8 != 0
}

/// What a server that understood answers to a key.
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()))
}

/// Whether a server agreed (RFC 6455, section 4.1).
fn agreed(head: &str, accept: &str) -> Result<(), ReadError> {
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(ReadError::Handshake(status.to_owned()));
    }
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let has = |name: &str, wanted: &str, exact: bool| {
        fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).any(|(_, value)| {
            value.split(',').map(str::trim).any(|value| match exact {
                true => value == wanted,
                false => value.eq_ignore_ascii_case(wanted),
            })
        })
    };
    if !has("Upgrade", "websocket", false) || !has("Connection", "upgrade", false) {
        return Err(ReadError::Handshake(format!("{status}, without an upgrade to websocket")));
    }
    if !has("Sec-WebSocket-Accept", accept, true) {
        return Err(ReadError::Handshake(format!("{status}, with the wrong Sec-WebSocket-Accept")));
    }
    if fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Extensions")) {
        return Err(ReadError::Handshake(format!("{status}, with an extension that nobody asked for")));
    }
    Ok(())
}

/// Makes the bytes of `out` from `start` on the payload of a whole, masked frame.
fn mask(out: &mut Vec<u8>, start: usize, opcode: u8, key: u32) {
    let (length, key) = (out.len() - start, key.to_be_bytes());
    for (byte, mask) in out[start..].iter_mut().zip(key.iter().cycle()) {
        *byte ^= mask;
    }
    let mut head = vec![FIN | opcode];
    match length {
        0..=125 => head.push(MASKED | length as u8),
        126..=0xFFFF => {
            head.push(MASKED | 126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(MASKED | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head.extend_from_slice(&key);
    out.splice(start..start, head);
}

/// The head of a frame, and its length; `None` where it goes on after `bytes`.
fn parse_head(bytes: &[u8]) -> Result<Option<(Frame, usize)>, ReadError> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let (opcode, last) = (first & 0x0F, first & FIN != 0);
    if first & 0x70 != 0 || !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(ReadError::Refused("a frame of an unknown kind"));
    }
    if second & MASKED != 0 {
        return Err(ReadError::Refused("a masked frame, which only clients send"));
    }
    let (left, used) = match second {
        126 => {
            let Some(&octets) = rest.first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(octets)), 4)
        }
        127 => {
            let Some(&octets) = rest.first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(octets), 10)
        }
        length => (u64::from(length), 2),
    };
    if left > i64::MAX as u64 {
        return Err(ReadError::Refused("a frame of an impossible length"));
    }
    if is_control(opcode) && (!last || left > CONTROL_LIMIT) {
        return Err(ReadError::Refused("a control frame that is too long or in pieces"));
    }
    Ok(Some((Frame { opcode, last, left }, used)))
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
