#![allow(clippy::single_range_in_vec_init, reason = "a selection of one range is just that")]

use std::ops::Range;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;

use super::parse::{Spec, parse};
use super::select::resolve;
use super::*;
use crate::{HeaderValue, Method, Request, Response, header};

fn request(fields: &[(&str, &str)]) -> Request {
    let builder = Request::builder("GET", "/");
    fields.iter().fold(builder, |builder, &(name, value)| builder.header(name, value)).body(()).unwrap()
}

fn selected(range: &str, length: u64) -> Selection {
    select(&request(&[("Range", range)]), length, &Validators::default(), &Limits { ranges: 4, gap: 0 })
}

#[test]
fn satisfiable_ranges_are_cut_to_the_length() {
    for (range, ranges) in [
        ("bytes=0-0", vec![0..1]),
        ("bytes=0-", vec![0..10]),
        ("bytes=9-", vec![9..10]),
        ("bytes=3-99", vec![3..10]),
        ("bytes=-3", vec![7..10]),
        ("bytes=-99", vec![0..10]),
        ("bytes=-18446744073709551616", vec![0..10]),
        ("bytes=0-18446744073709551615", vec![0..10]),
        // What can't be satisfied is left out as long as something can.
        ("bytes=10-20,-0,1-2", vec![1..3]),
        // In the order asked for; what overlaps or touches becomes one, in the first one's place.
        ("bytes=8-9,0-1,4-5", vec![8..10, 0..2, 4..6]),
        ("bytes=0-1,8-9,1-3", vec![0..4, 8..10]),
        ("bytes=0-1,8-9,2-3", vec![0..4, 8..10]),
        ("bytes=0-1,8-9,2-7", vec![0..10]),
    ] {
        assert_eq!(selected(range, 10), Selection::Partial(ranges), "{range}");
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-", "bytes=11-12,-0"] {
        assert_eq!(selected(range, 10), Selection::Unsatisfiable, "{range}");
    }
    assert_eq!(selected("bytes=0-", 0), Selection::Unsatisfiable);
    assert_eq!(selected("bytes=-0", 0), Selection::Unsatisfiable);
    assert_eq!(selected("bytes=-5", 0), Selection::Whole);
    for range in ["bytes=0-0,2-2,4-4,6-6,8-8", "bytes=x", "lines=1-2", "bytes=5-1", ""] {
        assert_eq!(selected(range, 10), Selection::Whole, "{range}");
    }
}

#[test]
fn only_get_has_ranges_and_only_one_field_of_them() {
    let validators = Validators::default();
    let limits = Limits::default();
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let request = Request::builder(method, "/").header("Range", "bytes=0-0").body(()).unwrap();
        assert_eq!(select(&request, 10, &validators, &limits), Selection::Whole);
    }
    let twice = request(&[("Range", "bytes=0-0"), ("Range", "bytes=0-0")]);
    assert_eq!(select(&twice, 10, &validators, &limits), Selection::Whole);
    assert_eq!(select(&request(&[]), 10, &validators, &limits), Selection::Whole);
    let alone = request(&[("If-Range", "\"v1\"")]);
    assert_eq!(select(&alone, 10, &validators, &limits), Selection::Whole);
}

#[test]
fn thousands_of_ranges_cost_nothing_and_give_the_whole() {
    let many = format!("bytes={}", "0-,".repeat(10_000));
    assert_eq!(parse(many.as_bytes(), 16), None);
    let empty = format!("bytes={}", ",".repeat(60_000));
    assert_eq!(parse(empty.as_bytes(), 16), None);
    // The classic of 2011: overlapping ranges of growing length.
    let overlapping: Vec<String> = (0..16).map(|at| format!("5-{}", at + 5)).collect();
    let range = format!("bytes={}", overlapping.join(","));
    let request = request(&[("Range", &range)]);
    let selection = select(&request, 1000, &Validators::default(), &Limits::default());
    assert_eq!(selection, Selection::Partial(vec![5..21]));
}

