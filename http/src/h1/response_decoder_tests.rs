use super::*;

fn decoder(method: Method) -> ResponseDecoder {
    ResponseDecoder::new(method, &Limits { head: 60, fields: 2, ..Limits::default() })
}

fn get() -> ResponseDecoder {
    decoder(Method::GET)
}

/// Feeds all of it, and returns the last event.
fn feed(decoder: &mut ResponseDecoder, bytes: &[u8]) -> Result<ResponseEvent, ResponseError> {
    let mut rest = bytes;
    loop {
        let (used, event) = decoder.feed(rest)?;
        rest = &rest[used..];
        if rest.is_empty() {
            return Ok(event);
        }
    }
}

fn head_of(event: Result<ResponseEvent, ResponseError>) -> ReceivedHead {
    match event {
        Ok(ResponseEvent::Head(head)) => head,
        other => panic!("no head: {other:?}"),
    }
}

#[test]
fn what_is_left_is_told_where_the_framing_tells() {
    let mut length = get();
    assert_eq!(length.remaining(), None);
    head_of(feed(&mut length, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    assert_eq!(length.remaining(), Some(5));
    assert!(matches!(length.feed(b"hel"), Ok((3, ResponseEvent::Data(range))) if range == (0..3)));
    assert_eq!((length.remaining(), length.is_done()), (Some(2), false));
    assert!(matches!(length.feed(b"lo more"), Ok((2, ResponseEvent::Data(range))) if range == (0..2)));
    assert!(matches!(length.feed(b" more"), Ok((0, ResponseEvent::End(None)))));
    assert_eq!((length.remaining(), length.is_done()), (Some(0), true));
    // What follows belongs to no request, however often it is offered.
    assert!(matches!(length.feed(b" more"), Ok((0, ResponseEvent::End(None)))));
    assert_eq!(length.finish(), Ok(()));

    for framing in ["Transfer-Encoding: chunked", "Connection: close"] {
        let mut unknown = get();
        head_of(feed(&mut unknown, format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes()));
        assert_eq!(unknown.remaining(), None, "{framing}");
    }
    let mut nothing = decoder(Method::HEAD);
    head_of(feed(&mut nothing, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    assert_eq!((nothing.remaining(), nothing.finish()), (Some(0), Ok(())));
}

#[test]
fn an_error_is_final_and_told_again() {
    let good = b"HTTP/1.1 204 X\r\n\r\n";
    let mut refused = get();
    let error = refused.feed(b"XTTP/1.1 200 OK\r\n\r\n").unwrap_err();
    assert!(matches!(error, ResponseError::Head(_)), "{error}");
    assert_eq!((refused.feed(good).unwrap_err(), refused.finish()), (error, Err(error)));

    let mut ended = get();
    assert!(!ended.has_begun());
    assert!(matches!(ended.feed(b""), Ok((0, ResponseEvent::NeedMore))) && !ended.has_begun());
    assert_eq!(ended.finish(), Err(ResponseError::NoResponse));
    assert_eq!(ended.feed(good).unwrap_err(), ResponseError::NoResponse);
}

#[test]
fn a_first_line_that_is_none_is_told_at_its_end() {
    let mut trickled = get();
    assert!(matches!(trickled.feed(b"HTTP/1.1 2"), Ok((10, ResponseEvent::NeedMore))));
    assert!(matches!(trickled.feed(b"0 OK\r"), Ok((5, ResponseEvent::NeedMore))));
    assert!(matches!(trickled.feed(b"\n"), Err(ResponseError::Head(_))));
    // And at the end of the connection, where the line has none.
    let mut cut = get();
    assert!(matches!(cut.feed(b"HTTP/1.1 2"), Ok((10, ResponseEvent::NeedMore))));
    assert!(matches!(cut.feed(b"0 OK"), Ok((4, ResponseEvent::NeedMore))));
    assert!(matches!(cut.finish(), Err(ResponseError::Head(_))));
}

#[test]
fn a_bare_line_feed_does_not_make_it_wait() {
    let mut bare = get();
    assert!(matches!(bare.feed(b"HTTP/1.1 200 OK\r\na: b\r"), Ok((22, ResponseEvent::NeedMore))));
    assert!(matches!(bare.feed(b"\n"), Ok((1, ResponseEvent::NeedMore))));
    assert!(matches!(bare.feed(b"\n"), Err(ResponseError::Head(_))));
}

#[test]
fn a_head_is_too_long_at_its_limit_and_not_before() {
    let whole = b"HTTP/1.1 204 X\r\na: 5678901234567890123456789012345678901\r\n\r\n";
    assert_eq!(whole.len(), 60);
    for by in [1, 7, 59, 60] {
        let mut exact = get();
        let mut last = Ok(ResponseEvent::NeedMore);
        for piece in whole.chunks(by) {
            last = feed(&mut exact, piece);
        }
        assert_eq!(head_of(last).status, 204, "in pieces of {by}");
    }
    let mut long = get();
    let endless = [b"HTTP/1.1 204 X\r\na: ", &[b'x'; 80][..]].concat();
    let told = endless.iter().position(|&byte| long.feed(&[byte]).is_err());
    assert_eq!(told, Some(59));
    assert_eq!(long.finish(), Err(ResponseHeadError::TooLarge { limit: 60 }.into()));
}

#[test]
fn fields_and_interim_answers_are_counted() {
    let with = |fields: &str| format!("HTTP/1.0 204 X\r\n{fields}\r\n").into_bytes();
    let head = head_of(feed(&mut get(), &with("a: b\r\nc: d\r\n")));
    assert_eq!((head.version, head.fields.len()), (Version::HTTP_10, 2));
    let error = feed(&mut get(), &with("a: b\r\nc: d\r\ne: f\r\n")).unwrap_err();
    assert_eq!(error, ResponseHeadError::TooManyFields.into());

    let mut patient = get();
    for _ in 0..MAX_INTERIM {
        let event = feed(&mut patient, b"HTTP/1.1 103 Hints\r\n\r\n");
        assert!(matches!(event, Ok(ResponseEvent::Interim(head)) if head.version == Version::HTTP_11));
    }
    let mut ended = patient.clone();
    assert_eq!(ended.finish(), Err(ResponseError::TruncatedHead), "an answer had begun");
    assert_eq!(head_of(feed(&mut patient.clone(), b"HTTP/1.1 204 X\r\n\r\n")).status, 204);
    let error = feed(&mut patient, b"HTTP/1.1 103 Hints\r\n\r\n").unwrap_err();
    assert_eq!(error, ResponseError::TooManyInterim);

    let error = feed(&mut get(), b"HTTP/1.1 101 X\r\n\r\n").unwrap_err();
    assert_eq!(error, ResponseError::UnaskedSwitch);
}

#[test]
fn an_end_is_where_the_framing_has_it() {
    let mut until_close = get();
    head_of(feed(&mut until_close, b"HTTP/1.0 200 OK\r\n\r\n"));
    assert!(matches!(until_close.feed(b"all"), Ok((3, ResponseEvent::Data(_)))));
    assert!(!until_close.is_done());
    assert_eq!((until_close.finish(), until_close.is_done()), (Ok(()), true));
    assert_eq!(until_close.finish(), Ok(()));

    let mut short = get();
    head_of(feed(&mut short, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    assert!(matches!(short.feed(b"hel"), Ok((3, _))));
    let missing = ResponseError::TruncatedBody { missing: Some(2) };
    assert_eq!((short.finish(), short.feed(b"lo").unwrap_err()), (Err(missing), missing));

    let mut chunked = get();
    head_of(feed(&mut chunked, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    let mut cut = chunked.clone();
    assert!(matches!(feed(&mut cut, b"3\r\nabc"), Ok(ResponseEvent::Data(_))));
    assert_eq!(cut.finish(), Err(ResponseError::TruncatedBody { missing: None }));
    let end = feed(&mut chunked, b"3\r\nabc\r\n0\r\nx: y\r\n\r\n");
    let Ok(ResponseEvent::End(Some(trailers))) = end else { panic!("{end:?}") };
    assert_eq!(trailers["x"], "y");
    assert!(chunked.is_done());
}
