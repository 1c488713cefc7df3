//! The part of ZMTP 3 that a DEALER socket without authentication speaks: bytes in, messages and bytes out.
//!
//! See <https://rfc.zeromq.org/spec/23/>. Frames are a flags octet, a length of one or eight octets, and the body; what
//! a socket sends before its first message is a greeting of 64 octets and a READY command.

use thiserror::Error;

/// The length of a greeting.
const GREETING: usize = 64;
/// The first octet of a greeting, and the tenth.
const SIGNATURE: (u8, u8) = (0xFF, 0x7F);
/// The one mechanism spoken here: no authentication.
const NULL: &[u8] = b"NULL";
const MORE: u8 = 0b001;
const LONG: u8 = 0b010;
const COMMAND: u8 = 0b100;
/// No message of a master comes near this length; what claims more is not ZMTP.
const LONGEST_FRAME: u64 = 64 * 1024 * 1024;

/// Why a peer cannot be talked to.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ZmtpError {
    /// The peer's first bytes are no greeting.
    #[error("the peer does not speak ZeroMQ")]
    NotZmtp,
    /// The peer speaks an older version.
    #[error("the peer speaks version {0} of ZeroMQ's protocol, and 3 is needed")]
    Version(u8),
    /// The peer wants authentication.
    #[error("the peer wants the security mechanism {0}, and only NULL is spoken here")]
    Mechanism(String),
    /// The peer refused.
    #[error("the peer refused: {0}")]
    Refused(String),
    /// A frame or a command makes no sense.
    #[error("the peer sent {0}")]
    Malformed(&'static str),
}

/// One connection of a DEALER socket, from its greeting on.
#[derive(Debug)]
pub(super) struct Dealer {
    identity: Vec<u8>,
    stage: Stage,
    received: Vec<u8>,
    /// The frames of a message whose last has not come.
    parts: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Handshake,
    Open,
}

impl Dealer {
    /// A socket that its peer, a ROUTER, is to know by `identity`: 1 to 255 octets.
    pub(super) fn new(identity: impl Into<Vec<u8>>) -> Self {
        Self { identity: identity.into(), stage: Stage::Greeting, received: Vec::new(), parts: Vec::new() }
    }

    /// What is sent first.
    pub(super) fn greeting() -> [u8; GREETING] {
        let mut greeting = [0; GREETING];
        greeting[0] = SIGNATURE.0;
        // The octets between are the length of a message of version 1: 1, the flags, as libzmq writes it.
        greeting[8] = 1;
        greeting[9] = SIGNATURE.1;
        greeting[10] = 3;
        greeting[12..12 + NULL.len()].copy_from_slice(NULL);
        greeting
    }

    /// Whether messages may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Appends a message of one frame to `out`.
    pub(super) fn frame(message: &[u8], out: &mut Vec<u8>) {
        push_frame(0, message, out);
    }

    /// Takes in received bytes; returns the messages that they complete, and appends to `out` what is to be answered.
    ///
    /// The frames of a message are put together: a master sends messages of one frame.
    ///
    /// # Errors
    /// When the connection can only be closed.
    pub(super) fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Vec<Vec<u8>>, ZmtpError> {
        self.received.extend_from_slice(bytes);
        let mut messages = Vec::new();
        if self.stage == Stage::Greeting && !self.greet(out)? {
            return Ok(messages);
        }
        let mut taken = 0;
        while let Some(Frame { flags, body, end }) = split_frame(&self.received[taken..])? {
            if flags & COMMAND != 0 {
                self.stage = command(self.stage, body, out)?;
            } else if self.stage != Stage::Open {
                return Err(ZmtpError::Malformed("a message before its READY command"));
            } else {
                self.parts.extend_from_slice(body);
                if flags & MORE == 0 {
                    messages.push(std::mem::take(&mut self.parts));
                } else if self.parts.len() as u64 > LONGEST_FRAME {
                    return Err(ZmtpError::Malformed("a message without an end"));
                }
            }
            taken += end;
        }
        self.received.drain(..taken);
        Ok(messages)
    }

    /// Looks at the peer's greeting, as far as it has come; says whether it is whole.
    fn greet(&mut self, out: &mut Vec<u8>) -> Result<bool, ZmtpError> {
        let received = &self.received;
        let is = |at: usize, octet: u8| received.get(at).is_none_or(|&other| other == octet);
        if !is(0, SIGNATURE.0) || !is(9, SIGNATURE.1) {
            return Err(ZmtpError::NotZmtp);
        }
        if let Some(&version) = received.get(10).filter(|&&version| version < 3) {
            return Err(ZmtpError::Version(version));
        }
        if received.len() < GREETING {
            return Ok(false);
        }
        let mechanism: Vec<u8> = received[12..32].iter().copied().take_while(|&octet| octet != 0).collect();
        if mechanism != NULL {
            return Err(ZmtpError::Mechanism(String::from_utf8_lossy(&mechanism).into_owned()));
        }
        self.received.drain(..GREETING);
        self.stage = Stage::Handshake;
        let mut ready = b"\x05READY".to_vec();
        for (name, value) in [("Socket-Type", b"DEALER".as_slice()), ("Identity", &self.identity)] {
            ready.push(name.len() as u8);
            ready.extend_from_slice(name.as_bytes());
            ready.extend_from_slice(&(value.len() as u32).to_be_bytes());
            ready.extend_from_slice(value);
        }
        push_frame(COMMAND, &ready, out);
        Ok(true)
    }
}

