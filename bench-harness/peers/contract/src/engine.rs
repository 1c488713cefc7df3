//! An HTTP/1.1 server without I/O, for runtimes that bring none: bytes in, answers out.
//!
//! It knows the contract's four routes and what is needed to keep a connection in step; it is as thin as an
//! honest server can be, so what it measures is the runtime beneath it.

use std::time::{Duration, UNIX_EPOCH};

use httparse::{EMPTY_HEADER, Request, Status};
use httpdate::HttpDate;
use rustix::time::{ClockId, clock_gettime};

use crate::{BODY_LIMIT, HELLO, Message, SERVER};

const FIELDS: usize = 64;
const HEAD_LIMIT: usize = 64 * 1024;

/// One connection: received bytes that do not make a whole request yet, and the answers not sent yet.
#[derive(Default)]
pub struct Connection {
    partial: Vec<u8>,
    clock: Clock,
}

impl Connection {
    /// Appends to `out` the answer to every request that `received` completes; `false` ends the connection
    /// once `out` is sent.
    pub fn receive(&mut self, received: &[u8], out: &mut Vec<u8>) -> bool {
        if self.partial.is_empty() {
            let (used, open) = answer_all(received, out, self.clock.date());
            self.partial.extend_from_slice(&received[used..]);
            return open;
        }
        self.partial.extend_from_slice(received);
        let (used, open) = answer_all(&self.partial, out, self.clock.date());
        self.partial.drain(..used);
        open
    }
}

/// The Date field's value, formatted at most once a second.
#[derive(Default)]
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    /// The coarse clock is a tick behind and several times cheaper; once per batch of received bytes is enough.
    fn date(&mut self) -> &str {
        let second = u64::try_from(clock_gettime(ClockId::RealtimeCoarse).tv_sec).unwrap_or_default();
        if self.second != second {
            self.second = second;
            self.text = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)).to_string();
        }
        &self.text
    }
}

struct Head<'b> {
    method: &'b str,
    path: &'b str,
    length: usize,
    body: Framing,
    keep_alive: bool,
}

#[derive(PartialEq)]
enum Framing {
    Length(usize),
    Chunked,
}

enum Parsed<T> {
    Whole(T),
    Partial,
    Refused(&'static str),
}

fn answer_all(input: &[u8], out: &mut Vec<u8>, date: &str) -> (usize, bool) {
    let mut at = 0;
    while at < input.len() {
        match answer_one(&input[at..], out, date) {
            Parsed::Whole((used, true)) => at += used,
            Parsed::Whole((used, false)) => return (at + used, false),
            Parsed::Partial => break,
            Parsed::Refused(status) => {
                write_answer(out, date, status, "text/plain", b"");
                return (input.len(), false);
            }
        }
    }
    (at, true)
}

fn answer_one(input: &[u8], out: &mut Vec<u8>, date: &str) -> Parsed<(usize, bool)> {
    let head = match parse_head(input) {
        Parsed::Whole(head) => head,
        Parsed::Partial => return Parsed::Partial,
        Parsed::Refused(status) => return Parsed::Refused(status),
    };
    let rest = &input[head.length..];
    match head.body {
        Framing::Length(length) if rest.len() < length => Parsed::Partial,
        Framing::Length(length) => {
            route(&head, &rest[..length], out, date);
            Parsed::Whole((head.length + length, head.keep_alive))
        }
        Framing::Chunked => match unchunk(rest) {
            Parsed::Whole((used, body)) => {
                route(&head, &body, out, date);
                Parsed::Whole((head.length + used, head.keep_alive))
            }
            Parsed::Partial => Parsed::Partial,
            Parsed::Refused(status) => Parsed::Refused(status),
        },
    }
}

fn parse_head(input: &[u8]) -> Parsed<Head<'_>> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = Request::new(&mut fields);
    let length = match request.parse(input) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if input.len() > HEAD_LIMIT => {
            return Parsed::Refused("431 Request Header Fields Too Large");
        }
        Ok(Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Refused("400 Bad Request"),
    };
    let mut body = Framing::Length(0);
    let mut keep_alive = request.version == Some(1);
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
            match value {
                Some(value) if value > BODY_LIMIT => return Parsed::Refused("413 Content Too Large"),
                Some(value) if body == Framing::Length(0) => body = Framing::Length(value),
                _ => return Parsed::Refused("400 Bad Request"),
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Parsed::Refused("501 Not Implemented");
            }
            body = Framing::Chunked;
        } else if field.name.eq_ignore_ascii_case("connection") {
            if field.value.eq_ignore_ascii_case(b"close") {
                keep_alive = false;
            } else if field.value.eq_ignore_ascii_case(b"keep-alive") {
                keep_alive = true;
            }
        }
    }
    let method = request.method.unwrap_or_default();
    let path = request.path.unwrap_or_default();
    Parsed::Whole(Head { method, path, length, body, keep_alive })
}

