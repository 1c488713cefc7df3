//! Answers that come before the kernel says that the request is sent.

use std::collections::VecDeque;

use covet_runtime::block_on;
use covet_runtime::net::UnixStream;
use futures_core::Stream;

use super::*;
use crate::client::Client;

/// Yields what it has, and then waits for ever or ends.
struct Chunks {
    left: VecDeque<&'static [u8]>,
    ends: bool,
}

impl Stream for Chunks {
    type Item = Result<Bytes, crate::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.left.pop_front() {
            Some(chunk) => Poll::Ready(Some(Ok(Bytes::from_static(chunk)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn sized(length: u64, chunks: &[&'static [u8]], ends: bool) -> Body {
    Body::sized_stream(length, Chunks { left: chunks.iter().copied().collect(), ends })
}

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: h\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// One piece, and more than the socket has room for.
const BODY: &[u8] = &[b'x'; 100_000];

/// Two ends of a connection, of which ours can send next to nothing before the server reads.
fn connection() -> (Transport, UnixStream) {
    let (ours, server) = UnixStream::pair().unwrap();
    ours.options().set_send_buffer(4096).unwrap();
    (Transport::new(ours.into()), server)
}

fn begin(transport: Transport, framing: RequestFraming, body: Body, waits: bool) -> Exchange {
    let mut head = PoolBuf::take();
    head.extend_from_slice(HEAD);
    let outgoing = Outgoing { head, method: Method::POST, framing, body, waits, closes: false };
    Exchange::begin(transport, outgoing, &Client::builder().config, None)
}

/// Reads the answer, which the server gives without having read the request.
async fn answered(server: &UnixStream, exchange: &mut Exchange) {
    // The exchange sends what it can beforehand.
    let mut events = 0;
    poll_fn(|cx| {
        assert!(exchange.poll_event(cx).is_pending());
        events += 1;
        if events == 3 { Poll::Ready(()) } else { (cx.waker().wake_by_ref(), Poll::Pending).1 }
    })
    .await;
    server.write_all(ANSWER).await.0.unwrap();
    assert_eq!(exchange.head().await.unwrap().status, 200);
    loop {
        match poll_fn(|cx| exchange.poll_event(cx)).await.unwrap() {
            Event::Data(bytes) => assert_eq!(bytes, "ok"),
            Event::End(_) => return,
            Event::Head(_) => panic!("a second head"),
        }
    }
}

async fn read(server: &UnixStream, mut count: usize) {
    while count > 0 {
        let bytes = server.recv().await.unwrap();
        assert!(!bytes.is_empty(), "{count} bytes are missing");
        count = count.checked_sub(bytes.len()).expect("no more than was sent");
    }
}

#[test]
fn a_connection_is_kept_when_the_answer_overtakes_the_last_piece() {
    let length = RequestFraming::Length(BODY.len() as u64);
    let bodies: [fn() -> Body; 3] = [
        || Body::from(Bytes::from_static(BODY)),
        || sized(BODY.len() as u64, &[BODY], true),
        || sized(BODY.len() as u64, &[BODY], false),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        block_on(async {
            let (transport, server) = connection();
            let mut exchange = begin(transport, length, body(), false);
            answered(&server, &mut exchange).await;
            assert!(!exchange.is_sent(), "body {number}: the last piece is still on its way");
            let mut transport = exchange.into_transport().expect("all was handed over");
            assert!(!transport.is_quiet(), "body {number}: no request can be sent yet");

            read(&server, HEAD.len() + BODY.len()).await;
            while !transport.is_quiet() {
                covet_runtime::yield_now().await;
            }
            let mut exchange = begin(transport, RequestFraming::None, Body::empty(), false);
            answered(&server, &mut exchange).await;
            assert!(exchange.into_transport().is_some());
            read(&server, HEAD.len()).await;
        })
        .unwrap();
    }
}

/// What is to come, and the request: its framing, its body, and whether it waits for a 100 response.
type Case = (&'static str, RequestFraming, fn() -> Body, bool);

#[test]
fn a_connection_is_not_kept_when_more_of_the_request_is_to_come() {
    static TWO_PIECES: [u8; PIECE + 1] = [b'x'; PIECE + 1];
    let cases: [Case; 5] = [
        (
            "a second piece",
            RequestFraming::Length(TWO_PIECES.len() as u64),
            || Bytes::from_static(&TWO_PIECES).into(),
            false,
        ),
        (
            "a chunk that is missing",
            RequestFraming::Length(200_000),
            || sized(200_000, &[BODY], false),
            false,
        ),
        (
            "a chunk that waits",
            RequestFraming::Length(200_000),
            || sized(200_000, &[BODY, BODY], true),
            false,
        ),
        (
            "the last chunk",
            RequestFraming::Chunked,
            || Body::stream(Chunks { left: [BODY].into(), ends: true }),
            false,
        ),
        (
            "a body that waits for 100",
            RequestFraming::Length(BODY.len() as u64),
            || Bytes::from_static(BODY).into(),
            true,
        ),
    ];
    for (what, framing, body, waits) in cases {
        block_on(async {
            let (transport, server) = connection();
            let mut exchange = begin(transport, framing, body(), waits);
            answered(&server, &mut exchange).await;
            assert!(exchange.into_transport().is_none(), "{what}");
        })
        .unwrap();
    }
}

#[test]
fn a_stream_that_yields_too_much_is_told_before_its_last_piece_is_sent() {
    block_on(async {
        let (transport, server) = connection();
        let length = BODY.len() as u64;
        let mut exchange =
            begin(transport, RequestFraming::Length(length), sized(length, &[BODY, b"!"], true), false);
        server.write_all(ANSWER).await.0.unwrap();
        let failed = exchange.head().await;
        let expected = crate::BodyError::LengthMismatch { declared: length, excess: true };
        assert!(matches!(&failed, Err(Cause::Body(told)) if told.to_string() == expected.to_string()));
        assert!(exchange.into_transport().is_none());
    })
    .unwrap();
}