/// Answers a command, and says which stage follows it.
fn command(stage: Stage, body: &[u8], out: &mut Vec<u8>) -> Result<Stage, ZmtpError> {
    let (&length, rest) = body.split_first().ok_or(ZmtpError::Malformed("a command without a name"))?;
    let (name, data) = rest
        .split_at_checked(usize::from(length))
        .ok_or(ZmtpError::Malformed("a command with half a name"))?;
    match name {
        b"READY" => Ok(Stage::Open),
        b"ERROR" => {
            let reason = data.get(1..).unwrap_or_default();
            Err(ZmtpError::Refused(String::from_utf8_lossy(reason).into_owned()))
        }
        b"PING" => {
            // A time to live of two octets, then what the answer is to repeat.
            let context = data.get(2..).unwrap_or_default();
            push_frame(COMMAND, &[b"\x04PONG", context].concat(), out);
            Ok(stage)
        }
        _ => Ok(stage),
    }
}

fn push_frame(flags: u8, body: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(body.len()) {
        Ok(length) => out.extend_from_slice(&[flags, length]),
        Err(_) => {
            out.push(flags | LONG);
            out.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(body);
}

/// A frame, and where the next one begins.
struct Frame<'a> {
    flags: u8,
    body: &'a [u8],
    end: usize,
}

/// The first frame; `None` where it is not whole.
fn split_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, ZmtpError> {
    let Some(&flags) = bytes.first() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(ZmtpError::Malformed("a frame with unknown flags"));
    }
    let (length, start) = if flags & LONG == 0 {
        let Some(&length) = bytes.get(1) else { return Ok(None) };
        (u64::from(length), 2)
    } else {
        let Some(length) = bytes.get(1..9).and_then(|octets| octets.try_into().ok()) else { return Ok(None) };
        (u64::from_be_bytes(length), 9)
    };
    if length > LONGEST_FRAME {
        return Err(ZmtpError::Malformed("a frame that is too long"));
    }
    let end = start + length as usize;
    Ok(bytes.get(start..end).map(|body| Frame { flags, body, end }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a ROUTER sends: its greeting, READY, and these messages.
    fn router(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Dealer::greeting().to_vec();
        push_frame(COMMAND, b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER", &mut bytes);
        messages.iter().for_each(|message| Dealer::frame(message, &mut bytes));
        bytes
    }

    #[test]
    fn a_ping_is_answered_and_frames_of_one_message_are_put_together() {
        let mut dealer = Dealer::new("me");
        let mut out = Vec::new();
        dealer.receive(&router(&[]), &mut out).unwrap();
        assert!(dealer.is_open());
        assert_eq!(&out[..8], b"\x04\x2b\x05READY");
        assert!(out.ends_with(b"\x08Identity\x00\x00\x00\x02me"), "{out:?}");
        out.clear();
        let messages = dealer.receive(b"\x04\x0a\x04PING\x00\x00abc\x01\x02ab\x00\x01c", &mut out).unwrap();
        assert_eq!(messages, [b"abc"]);
        assert_eq!(out, b"\x04\x08\x04PONGabc");
    }

    #[test]
    fn what_is_not_zmtp_is_told_apart() {
        let receive = |bytes: &[u8]| Dealer::new("me").receive(bytes, &mut Vec::new()).unwrap_err();
        assert_eq!(receive(b"HTTP/1.1 400 Bad Request\r\n"), ZmtpError::NotZmtp);
        let mut old = Dealer::greeting();
        old[10] = 1;
        assert_eq!(receive(&old[..11]), ZmtpError::Version(1));
        let mut curve = Dealer::greeting();
        curve[12..17].copy_from_slice(b"CURVE");
        assert_eq!(receive(&curve), ZmtpError::Mechanism("CURVE".to_owned()));
        let mut refused = Dealer::greeting().to_vec();
        push_frame(COMMAND, b"\x05ERROR\x02no", &mut refused);
        assert_eq!(receive(&refused), ZmtpError::Refused("no".to_owned()));
        let mut early = Dealer::greeting().to_vec();
        Dealer::frame(b"x", &mut early);
        assert!(matches!(receive(&early), ZmtpError::Malformed(_)));
        let mut endless = router(&[]);
        endless.extend_from_slice(&[LONG, 0xFF, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(receive(&endless), ZmtpError::Malformed("a frame that is too long"));
    }

    proptest! {
        #[test]
        fn messages_come_whole_however_their_bytes_are_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
            cuts in prop::collection::vec(1_usize..90, 1..200),
        ) {
            let bytes = router(&messages);
            let mut dealer = Dealer::new("me");
            let (mut out, mut seen, mut rest) = (Vec::new(), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (piece, next) = rest.split_at((*cut).min(rest.len()));
                seen.extend(dealer.receive(piece, &mut out).unwrap());
                rest = next;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(seen, messages);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut dealer = Dealer::new("me");
            let _ = dealer.receive(&router(&[]), &mut Vec::new());
            let _ = dealer.receive(&bytes, &mut Vec::new());
            let _ = Dealer::new("me").receive(&bytes, &mut Vec::new());
        }
    }
}