fn unchunk(input: &[u8]) -> Parsed<(usize, Vec<u8>)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&input[at..]) {
            Ok(Status::Complete((line, size))) => (line, usize::try_from(size).unwrap_or(usize::MAX)),
            Ok(Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Refused("400 Bad Request"),
        };
        if size > BODY_LIMIT - body.len() {
            return Parsed::Refused("413 Content Too Large");
        }
        let start = at + line;
        let Some(data) = input.get(start..start + size) else { return Parsed::Partial };
        let Some(end) = input.get(start + size..start + size + 2) else { return Parsed::Partial };
        // A trailer section is not worth parsing here: none of the clients sends one.
        if end != b"\r\n" {
            return Parsed::Refused("400 Bad Request");
        }
        body.extend_from_slice(data);
        at = start + size + 2;
        if size == 0 {
            return Parsed::Whole((at, body));
        }
    }
}

fn route(head: &Head<'_>, body: &[u8], out: &mut Vec<u8>, date: &str) {
    match (head.method, head.path) {
        ("GET", "/plaintext") => write_answer(out, date, "200 OK", "text/plain", HELLO.as_bytes()),
        ("GET", "/json") => match serde_json::to_vec(&Message::hello()) {
            Ok(json) => write_answer(out, date, "200 OK", "application/json", &json),
            Err(_) => write_answer(out, date, "500 Internal Server Error", "text/plain", b""),
        },
        ("POST", "/echo") => write_answer(out, date, "200 OK", "application/octet-stream", body),
        ("GET", path) => match path.strip_prefix("/user/") {
            Some(id) if !id.is_empty() && !id.contains('/') => {
                write_answer(out, date, "200 OK", "text/plain", id.as_bytes());
            }
            _ => write_answer(out, date, "404 Not Found", "text/plain", b""),
        },
        _ => write_answer(out, date, "404 Not Found", "text/plain", b""),
    }
}

fn write_answer(out: &mut Vec<u8>, date: &str, status: &str, content_type: &str, body: &[u8]) {
    let mut digits = [0; 20];
    let parts: [&[u8]; 11] = [
        b"HTTP/1.1 ",
        status.as_bytes(),
        b"\r\nServer: ",
        SERVER.as_bytes(),
        b"\r\nDate: ",
        date.as_bytes(),
        b"\r\nContent-Type: ",
        content_type.as_bytes(),
        b"\r\nContent-Length: ",
        decimal(body.len(), &mut digits),
        b"\r\n\r\n",
    ];
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(body);
}

fn decimal(mut value: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;

    fn answers(pieces: &[&str]) -> (String, bool) {
        let mut connection = Connection::default();
        let mut out = Vec::new();
        let mut open = true;
        for piece in pieces {
            open = connection.receive(piece.as_bytes(), &mut out);
        }
        (String::from_utf8(out).expect("answers are text"), open)
    }

    #[test]
    fn any_split_gives_the_same_answers() {
        let input = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET /user/7 HTTP/1.1\r\n\r\n";
        let (whole, _) = answers(&[input]);
        let bodies = ["\r\n\r\nHello, World!HTTP/1.1 200", "\r\n\r\nbodyHTTP/1.1 200"];
        assert!(bodies.iter().all(|body| whole.contains(body)) && whole.ends_with("\r\n\r\n7"), "{whole}");
        for split in 1..input.len() {
            let (first, second) = input.split_at(split);
            let (pieces, open) = answers(&[first, second]);
            assert_eq!((pieces.len(), open), (whole.len(), true), "split at {split}");
        }
    }

    #[test]
    fn chunked_bodies_come_back_whole() {
        let (out, open) = answers(&[
            "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab",
            "cd\r\n2\r\nef\r\n0\r\n\r\n",
        ]);
        assert!(out.ends_with("Content-Length: 6\r\n\r\nabcdef") && open, "{out}");
    }

    #[test]
    fn garbage_is_refused_and_ends_the_connection() {
        let (out, open) = answers(&["\x01\x02 nothing\r\n\r\n"]);
        assert!(out.starts_with("HTTP/1.1 400 ") && !open, "{out}");
        let (out, open) = answers(&["POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"]);
        assert!(out.starts_with("HTTP/1.1 413 ") && !open, "{out}");
    }
}
