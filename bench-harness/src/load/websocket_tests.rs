use super::*;
use crate::load::{LoadPlan, TargetUrl};
use proptest::prelude::*;

fn traffic() -> Traffic {
    let url = TargetUrl::parse("ws://h:81/chat?x").unwrap();
    Traffic::new(&LoadPlan::closed(url, vec![0])).unwrap()
}

/// A connection on which frames may come.
fn open() -> WebSocket {
    let mut out = Vec::new();
    let mut socket = WebSocket::begin(&traffic(), &mut Random::new(1, 1), &mut out);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        socket.accept
    );
    let (first, second) = head.split_at(40);
    assert!(!socket.establish(first.as_bytes()).unwrap());
    assert!(socket.establish(second.as_bytes()).unwrap());
    socket
}

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(length as u8),
        length @ 126..=0xFFFF => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

fn answers(socket: &mut WebSocket, bytes: &[u8]) -> Result<Vec<u64>, ReadError> {
    let mut lengths = Vec::new();
    socket.receive(bytes, &mut (), &traffic(), |place, answer| {
        assert_eq!(place, 0);
        lengths.push(answer.body);
        Ok(())
    })?;
    Ok(lengths)
}

#[test]
fn the_key_of_the_rfc_has_the_accept_of_the_rfc() {
    assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_handshake_asks_for_the_path_and_each_has_a_key_of_its_own() {
    let mut random = Random::new(1, 1);
    let mut handshake = || {
        let mut out = Vec::new();
        WebSocket::begin(&traffic(), &mut random, &mut out);
        String::from_utf8(out).unwrap()
    };
    let first = handshake();
    assert!(first.starts_with("GET /chat?x HTTP/1.1\r\nHost: h:81\r\n"), "{first}");
    assert!(first.contains("\r\nUpgrade: websocket\r\n") && first.ends_with("==\r\n\r\n"), "{first}");
    assert_eq!(first.matches("\r\n\r\n").count(), 1, "{first}");
    assert_ne!(first, handshake());
}

#[test]
fn a_server_that_does_not_agree_is_told_apart() {
    let refused = |head: &str| agreed(head, "abc=").unwrap_err().to_string();
    assert!(refused("HTTP/1.1 404 Not Found\r\n\r\n").contains("404 Not Found"));
    assert!(
        refused("HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
            .contains("without an upgrade")
    );
    let agreeing = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    assert!(refused(&format!("{agreeing}ABC=\r\n\r\n")).contains("Sec-WebSocket-Accept"));
    let extended = format!("{agreeing}abc=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    assert!(refused(&extended).contains("extension"));
    agreed(&format!("{agreeing}abc=\r\n\r\n"), "abc=").unwrap();
}

#[test]
fn messages_are_masked_with_keys_of_their_own() {
    let mut random = Random::new(1, 1);
    let mut framed = |payload: &[u8]| {
        let mut out = b"before".to_vec();
        out.extend_from_slice(payload);
        WebSocket::frame(&mut out, 6, &mut random);
        assert_eq!(&out[..6], b"before");
        out.split_off(6)
    };
    let (first, second) = (framed(b"Hello"), framed(b"Hello"));
    assert_eq!((first[0], first[1], first.len()), (0x81, 0x85, 11));
    assert_ne!(first[2..6], second[2..6]);
    let plain: Vec<u8> =
        first[6..].iter().zip(first[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(plain, b"Hello");
    assert_eq!(framed(&[0xFF])[0], 0x82, "not text");
    assert_eq!(framed(&[b'x'; 126])[1..4], [0xFE, 0, 126]);
    assert_eq!(framed(&vec![b'x'; 0x1_0000])[1..10], [0xFF, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn a_ping_within_a_message_is_answered_and_counts_for_nothing() {
    let mut socket = open();
    let bytes = [frame(0x01, b"ab"), frame(0x89, b"hi"), frame(0x80, b"cde"), frame(0x82, b"")].concat();
    assert_eq!(answers(&mut socket, &bytes).unwrap(), [5, 0]);
    assert!(socket.owes_reply() && !socket.is_inside());
    let reply = socket.reply();
    assert_eq!((reply[0], reply[1], reply.len()), (0x8A, 0x82, 8));
    assert!(!socket.owes_reply());
}

#[test]
fn what_is_no_frame_of_a_server_ends_the_connection() {
    for (bytes, what) in [
        (frame(0x80, b"x"), "no beginning"),
        ([frame(0x01, b"x"), frame(0x81, b"x")].concat(), "within another"),
        (frame(0xC1, b"x"), "unknown kind"),
        (frame(0x83, b"x"), "unknown kind"),
        (vec![0x81, 0x81, 0, 0, 0, 0, 0], "masked"),
        (frame(0x09, b"x"), "in pieces"),
        (frame(0x89, &[0; 126]), "too long"),
        (vec![0x81, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0], "impossible"),
    ] {
        let error = answers(&mut open(), &bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{error}: {what}");
    }
    assert_eq!(answers(&mut open(), &frame(0x88, &[3, 0xE8])).unwrap_err(), ReadError::Closed);
}

#[test]
fn an_echo_has_the_mark_of_what_was_sent_and_nothing_else_has() {
    let mark_of = |bytes: &[u8]| {
        let mut marks = Vec::new();
        open()
            .receive(bytes, &mut (), &traffic(), |_, answer| {
                marks.push(answer.mark);
                Ok(())
            })
            .unwrap();
        marks[0]
    };
    let sent = WebSocket::frame(&mut b"Hello".to_vec(), 0, &mut Random::new(1, 1));
    assert_eq!(mark_of(&frame(0x81, b"Hello")), sent);
    assert_eq!(mark_of(&[frame(0x01, b"He"), frame(0x80, b"llo")].concat()), sent);
    assert_ne!(mark_of(&frame(0x81, b"hello")), sent);
    assert_ne!(mark_of(&frame(0x82, b"Hello")), sent, "text came back as binary");
    assert_ne!(mark_of(&frame(0x81, b"Hell")), sent);
}

#[test]
fn a_farewell_is_said_once_and_waits_for_the_peers() {
    // This side begins: what was under way may still come.
    let mut socket = open();
    let said = socket.farewell();
    assert_eq!((said[0], said[1], said.len()), (0x88, 0x82, 8));
    let code: Vec<u8> = said[6..].iter().zip(&said[2..6]).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(code, [0x03, 0xE8]);
    assert!(!socket.part(&frame(0x81, b"late")));
    assert!(socket.part(&frame(0x88, &code)));
    assert!(socket.farewell().is_empty());
    // The peer begins: its code goes back.
    let mut socket = open();
    assert_eq!(answers(&mut socket, &frame(0x88, b"\x03\xE9going away")).unwrap_err(), ReadError::Closed);
    let said = socket.farewell();
    let code: Vec<u8> = said[6..].iter().zip(&said[2..6]).map(|(byte, key)| byte ^ key).collect();
    assert_eq!((said[0], said[1], &code[..]), (0x88, 0x82, &[0x03, 0xE9][..]));
}

#[test]
fn what_comes_with_the_answer_to_the_handshake_is_not_lost() {
    let mut out = Vec::new();
    let mut socket = WebSocket::begin(&traffic(), &mut Random::new(1, 1), &mut out);
    let head = format!(
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        socket.accept
    );
    assert!(socket.establish(&[head.as_bytes(), &frame(0x81, b"abc")[..4]].concat()).unwrap());
    assert_eq!(answers(&mut socket, b"c").unwrap(), [3]);
}

proptest! {
    #[test]
    fn messages_are_the_same_however_they_are_cut(
        messages in prop::collection::vec((0_usize..400, 1_usize..5, any::<bool>()), 1..8),
        cuts in prop::collection::vec(1_usize..90, 1..60),
    ) {
        let mut bytes = Vec::new();
        for &(length, pieces, ping) in &messages {
            for piece in 0..pieces {
                let last = if piece + 1 == pieces { FIN } else { 0 };
                let opcode = if piece == 0 { TEXT } else { CONTINUATION };
                let from = length * piece / pieces;
                bytes.extend(frame(last | opcode, &vec![b'x'; length * (piece + 1) / pieces - from]));
                if ping { bytes.extend(frame(FIN | PING, b"p")); }
            }
        }
        let (mut socket, mut seen, mut rest) = (open(), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (piece, next) = rest.split_at((*cut).min(rest.len()));
            seen.extend(answers(&mut socket, piece).unwrap());
            rest = next;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(seen, messages.iter().map(|&(length, ..)| length as u64).collect::<Vec<_>>());
        prop_assert!(!socket.is_inside());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = answers(&mut open(), &bytes);
        let mut out = Vec::new();
        let _ = WebSocket::begin(&traffic(), &mut Random::new(1, 1), &mut out).establish(&bytes);
    }
}
