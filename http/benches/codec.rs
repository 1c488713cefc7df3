//! What the codec costs per message: heads decoded with and without the memo, heads encoded, chunks decoded.

use std::hint::black_box;

use covet_http::h1::encode::{LAST_CHUNK, encode_chunk};
use covet_http::h1::{
    ChunkEvent, ChunkedDecoder, Decoded, Exchange, Head, Limits, ResponseEncoder, decode_request,
};
use covet_http::{HeaderValue, Response, Version};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The request of the usual plaintext benchmark.
const PLAINTEXT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: tfb-server\r\n\
    Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n\
    Connection: keep-alive\r\n\r\n";

/// A browser's request.
const BROWSER: &[u8] = b"GET /articles/2024/thread-per-core?ref=newsletter&utm_source=mail HTTP/1.1\r\n\
    Host: www.example.org\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, bytes) in [("plaintext", PLAINTEXT), ("browser", BROWSER)] {
        for memo in [true, false] {
            let limits = Limits { memo, ..Limits::default() };
            let mut head = Head::new();
            let whole = Ok(Decoded::Complete { consumed: bytes.len() });
            assert_eq!(decode_request(bytes, &mut head, &limits), whole);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(format!("{name}/{}", if memo { "memo" } else { "parsed" }), |bencher| {
                bencher.iter(|| decode_request(black_box(bytes), &mut head, &limits));
            });
        }
    }
    group.finish();
}

fn responses(criterion: &mut Criterion) {
    let exchange =
        Exchange { version: Version::HTTP_11, head: false, connect: false, upgrade: false, keep_alive: true };
    let mut encoder = ResponseEncoder::default();
    encoder.set_unix_second(1_700_000_000);
    let plain = Response::new("Hello, World!").with_content_type("text/plain");
    let mut mapped = Response::new("Hello, World!").with_content_type("text/plain");
    for (name, value) in [("vary", "accept"), ("etag", "\"abc\""), ("cache-control", "max-age=60")] {
        mapped.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let mut group = criterion.benchmark_group("encode");
    for (name, response) in [("fixed", &plain), ("four fields in a map", &mapped)] {
        let mut out = Vec::with_capacity(4096);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encoder.encode(black_box(response), black_box(exchange), &mut out)
            });
        });
    }
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let mut bytes = Vec::new();
    (0..16).for_each(|_| encode_chunk(&[b'x'; 1000], &mut bytes));
    bytes.extend_from_slice(LAST_CHUNK);
    let mut group = criterion.benchmark_group("chunked");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("16 chunks of 1000 bytes", |bencher| {
        bencher.iter(|| {
            let mut decoder = ChunkedDecoder::new(&Limits::default());
            let mut rest = black_box(&bytes[..]);
            while let Ok(ChunkEvent::Data(range)) = decoder.feed(rest) {
                rest = &rest[range.end..];
            }
            assert!(decoder.is_done());
        });
    });
    group.finish();
}

criterion_group!(benches, heads, responses, chunks);
criterion_main!(benches);
