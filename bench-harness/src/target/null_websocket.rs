//! The null responder of WebSocket: it sends back each message, and does nothing else (RFC 6455).
//!
//! The HTTP server makes the handshake, and below it TLS where that is wanted; frames are turned around as they come,
//! however long their messages are.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use covet_http::server::{Config, serve};
use covet_http::{HeaderValue, Request, Response, StatusCode, Upgrade, header, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, spawn};

use super::embedded::Embedded;
use super::listen::{ListenError, Listening};
use super::null_secure::own_certificate;
use crate::load::websocket_accept;

/// The longest head of a client's frame: two bytes, a length of eight and the masking key.
const LONGEST_HEAD: usize = 14;
const MASKED: u8 = 0x80;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Starts it on each core, over TLS with a certificate made on the spot for `localhost` where it is to be `secure`.
///
/// # Errors
/// When the address is taken or not ours, a core does not exist, its ring cannot be made, or no certificate can be made.
pub fn start(listen: SocketAddr, cores: CoreSet, secure: bool) -> Result<Listening, ListenError> {
    let config = config(secure).map_err(ListenError::Sockets)?;
    Listening::start(listen, cores, "null", move |listener| answer(listener, config.clone()))
}

/// Starts it within this process, on each core, on a free port of 127.0.0.1.
///
/// # Errors
/// When a core does not exist or cannot be started, there is no port, or no certificate can be made.
pub fn embed(cores: CoreSet, secure: bool) -> io::Result<Embedded> {
    let config = config(secure)?;
    Embedded::start(cores, "null", move |listener, _core| answer(listener, config.clone()))
}

fn config(secure: bool) -> io::Result<Config> {
    let tls = secure.then(own_certificate).transpose()?;
    Ok(Config { tls, ..Config::default() })
}

fn answer(listener: TcpListener, config: Config) -> impl Future<Output = ()> {
    let service = service_fn(|request| async { switch(request) });
    serve(listener, Rc::new(service), config)
}

/// Agrees to the handshake of section 4.2.2.
fn switch(mut request: Request) -> Response {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let accept = key.and_then(|key| HeaderValue::from_str(&websocket_accept(key)).ok());
    let (Some(accept), Some(upgrade)) = (accept, request.upgrade()) else {
        return Response::with_status(StatusCode::UPGRADE_REQUIRED);
    };
    spawn(async move {
        // A broken connection ends the task, and that is all there is to do about it.
        let _ = turn_around(upgrade).await;
    })
    .detach();
    Response::with_status(StatusCode::SWITCHING_PROTOCOLS)
        .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(header::SEC_WEBSOCKET_ACCEPT, accept)
}

async fn turn_around(upgrade: Upgrade) -> io::Result<()> {
    let stream = upgrade.await.map_err(io::Error::other)?;
    let mut frames = Frames::default();
    while !frames.closed {
        let mut out = Vec::new();
        let mut taken = Ok(());
        let count = poll_fn(|cx| {
            stream.poll_read(cx, |bytes| {
                taken = frames.take(bytes, &mut out);
                bytes.len()
            })
        })
        .await?;
        if count == 0 {
            break;
        }
        if !out.is_empty() {
            stream.send(out).await?;
        }
        taken?;
    }
    stream.end().await
}

/// A client's frames on their way to become a server's.
#[derive(Debug, Default)]
struct Frames {
    /// The beginning of a head that is not whole.
    head: Vec<u8>,
    frame: Option<Frame>,
    /// Whether the client's Close has been answered.
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: u8,
    key: [u8; 4],
    /// Bytes of the payload so far.
    at: u64,
    length: u64,
}

