//! Content codings that the client undoes.

use std::io::Write;
use std::rc::Rc;

use covet_http::client::{BuiltInCodings, Cause, Client, Phase};
use covet_http::compress::Limits;
use covet_http::{BodyError, StatusCode};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use crate::script::{Peer, Script, run};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// What a server sends whose handler has this to say.
fn answer(coding: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\nvary: accept-encoding\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), content].concat()
}

fn client(limits: Limits) -> Client {
    Client::builder().content_decoder(Rc::new(BuiltInCodings { limits })).build()
}

#[test]
fn codings_are_asked_for_and_undone() {
    let text = "many words, ".repeat(1000);
    let coded = gzip(text.as_bytes());
    let server = Script::start(move |_, mut peer: Peer| {
        while let Some(request) = peer.request() {
            let encoded = request.contains("\r\naccept-encoding: gzip, ");
            match (encoded, request.contains("/head")) {
                (true, true) => {
                    peer.send(&answer("gzip", &coded)[..answer("gzip", &coded).len() - coded.len()])
                }
                (true, false) => peer.send(&answer("gzip", &coded)),
                (false, _) => peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain"),
            };
        }
    });
    run(async {
        let client = client(Limits::default());
        for _ in 0..2 {
            let response = client.get(server.url("/")).send().await.unwrap();
            assert_eq!(response.header("content-encoding"), None);
            assert_eq!(response.header("content-length"), None, "it is not that of what is handed on");
            assert_eq!(response.header("vary").unwrap(), "accept-encoding");
            assert_eq!(response.text().await.unwrap(), text);
        }
        let mut response = client.head(server.url("/head")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.chunk().await.unwrap(), None);
        // Who asks by hand decodes by hand, and a part of encoded content can't be decoded.
        for (name, value) in [("accept-encoding", "identity"), ("range", "bytes=0-1")] {
            let request = client.get(server.url("/")).header(name, value);
            assert_eq!(request.send().await.unwrap().text().await.unwrap(), "plain", "{name}");
        }
        assert_eq!(Client::new().get(server.url("/")).send().await.unwrap().text().await.unwrap(), "plain");
        assert_eq!(
            client.idle_connections(),
            1,
            "content that is decoded to its end leaves the connection usable"
        );
    });
}

#[test]
fn what_is_not_known_is_handed_on_as_it_is() {
    for coding in ["br, x-secret", "compress", "gzip, gzip, gzip"] {
        let server = Script::answering(answer(coding, b"??"), false);
        run(async {
            let response = client(Limits::default()).get(server.url("/")).send().await.unwrap();
            assert_eq!(response.header("content-encoding").unwrap(), coding);
            assert_eq!(response.content_length(), Some(2));
            assert_eq!(&response.bytes().await.unwrap()[..], b"??");
        });
    }
}

#[test]
fn a_bomb_is_an_error_before_it_is_memory() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let twice = gzip(&bomb);
    let small = Limits { decoded: 1000, ..Limits::default() };
    let plain = gzip(&[b'x'; 1001]);
    for (coding, content, limits) in [
        ("gzip", &bomb, Limits::default()),
        ("gzip, gzip", &twice, Limits::default()),
        ("gzip", &plain, small),
    ] {
        let server = Script::answering(answer(coding, content), false);
        run(async {
            let mut response = client(limits).get(server.url("/")).send().await.unwrap();
            let mut come = 0;
            let error = loop {
                match response.chunk().await {
                    Ok(piece) => come += piece.expect("the bomb does not go off").len() as u64,
                    Err(error) => break error,
                }
            };
            assert!(come <= limits.decoded, "{come} bytes of {coding}");
            assert_eq!(error.phase(), Phase::Body);
            assert!(matches!(error.cause(), Cause::Body(BodyError::Encoded(_))), "{error}");
            assert!(error.to_string().contains("could not be decoded"), "{error}");
        });
    }
}

#[test]
fn coded_content_that_is_cut_or_wrong_is_an_error() {
    let whole = gzip(b"hello hello hello");
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(b"hello").unwrap();
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for content in [&whole[..whole.len() - 9], &wrong, b"no gzip at all", &raw.finish().unwrap()] {
        let server = Script::answering(answer("gzip", content), false);
        run(async {
            let response = client(Limits::default()).get(server.url("/")).send().await.unwrap();
            let error = response.bytes().await.unwrap_err();
            assert!(matches!(error.cause(), Cause::Body(BodyError::Encoded(_))), "{error}");
        });
    }
}
