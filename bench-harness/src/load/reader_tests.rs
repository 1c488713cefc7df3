use super::*;
use proptest::prelude::*;

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n";
const EMPTY: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx";

/// Reads pieces with one reader and memo, and returns the answers, and the one that the close completes.
fn read_all<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<Answer>, Option<Answer>), ReadError> {
    let (mut reader, mut memo) = (ResponseReader::default(), HeadMemo::default());
    let mut answers = Vec::new();
    for piece in pieces {
        reader.read(piece, &mut memo, &Method::GET, |answer| {
            answers.push(answer);
            Ok(())
        })?;
    }
    let last = reader.finish();
    Ok((answers, last))
}

fn answer(status: u16, body: u64) -> Answer {
    Answer { status, body, mark: 0, keep_alive: true }
}

#[test]
fn each_framing_gives_its_answer() {
    assert_eq!(read_all([PLAIN]).unwrap().0, [answer(200, 5)]);
    assert_eq!(read_all([CHUNKED]).unwrap().0, [answer(201, 13)]);
    assert_eq!(read_all([EMPTY]).unwrap().0, [answer(204, 0)]);
    assert_eq!(read_all([INTERIM]).unwrap().0, [answer(404, 1)]);
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let (answers, last) = read_all([&b"HTTP/1.1 200 OK\r\n\r\nsome"[..], b" bytes"]).unwrap();
    assert!(answers.is_empty());
    assert_eq!(last, Some(Answer { status: 200, body: 10, mark: 0, keep_alive: false }));
}

#[test]
fn a_connection_that_ends_early_completes_nothing() {
    for cut in [5, 20, PLAIN.len() - 1] {
        assert_eq!(read_all([&PLAIN[..cut]]).unwrap(), (vec![], None), "cut at {cut}");
    }
}

#[test]
fn head_responses_have_no_body() {
    let (mut reader, mut memo) = (ResponseReader::default(), HeadMemo::default());
    let mut answers = Vec::new();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".repeat(2);
    reader
        .read(&head, &mut memo, &Method::HEAD, |answer| {
            answers.push(answer);
            Ok(())
        })
        .unwrap();
    assert_eq!(answers, [answer(200, 0), answer(200, 0)]);
}

#[test]
fn what_is_not_a_response_is_an_error() {
    assert!(matches!(read_all([&b"220 smtp ready\r\n"[..]]), Err(ReadError::Head(_))));
    let junk_after = [PLAIN, b"junk"].concat();
    assert!(matches!(read_all([junk_after.as_slice()]), Err(ReadError::Head(_))));
    let bad_chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    assert!(matches!(read_all([&bad_chunk[..]]), Err(ReadError::Chunk(_))));
    let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert!(matches!(read_all([&switch[..]]), Err(ReadError::SwitchedProtocol)));
}

#[test]
fn an_endless_head_is_refused() {
    let line = [b'a'; 1024];
    let pieces = std::iter::once(&b"HTTP/1.1 200 OK\r\nA: "[..]).chain(std::iter::repeat_n(&line[..], 100));
    assert!(matches!(read_all(pieces), Err(ReadError::Head(ResponseHeadError::TooLarge { .. }))));
}

#[test]
fn a_head_that_only_begins_like_the_remembered_one_is_decoded() {
    let longer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!";
    let other = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello";
    let stream = [PLAIN, longer, PLAIN, other, PLAIN].concat();
    let bodies: Vec<u64> =
        read_all([stream.as_slice()]).unwrap().0.iter().map(|answer| answer.body).collect();
    assert_eq!(bodies, [5, 6, 5, 5, 5]);
}

proptest! {
    #[test]
    fn answers_do_not_depend_on_how_the_stream_is_cut(
        order in prop::collection::vec(0_usize..4, 1..12),
        cuts in prop::collection::vec(1_usize..60, 0..40),
    ) {
        let stream: Vec<u8> =
            order.iter().flat_map(|&kind| [PLAIN, CHUNKED, EMPTY, INTERIM][kind].iter().copied()).collect();
        let whole = read_all([stream.as_slice()]).unwrap();
        prop_assert_eq!(whole.0.len(), order.len());

        let mut rest = stream.as_slice();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(read_all(pieces).unwrap(), whole.clone());
        prop_assert_eq!(read_all(stream.chunks(1)).unwrap(), whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        begin in 0_usize..5,
    ) {
        let start: &[u8] = [PLAIN, CHUNKED, EMPTY, &CHUNKED[..60], b""][begin];
        let stream = [start, &bytes].concat();
        // A piece without a line end is not looked at alone, so the cut stream may be refused later, never earlier.
        if read_all(stream.chunks(1)).is_err() {
            prop_assert!(read_all([stream.as_slice()]).is_err());
        }
    }
}