impl Frames {
    /// Takes in the next received piece, and appends what is sent for it.
    fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() && !self.closed {
            let Some(mut frame) = self.frame.take() else {
                // Byte by byte: heads are short, and few are cut.
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                self.begin(out)?;
                continue;
            };
            let here = usize::try_from(frame.length - frame.at).unwrap_or(usize::MAX).min(bytes.len());
            if frame.opcode != PONG {
                let shift = (frame.at % 4) as usize;
                let keys = frame.key.iter().cycle().skip(shift);
                out.extend(bytes[..here].iter().zip(keys).map(|(byte, key)| byte ^ key));
            }
            frame.at += here as u64;
            bytes = &bytes[here..];
            self.go_on(frame);
        }
        Ok(())
    }

    /// Begins the frame whose head has come, if it is whole.
    fn begin(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let refused = || io::Error::new(io::ErrorKind::InvalidData, "not the frame of a client");
        let &[first, second, ref rest @ ..] = &self.head[..] else { return Ok(()) };
        if second & MASKED == 0 || self.head.len() > LONGEST_HEAD {
            return Err(refused());
        }
        let (length, extended) = match second & !MASKED {
            126 => {
                let Some(&octets) = rest.first_chunk() else { return Ok(()) };
                (u64::from(u16::from_be_bytes(octets)), 2)
            }
            127 => {
                let Some(&octets) = rest.first_chunk() else { return Ok(()) };
                (u64::from_be_bytes(octets), 8)
            }
            length => (u64::from(length), 0),
        };
        let Some(&key) = rest[extended..].first_chunk() else { return Ok(()) };
        let opcode = first & 0x0F;
        let answered = if opcode == PING { first & !0x0F | PONG } else { first };
        if opcode != PONG {
            out.extend_from_slice(&[answered, second & !MASKED]);
            out.extend_from_slice(&rest[..extended]);
        }
        self.head.clear();
        self.go_on(Frame { opcode, key, at: 0, length });
        Ok(())
    }

    fn go_on(&mut self, frame: Frame) {
        if frame.at < frame.length {
            self.frame = Some(frame);
        } else {
            self.closed = frame.opcode == CLOSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
        let bit = if masked { MASKED } else { 0 };
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(bit | length as u8),
            length @ 126..=0xFFFF => {
                bytes.push(bit | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(bit | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend_from_slice(&KEY);
            bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    #[test]
    fn the_masked_hello_of_the_rfc_comes_back_unmasked() {
        // Section 5.7.
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let (mut frames, mut out) = (Frames::default(), Vec::new());
        frames.take(&masked, &mut out).unwrap();
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    }

    #[test]
    fn what_no_client_sends_is_refused() {
        let refused = |bytes: &[u8]| Frames::default().take(bytes, &mut Vec::new()).is_err();
        assert!(refused(&frame(0x81, b"Hello", false)));
        assert!(!refused(&frame(0x81, b"Hello", true)));
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(
            sizes in prop::collection::vec(prop_oneof![0_usize..140, Just(65_535), Just(65_536)], 1..6),
            cuts in prop::collection::vec(1_usize..9000, 1..30),
        ) {
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for (index, size) in sizes.into_iter().enumerate() {
                let payload: Vec<u8> = (0..size).map(|at| (at * 7 + index) as u8).collect();
                sent.extend(frame(0x82, &payload, true));
                expected.extend(frame(0x82, &payload, false));
                sent.extend(frame(0x89, b"ping", true));
                expected.extend(frame(0x8A, b"ping", false));
                sent.extend(frame(0x8A, b"nobody asked", true));
            }
            sent.extend(frame(0x88, &[3, 0xE8], true));
            expected.extend(frame(0x88, &[3, 0xE8], false));
            sent.extend(frame(0x81, b"too late", true));
            let (mut frames, mut out, mut rest) = (Frames::default(), Vec::new(), &sent[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                frames.take(piece, &mut out).unwrap();
                rest = after;
                if rest.is_empty() { break; }
            }
            prop_assert!(frames.closed);
            prop_assert!(out == expected);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frames::default().take(&bytes, &mut Vec::new());
        }
    }
}
