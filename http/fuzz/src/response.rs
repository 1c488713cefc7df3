//! Heads of responses, as a client reads them: however they arrive the same is seen, and what is behind them means
//! nothing. The lowest bits of the number choose the request's method.

use covet_http::Method;
use covet_http::h1::response::{DecodedResponse, ResponseFraming, ResponseHeadError, decode_response_head};

use crate::{Signature, signature, splits};

const LIMIT: usize = 1_000;

const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::CONNECT];

fn decode(bytes: &[u8], method: &Method) -> Result<DecodedResponse, ResponseHeadError> {
    let decoded = decode_response_head(bytes, method, LIMIT);
    if let Ok(DecodedResponse::Complete { head, consumed }) = &decoded {
        assert!(*consumed <= bytes.len().min(LIMIT) && bytes[..*consumed].ends_with(b"\r\n\r\n"));
        assert!((100..=999).contains(&head.status) && head.minor_version <= 1);
        let is_bare = *method == Method::HEAD || head.status < 200 || matches!(head.status, 204 | 304);
        assert!(!is_bare || head.framing == ResponseFraming::None);
        assert!(!head.keep_alive || head.framing != ResponseFraming::UntilClose);
    }
    decoded
}

pub fn check(input: &[u8]) -> Signature {
    let (seed, bytes) = splits::parts(input);
    let method = &METHODS[usize::from(seed) % METHODS.len()];
    let whole = decode(bytes, method);
    let mut come = 0;
    for piece in splits::pieces(input) {
        come += piece.len();
        match (decode(&bytes[..come], method), &whole) {
            (Ok(DecodedResponse::Partial), Ok(DecodedResponse::Complete { consumed, .. })) => {
                assert!(come < *consumed, "a whole head is seen as soon as it is there");
            }
            (Ok(DecodedResponse::Partial), _) => {}
            (Ok(head), whole) => {
                assert_eq!(Ok(&head), whole.as_ref(), "what is behind a head means nothing");
                break;
            }
            (Err(error), whole) => {
                assert!(whole.is_err(), "{error:?} in {come} bytes of a head that is valid");
                break;
            }
        }
    }
    signature(format!(
        "{:?}",
        whole.map(|decoded| match decoded {
            DecodedResponse::Complete { head, .. } =>
                Some((head.framing, head.keep_alive, head.status / 100)),
            DecodedResponse::Partial => None,
        })
    ))
}
