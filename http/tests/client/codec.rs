//! The codec by itself: however bytes are cut, the events are the same; what is encoded is decoded to the same.

use covet_http::h1::{
    Decoded, Framing, Head, Limits, RequestFraming, RequestHead, ResponseDecoder, ResponseError,
    ResponseEvent, decode_request,
};
use covet_http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

/// Everything that a decoder told, with the content joined.
#[derive(Debug, PartialEq)]
struct Told {
    events: Vec<String>,
    content: Vec<u8>,
    unread: usize,
    outcome: Result<(), ResponseError>,
}

fn decode(method: &Method, bytes: &[u8], cuts: &[usize]) -> Told {
    let limits = Limits { head: 400, fields: 5, ..Limits::default() };
    let mut decoder = ResponseDecoder::new(method.clone(), &limits);
    let mut told = Told { events: Vec::new(), content: Vec::new(), unread: 0, outcome: Ok(()) };
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    for pair in cuts.windows(2) {
        let mut piece = &bytes[pair[0]..pair[1]];
        loop {
            match decoder.feed(piece) {
                Ok((used, event)) => {
                    match event {
                        ResponseEvent::Data(range) => told.content.extend_from_slice(&piece[range]),
                        ResponseEvent::NeedMore => {
                            piece = &piece[used..];
                            if piece.is_empty() {
                                break;
                            }
                            continue;
                        }
                        ResponseEvent::End(_)
                            if told.events.last().is_some_and(|last| last.starts_with("End")) =>
                        {
                            told.unread += piece.len();
                            break;
                        }
                        event => told.events.push(format!("{event:?}")),
                    }
                    piece = &piece[used..];
                }
                Err(error) => {
                    told.outcome = Err(error);
                    return told;
                }
            }
        }
    }
    told.outcome = decoder.finish();
    told
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.1 204 \r\n"),
        Just("HTTP/1.1 103 Hints\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.0 200 OK\r\n"),
        Just("HTTP/1.1 20 OK\r\n"),
        Just("XTTP/1.1 200 OK\r\n"),
    ];
    let field = prop_oneof![
        Just("content-length: 5\r\n".to_owned()),
        Just("transfer-encoding: chunked\r\n".to_owned()),
        Just("connection: close\r\n".to_owned()),
        Just("folded: a\r\n b\r\n".to_owned()),
        Just("bad name: x\r\n".to_owned()),
        Just("bare: x\n".to_owned()),
        "[a-z]{1,9}: [ -~]{0,30}\r\n",
        (100..300_usize).prop_map(|count| format!("long: {}\r\n", "x".repeat(count))),
    ];
    let body = prop_oneof![
        Just("hello".to_owned()),
        Just("5\r\nhello\r\n0\r\n\r\n".to_owned()),
        Just("3;x\r\nabc\r\n2\r\nde\r\n0\r\nt: u\r\n\r\nmore".to_owned()),
        "[ -~\r\n]{0,40}",
    ];
    (line, prop::collection::vec(field, 0..7), body)
        .prop_map(|(line, fields, body)| format!("{line}{}\r\n{body}", fields.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_cut_gives_the_same_events(
        bytes in response(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        cut_off in any::<prop::sample::Index>(),
        whole in any::<bool>(),
        head in any::<bool>(),
    ) {
        let method = if head { Method::HEAD } else { Method::GET };
        let bytes = if whole { &bytes[..] } else { &bytes[..cut_off.index(bytes.len() + 1)] };
        let every: Vec<usize> = (0..=bytes.len()).collect();
        let at_once = decode(&method, bytes, &[]);
        for cuts in [&cuts[..], &every[..]] {
            let told = decode(&method, bytes, cuts);
            prop_assert_eq!(&told.events, &at_once.events);
            prop_assert_eq!(&told.outcome, &at_once.outcome);
            // What is found wrong ends the decoding at once, and content before it may have come or not.
            if at_once.outcome.is_ok() {
                prop_assert_eq!(&told, &at_once);
            }
        }
    }

    #[test]
    fn a_server_reads_what_was_meant_and_nothing_else(
        method in "[A-Z]{1,8}",
        target in "/[!-\"$-~]{0,30}",
        names in prop::collection::vec("[a-zA-Z-]{1,12}|Content-Length|Transfer-Encoding|Host|Connection|TE", 0..8),
        values in prop::collection::vec("[ -~\t\u{e9}]{0,20}|chunked|5|a, close|trailers", 8),
        length in 1..9_u64,
        chunked in any::<bool>(),
    ) {
        prop_assume!(!matches!(method.as_str(), "CONNECT" | "TRACE"));
        let mut fields = HeaderMap::new();
        for (name, value) in names.iter().zip(&values) {
            let value = HeaderValue::from_bytes(value.trim().as_bytes()).unwrap();
            fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let framing = if chunked { RequestFraming::Chunked } else { RequestFraming::Length(length) };
        let request = RequestHead {
            method: &method, target: &target, host: "h:1", fields: &fields, framing, expects_continue: false, close: false,
        };
        let mut bytes = Vec::new();
        request.encode(&mut bytes).unwrap();
        let total = bytes.len();
        bytes.extend_from_slice(b"hello");
        let mut head = Head::default();
        let decoded = decode_request(&bytes, &mut head, &Limits::default()).unwrap();
        prop_assert_eq!(decoded, Decoded::Complete { consumed: total });
        prop_assert_eq!((head.method(), head.target()), (&method, target.as_str()));
        let expected = if chunked { Framing::Chunked } else { Framing::Length(length) };
        prop_assert_eq!(head.framing(), expected);
        prop_assert_eq!(head.keep_alive(), !request.closes());
        prop_assert_eq!(head.headers().get_all("host").iter().count(), 1);
        for (name, value) in &fields {
            let derived = ["host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"];
            if !derived.contains(&name.as_str()) && !matches!(name.as_str(), "keep-alive" | "proxy-connection") {
                prop_assert!(head.headers().get_all(name).iter().any(|found| found == value));
            }
        }
    }
}
