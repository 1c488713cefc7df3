//! A client's connection through the codec: answers to one request after the other, however they arrive, give the same
//! events and the same end. Two bits of the number choose the method of each request.

use covet_http::h1::response::ResponseFraming;
use covet_http::h1::{Limits, ReceivedHead, ResponseDecoder, ResponseError, ResponseEvent};
use covet_http::{HeaderMap, Method};

use crate::{Signature, signature, splits};

const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::CONNECT];
/// Exchanges that are looked at.
const MOST: u16 = 8;

pub(crate) fn limits() -> Limits {
    Limits {
        head: 1000,
        fields: 20,
        chunk_line: 64,
        chunk_extensions: 128,
        trailers: 128,
        ..Limits::default()
    }
}

/// What a client is told of one answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) interim: Vec<ReceivedHead>,
    pub(crate) head: Option<ReceivedHead>,
    pub(crate) content: Vec<u8>,
    /// The end, with the trailers, or what is wrong; `None` while more is needed.
    pub(crate) end: Option<Result<Option<HeaderMap>, ResponseError>>,
}

impl Seen {
    /// Takes the next bytes in, up to the end of the answer. Returns how many are used up.
    pub(crate) fn feed(&mut self, decoder: &mut ResponseDecoder, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.end.is_none() {
            let begins = decoder.has_begun();
            let (count, event) = match decoder.feed(&bytes[used..]) {
                Ok(told) => told,
                Err(error) => {
                    assert_eq!(decoder.feed(b"HTTP/1.1 200 OK\r\n\r\n").err(), Some(error), "it is final");
                    self.end = Some(Err(error));
                    break;
                }
            };
            assert!(decoder.has_begun() == (begins || used < bytes.len()));
            match event {
                ResponseEvent::NeedMore => {
                    assert!(count > 0 || used == bytes.len(), "it takes what it is given");
                    used += count;
                    if used == bytes.len() {
                        break;
                    }
                    continue;
                }
                ResponseEvent::Interim(head) => self.interim.push(head),
                ResponseEvent::Head(head) => {
                    assert_eq!(self.head.replace(head), None, "an answer has one head");
                }
                ResponseEvent::Data(range) => {
                    assert!(!range.is_empty() && range.end <= count);
                    self.content.extend_from_slice(&bytes[used..][range]);
                }
                ResponseEvent::End(trailers) => self.end = Some(Ok(trailers)),
            }
            used += count;
        }
        self.check();
        used
    }

    /// Says that nothing more comes.
    pub(crate) fn finish(&mut self, decoder: &mut ResponseDecoder) {
        if self.end.is_none() {
            self.end = Some(decoder.finish().map(|()| None));
        }
        self.check();
    }

    /// Whether the connection may carry another request.
    pub(crate) fn keeps_alive(&self) -> bool {
        matches!(self.end, Some(Ok(_))) && self.head.as_ref().is_some_and(|head| head.keep_alive)
    }

    fn check(&self) {
        assert!(self.interim.len() <= 32);
        assert!(self.interim.iter().all(|head| (100..200).contains(&head.status) && head.status != 101));
        let Some(head) = &self.head else {
            assert!(self.content.is_empty() && !matches!(self.end, Some(Ok(_))));
            return;
        };
        assert!((200..1000).contains(&head.status) && head.fields.len() <= limits().fields);
        let is_whole = matches!(self.end, Some(Ok(_)));
        match head.framing {
            ResponseFraming::None => assert!(self.content.is_empty()),
            ResponseFraming::Length(length) => {
                assert!(self.content.len() as u64 <= length);
                assert!(!is_whole || self.content.len() as u64 == length);
            }
            ResponseFraming::Chunked => {}
            ResponseFraming::UntilClose => assert!(!head.keep_alive),
        }
    }
}

/// What a client is told of its connection, and what is left of the bytes when it is over.
fn converse(pieces: &[&[u8]], methods: u16) -> (Vec<Seen>, usize) {
    let method = |number: u16| METHODS[usize::from(methods >> (2 * number)) % METHODS.len()].clone();
    let mut decoder = ResponseDecoder::new(method(0), &limits());
    let mut seen = vec![Seen::default()];
    let (mut left, mut is_over) = (0, false);
    for piece in pieces {
        let mut rest = *piece;
        while !is_over && !rest.is_empty() {
            let Some(last) = seen.last_mut() else { break };
            rest = &rest[last.feed(&mut decoder, rest)..];
            if last.end.is_none() {
                continue;
            }
            is_over = !last.keeps_alive() || seen.len() == usize::from(MOST);
            if !is_over {
                decoder = ResponseDecoder::new(method(seen.len() as u16), &limits());
                seen.push(Seen::default());
            }
        }
        left += rest.len();
    }
    if let Some(last) = seen.last_mut() {
        last.finish(&mut decoder);
    }
    (seen, left)
}

pub fn check(input: &[u8]) -> Signature {
    let (methods, bytes) = splits::parts(input);
    let (whole, left) = converse(&[bytes], methods);
    for pieces in [splits::pieces(input), splits::halves(input).to_vec()] {
        let (mut cut, cut_left) = converse(&pieces, methods);
        let mut whole = whole.clone();
        if let (Some(whole), Some(cut)) = (whole.last_mut(), cut.last_mut())
            && matches!(whole.end, Some(Err(_)))
        {
            // What is found wrong ends the decoding at once, and content before it may have come or not.
            whole.content.clear();
            cut.content.clear();
        } else {
            assert_eq!(left, cut_left);
        }
        assert_eq!(whole, cut);
    }
    signature(format!(
        "{:?}",
        whole
            .iter()
            .map(|seen| {
                let head = seen.head.as_ref().map(|head| (head.status / 100, head.framing, head.keep_alive));
                (
                    seen.interim.len().min(2),
                    head,
                    seen.end.as_ref().map(|end| end.as_ref().map(Option::is_some)),
                )
            })
            .collect::<Vec<_>>()
    ))
}