#[test]
fn if_range_holds_only_for_strong_validators_that_are_equal() {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
    let now = modified + Duration::from_secs(60);
    let strong = Validators { etag: Some(b"\"v1\""), last_modified: Some(modified) };
    let weak = Validators { etag: Some(b"W/\"v1\""), ..Validators::default() };
    for (validators, value, holds) in [
        (strong, "\"v1\"", true),
        (strong, "\"v2\"", false),
        (strong, "W/\"v1\"", false),
        (strong, "\"", false),
        (strong, "v1", false),
        (strong, "", false),
        (strong, "Sun, 06 Nov 1994 08:49:37 GMT", true),
        (strong, "Sunday, 06-Nov-94 08:49:37 GMT", true),
        (strong, "Sun, 06 Nov 1994 08:49:38 GMT", false),
        (strong, "Sun, 06 Nov 1994 08:49:36 GMT", false),
        (weak, "W/\"v1\"", false),
        (weak, "\"v1\"", false),
        (Validators::default(), "\"v1\"", false),
        (Validators::default(), "Sun, 06 Nov 1994 08:49:37 GMT", false),
    ] {
        assert_eq!(validators.allow_at(value.as_bytes(), now), holds, "{validators:?} {value}");
    }
    let fresh = modified + Duration::from_millis(500);
    assert!(
        !strong.allow_at(b"Sun, 06 Nov 1994 08:49:37 GMT", fresh),
        "a second version may be of the same second"
    );
    // Just a second later it is a strong one.
    assert!(strong.allow_at(b"Sun, 06 Nov 1994 08:49:37 GMT", modified + Duration::from_secs(1)));
    // Two quotation marks make an entity tag, and one does not.
    let torn = Validators { etag: Some(b"\""), ..Validators::default() };
    assert!(!torn.allow_at(b"\"", now));
    let twice = request(&[("Range", "bytes=0-0"), ("If-Range", "\"v1\""), ("If-Range", "\"v1\"")]);
    assert_eq!(select(&twice, 10, &strong, &Limits::default()), Selection::Whole);
    let ask = |tag| {
        let fields = [("Range", "bytes=0-0"), ("If-Range", tag)];
        select(&request(&fields), 10, &strong, &Limits::default())
    };
    assert_eq!(ask("\"v1\""), Selection::Partial(vec![0..1]));
    assert_eq!(ask("\"v0\""), Selection::Whole);
}

fn whole() -> Response {
    let mut response = Response::new("0123456789").with_content_type(crate::ContentType::new("text/plain"));
    response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"v1\""));
    response
}

#[test]
fn answers_have_the_parts_that_were_asked_for() {
    let limits = Limits { gap: 0, ..Limits::default() };
    let ask = |fields: &[(&str, &str)]| respond(&request(fields), whole(), &limits);
    let text = |response: &Response| String::from_utf8(response.body().as_fixed().unwrap().to_vec()).unwrap();

    let response = ask(&[("Range", "bytes=2-4"), ("If-Range", "\"v1\"")]);
    assert_eq!((response.status().as_u16(), text(&response).as_str()), (206, "234"));
    assert_eq!(response.header("content-range"), Some(&b"bytes 2-4/10"[..]));
    assert_eq!(response.header("content-type"), Some(&b"text/plain"[..]));

    let response = ask(&[("Range", "bytes=2-4"), ("If-Range", "\"v0\"")]);
    assert_eq!((response.status().as_u16(), text(&response).as_str()), (200, "0123456789"));
    assert_eq!(response.header("accept-ranges"), Some(&b"bytes"[..]));

    let response = ask(&[("Range", "bytes=10-")]);
    assert_eq!((response.status().as_u16(), text(&response).as_str()), (416, ""));
    assert_eq!(response.header("content-range"), Some(&b"bytes */10"[..]));
    assert_eq!((response.header("etag"), response.header("content-type")), (Some(&b"\"v1\""[..]), None));

    let modified = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
    let dated = whole().with_header(header::LAST_MODIFIED, modified);
    let response = respond(&request(&[("Range", "bytes=10-")]), dated, &limits);
    assert_eq!(response.header("last-modified"), Some(&b"Sun, 06 Nov 1994 08:49:37 GMT"[..]));

    let response = ask(&[("Range", "bytes=8-,0-1")]);
    assert_eq!((response.status().as_u16(), response.header("content-range")), (206, None));
    let content_type = String::from_utf8(response.header("content-type").unwrap().to_vec()).unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, content: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/10\r\n\r\n{content}\r\n"
        )
    };
    assert_eq!(text(&response), format!("{}{}--{boundary}--\r\n", part("8-9", "89"), part("0-1", "01")));

    let mut missing = whole();
    missing.set_status(crate::StatusCode::NOT_FOUND);
    let response = respond(&request(&[("Range", "bytes=0-0")]), missing, &limits);
    assert_eq!((response.status().as_u16(), text(&response).as_str()), (404, "0123456789"));
}

