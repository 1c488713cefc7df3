//! A whole connection through the codec: pipelined requests with their content, however they arrive in pieces, must
//! give the same events as all at once.

use covet_http::h1::{
    ChunkError, ChunkEvent, ChunkedDecoder, Decoded, Framing, Head, HeadError, Limits, decode_request,
};
use covet_http::{HeaderMap, Version};

use crate::{Signature, signature, splits};

/// A request as the application would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: Version,
    /// In the order received, names in the case received.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Whole(Vec<u8>, Option<HeaderMap>),
    /// The bytes ended before it did.
    Incomplete(Vec<u8>),
    Malformed(ChunkError),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Between two requests.
    Clean,
    /// Within a head.
    Partial,
    /// A head was refused.
    Refused(HeadError),
    /// Behind a request that asked for it.
    Closed,
    /// Within content, or because that is malformed.
    Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Seen>,
    pub(crate) ending: Ending,
    /// What was not decoded: at a refusal, the head that was refused, and all behind it.
    pub(crate) rest: Vec<u8>,
}

/// Decodes what a client sends in these pieces before it finishes sending.
pub(crate) fn converse(pieces: &[&[u8]], limits: &Limits) -> Outcome {
    let mut machine = Machine { head: Head::new(), content: None, requests: Vec::new(), limits };
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Some(ending) = machine.feed(&mut input) {
            return Outcome { requests: machine.requests, ending, rest: input };
        }
    }
    let ending = match machine.content {
        Some(_) => Ending::Content,
        None if input.iter().all(|byte| b"\r\n".contains(byte)) => Ending::Clean,
        None => Ending::Partial,
    };
    Outcome { requests: machine.requests, ending, rest: input }
}

struct Machine<'a> {
    head: Head,
    content: Option<Decoder>,
    requests: Vec<Seen>,
    limits: &'a Limits,
}

enum Decoder {
    Length(u64),
    Chunked(ChunkedDecoder),
}

impl Machine<'_> {
    /// Takes what it can out of the input, until more is needed or the connection is at its end.
    fn feed(&mut self, input: &mut Vec<u8>) -> Option<Ending> {
        loop {
            match &mut self.content {
                Some(Decoder::Length(left)) => {
                    let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                    *left -= count as u64;
                    let done = *left == 0;
                    let data: Vec<u8> = input.drain(..count).collect();
                    self.push(&data);
                    if !done {
                        return None;
                    }
                    if let Some(ending) = self.finish(None) {
                        return Some(ending);
                    }
                }
                Some(Decoder::Chunked(decoder)) => match decoder.feed(input) {
                    Ok(ChunkEvent::Data(range)) => {
                        let data: Vec<u8> = input.drain(..range.end).skip(range.start).collect();
                        self.push(&data);
                    }
                    Ok(ChunkEvent::NeedMore) => {
                        input.clear();
                        return None;
                    }
                    Ok(ChunkEvent::Done(end)) => {
                        input.drain(..end);
                        let trailers = decoder.take_trailers();
                        if let Some(ending) = self.finish(trailers) {
                            return Some(ending);
                        }
                    }
                    Err(error) => {
                        if let Some(request) = self.requests.last_mut() {
                            request.content = Content::Malformed(error);
                        }
                        return Some(Ending::Content);
                    }
                },
                None => match decode_request(input, &mut self.head, self.limits) {
                    Ok(Decoded::Partial) => return None,
                    Err(error) => return Some(Ending::Refused(error)),
                    Ok(Decoded::Complete { consumed }) => {
                        input.drain(..consumed);
                        if let Some(ending) = self.begin() {
                            return Some(ending);
                        }
                    }
                },
            }
        }
    }

    /// Notes the request that was decoded.
    fn begin(&mut self) -> Option<Ending> {
        let head = &self.head;
        assert!(!head.path().is_empty());
        assert_eq!(head.headers().len(), head.fields().count());
        self.requests.push(Seen {
            method: head.method().to_string(),
            target: head.target().to_owned(),
            version: head.version(),
            fields: head.fields().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            content: Content::Incomplete(Vec::new()),
        });
        match head.framing() {
            Framing::None | Framing::Length(0) => return self.finish(None),
            Framing::Length(length) => self.content = Some(Decoder::Length(length)),
            Framing::Chunked => self.content = Some(Decoder::Chunked(ChunkedDecoder::new(self.limits))),
        }
        None
    }

    fn push(&mut self, data: &[u8]) {
        if let Some(Seen { content: Content::Incomplete(content), .. }) = self.requests.last_mut() {
            content.extend_from_slice(data);
        }
    }

    /// Ends the request's content. The connection ends with it if the head said so.
    fn finish(&mut self, trailers: Option<HeaderMap>) -> Option<Ending> {
        self.content = None;
        if let Some(request) = self.requests.last_mut()
            && let Content::Incomplete(content) = &mut request.content
        {
            request.content = Content::Whole(std::mem::take(content), trailers);
        }
        (!self.head.keep_alive()).then_some(Ending::Closed)
    }
}

pub fn check(input: &[u8]) -> Signature {
    let (_, bytes) = splits::parts(input);
    let limits = Limits {
        request_line: 200,
        head: 2000,
        fields: 20,
        chunk_line: 64,
        chunk_extensions: 128,
        trailers: 128,
        trailer_fields: 4,
        ..Limits::default()
    };
    let whole = converse(&[bytes], &limits);
    let forgetful = Limits { memo: false, ..limits.clone() };
    assert_eq!(converse(&[bytes], &forgetful), whole, "the memo changes nothing");
    same(&whole, &converse(&splits::pieces(input), &limits));
    same(&whole, &converse(&splits::halves(input), &limits));
    signature((
        whole.requests.len(),
        format!("{:?}", whole.ending),
        whole.requests.last().map(|request| match &request.content {
            Content::Whole(content, trailers) => (1, content.len().min(9), trailers.is_some()),
            Content::Incomplete(content) => (2, content.len().min(9), false),
            Content::Malformed(_) => (3, 0, false),
        }),
    ))
}

/// Of several faults in a head another may be found first when it trickles in, and some show only at its end.
fn same(whole: &Outcome, pieces: &Outcome) {
    assert_eq!(whole.requests, pieces.requests);
    let at_fault = |ending| matches!(ending, Ending::Refused(_) | Ending::Partial);
    if at_fault(whole.ending) {
        assert!(at_fault(pieces.ending), "{:?} and {:?}", whole.ending, pieces.ending);
    } else {
        assert_eq!(whole.ending, pieces.ending);
    }
}