#[test]
fn boundaries_are_new_each_time() {
    let boundary = || ByteRanges::new(&[0..1, 5..6], 10, None).content_type();
    assert_ne!(boundary(), boundary());
}

fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![
        (0u64..40, 0u64..40).prop_map(|(one, two)| Spec::FromTo(one.min(two), one.max(two))),
        (0u64..40).prop_map(Spec::From),
        (0u64..40).prop_map(Spec::Last),
    ]
}

/// Whether a position is wanted, asked of each range by itself.
fn wants(spec: Spec, position: u64, length: u64) -> bool {
    match spec {
        Spec::FromTo(first, last) => first <= position && position <= last,
        Spec::From(first) => first <= position,
        Spec::Last(count) => position + count >= length,
    }
}

proptest! {
    #[test]
    fn just_what_is_wanted_is_selected_once(specs in vec(spec(), 1..12), length in 0u64..40, gap in 0u64..4) {
        let wanted: Vec<u64> = (0..length).filter(|&at| specs.iter().any(|&spec| wants(spec, at, length))).collect();
        match resolve(&specs, length, gap) {
            Selection::Whole => prop_assert_eq!(length, 0),
            Selection::Unsatisfiable => prop_assert!(wanted.is_empty()),
            Selection::Partial(ranges) => {
                let mut sorted: Vec<Range<u64>> = ranges.clone();
                sorted.sort_by_key(|range| range.start);
                prop_assert!(sorted.iter().all(|range| range.start < range.end && range.end <= length));
                prop_assert!(sorted.windows(2).all(|two| two[0].end + gap < two[1].start));
                let selected: Vec<u64> = sorted.iter().cloned().flatten().collect();
                prop_assert!(wanted.iter().all(|at| selected.contains(at)));
                // What was not asked for lies in gaps, between two that were.
                for at in selected.iter().filter(|at| !wanted.contains(at)) {
                    prop_assert!(wanted.iter().any(|near| near < at && at - near <= gap));
                    prop_assert!(wanted.iter().any(|near| near > at && near - at <= gap));
                }
            }
        }
    }

    #[test]
    fn the_length_is_that_of_the_segments(starts in vec(0u64..1000, 1..8)) {
        let ranges: Vec<Range<u64>> = starts.iter().map(|&start| start..start + 7).collect();
        let parts = ByteRanges::new(&ranges, 2000, Some(b"text/plain"));
        let length: u64 = parts.segments().iter().map(|segment| match segment {
            Segment::Framing(bytes) => bytes.len() as u64,
            Segment::Content(range) => range.end - range.start,
        }).sum();
        prop_assert_eq!(parts.content_length(), length);
    }

    #[test]
    fn no_field_makes_it_panic(field in "(bytes=)?[-0-9, a]{0,30}", length in any::<u64>()) {
        if let Some(specs) = parse(field.as_bytes(), 16) {
            let _ = resolve(&specs, length, 80);
        }
    }
}
