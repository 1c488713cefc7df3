use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Name, file name, Content-Type and content of each part.
type Parts = Vec<(String, Option<String>, Option<String>, Vec<u8>)>;

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Result<Parts, String> {
    let mut decoder = Decoder::new(b"XbX", limits.clone());
    let mut pieces = pieces.into_iter();
    let mut parts = Parts::new();
    let mut open = false;
    loop {
        let event = decoder.next().map_err(|error| error.to_string())?;
        match event {
            Event::Part(head) => {
                assert!(!std::mem::replace(&mut open, true));
                parts.push((
                    head.name().to_owned(),
                    head.file_name().map(str::to_owned),
                    head.content_type().map(str::to_owned),
                    Vec::new(),
                ));
            }
            Event::Data(data) => {
                assert!(open && !data.is_empty());
                parts.last_mut().unwrap().3.extend_from_slice(&data);
            }
            Event::PartEnd => assert!(std::mem::replace(&mut open, false)),
            Event::NeedMore => match pieces.next() {
                Some(piece) => decoder.feed(piece).map_err(|error| error.to_string())?,
                None => decoder.end(),
            },
            Event::End => {
                assert!(!open);
                for piece in pieces {
                    decoder.feed(piece).map_err(|error| error.to_string())?;
                }
                return Ok(parts);
            }
        }
    }
}

fn whole(form: &str) -> Result<Parts, String> {
    decode([form.as_bytes()], &Limits::default())
}

fn part(name: &str, content: &str) -> (String, Option<String>, Option<String>, Vec<u8>) {
    (name.into(), None, None, content.into())
}

const A: &str = "Content-Disposition: form-data; name=a\r\n";

#[test]
fn forms_are_taken_apart() {
    let b = "Content-Disposition: form-data; name=\"b\"\r\n";
    for (form, parts) in [
        (
            format!("--XbX\r\n{A}\r\none\r\n--XbX\r\n{b}\r\ntwo\r\n--XbX--"),
            vec![part("a", "one"), part("b", "two")],
        ),
        // A preamble, padding, an epilogue.
        (format!("hello\r\n--XbX \t\r\n{A}\r\none\r\n--XbX--\r\nbye\r\n--XbX\r\n"), vec![part("a", "one")]),
        (format!("\r\n--XbX\r\n{A}\r\none\r\n--XbX--\r\n"), vec![part("a", "one")]),
        // No parts at all, as browsers send an empty form.
        ("--XbX--\r\n".into(), vec![]),
        // Nothing in it: with the line end before the delimiter and without.
        (format!("--XbX\r\n{A}\r\n\r\n--XbX--"), vec![part("a", "")]),
        (format!("--XbX\r\n{A}\r\n--XbX--"), vec![part("a", "")]),
        // What looks like a delimiter and is none.
        (
            format!("--XbX\r\n{A}\r\n--XbY\r\n--Xb\r\n\r\n-XbX\n--XbX --XbX\r\r\n--XbX--"),
            vec![part("a", "--XbY\r\n--Xb\r\n\r\n-XbX\n--XbX --XbX\r")],
        ),
        (format!("--XbX\r\n{A}\r\n\r\n\r\n--XbX--"), vec![part("a", "\r\n")]),
    ] {
        assert_eq!(whole(&form), Ok(parts), "{form:?}");
    }
}

#[test]
fn names_are_read_as_browsers_write_them() {
    for (disposition, name, file, safe) in [
        ("form-data; name=a", "a", None, None),
        ("FORM-DATA; NAME=\"a\"; FileName=\"x.txt\"", "a", Some("x.txt"), Some("x.txt")),
        ("form-data; name=\"%22q%22%0D%0a %41%\"; filename=\"\"", "\"q\"\r\n %41%", Some(""), None),
        (
            r#"form-data; name="\"q\""; filename="C:\dir\f.txt""#,
            "\"q\"",
            Some(r"C:\dir\f.txt"),
            Some("f.txt"),
        ),
        (
            "form-data; name=\"\u{e9}\u{4e2d}\"; filename=\"\u{e9}.txt\"",
            "\u{e9}\u{4e2d}",
            Some("\u{e9}.txt"),
            Some("\u{e9}.txt"),
        ),
        ("form-data; name=a; filename=\"../../etc/passwd\"", "a", Some("../../etc/passwd"), Some("passwd")),
        ("form-data; name=a; filename=\"..\"", "a", Some(".."), None),
        ("form-data; name=a; filename=\"d/\"", "a", Some("d/"), None),
        ("form-data; name=a; filename=\"C:con\"", "a", Some("C:con"), Some("con")),
        ("form-data; name=a; filename=\"a%0ab\"", "a", Some("a\nb"), None),
        // Not for forms: it is no name of a file.
        ("form-data; name=a; filename*=utf-8''x", "a", None, None),
        ("form-data; name=\"\"", "", None, None),
    ] {
        let block = format!("Content-Disposition: {disposition}\r\n\r\n");
        let head = PartHead::parse(block.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(
            (head.name(), head.file_name(), head.safe_file_name()),
            (name, file, safe),
            "{disposition}"
        );
    }
}

#[test]
fn what_is_no_form_is_refused() {
    let form = |head: &str| format!("--XbX\r\n{head}\r\none\r\n--XbX--");
    for (form, error) in [
        (String::new(), "ends before"),
        ("--XbX".into(), "ends before"),
        (format!("--XbX\r\n{A}"), "ends before"),
        (format!("--XbX\r\n{A}\r\none"), "ends before"),
        (format!("--XbX\r\n{A}\r\none\r\n--XbX"), "ends before"),
        (format!("--XbX\r\n{A}\r\none\r\n--XbX-"), "ends before"),
        (format!("--XbX\n{A}\r\none\r\n--XbX--"), "delimiter"),
        (format!("--XbXY\r\n{A}\r\none\r\n--XbX--"), "delimiter"),
        (format!("--XbX{}\r\n{A}\r\n\r\n--XbX--", " ".repeat(65)), "delimiter"),
        (form(""), "disposition"),
        (form("Content-Type: text/plain\r\n"), "disposition"),
        (form("Content-Disposition: attachment; name=a\r\n"), "disposition"),
        (form("Content-Disposition: form-data\r\n"), "disposition"),
        (form("Content-Disposition: form-data; filename=a\r\n"), "disposition"),
        (form("Content-Disposition: form-data; name=a; name=b\r\n"), "disposition"),
        (form("Content-Disposition: form-data; name=\"a\r\n"), "disposition"),
        (form(&format!("{A}{A}")), "disposition"),
        (form(&format!("{A}X : y\r\n")), "head of a part is malformed"),
        (form(&format!("{A}X: y\nZ: y\r\n")), "head of a part is malformed"),
        (form(&format!("{A} folded\r\n")), "head of a part is malformed"),
        (form(&format!("{A}X: a\0b\r\n")), "head of a part is malformed"),
        (form(&format!("{A}no colon\r\n")), "head of a part is malformed"),
        (form(&format!("{A}Content-Transfer-Encoding: base64\r\n")), "transfer encoding"),
    ] {
        let told = whole(&form).unwrap_err();
        assert!(told.contains(error), "{form:?}: {told}");
    }
    assert!(whole(&form(&format!("{A}Content-Transfer-Encoding: Binary\r\n"))).is_ok());
}

#[test]
fn everything_is_bounded() {
    let limits = Limits { parts: 2, part: 10, total: 400, head: 80, fields: 3 };
    let check = |form: String| decode([form.as_bytes()], &limits);
    let parts = |count: usize| format!("--XbX\r\n{A}\r\n\r\n").repeat(count) + "--XbX--";
    assert!(check(parts(2)).is_ok());
    assert!(check(parts(3)).unwrap_err().contains("more than 2 parts"));
    let content = |length: usize| format!("--XbX\r\n{A}\r\n{}\r\n--XbX--", "x".repeat(length));
    assert!(check(content(10)).is_ok());
    assert!(check(content(11)).unwrap_err().contains("part `a` is longer than the limit of 10"));
    // The limit is that of each part.
    let full = |content: &str| format!("--XbX\r\n{A}\r\n{content}\r\n");
    assert!(check(full("0123456789") + &full("0123456789") + "--XbX--").is_ok());
    let padded = |length: usize| format!("--XbX{}\r\n{A}\r\n\r\n--XbX--", " ".repeat(length));
    assert!(check(padded(64)).is_ok() && check(padded(65)).is_err());
    let head =
        |length: usize| format!("--XbX\r\n{A}X: {}\r\n\r\n\r\n--XbX--", "y".repeat(length - A.len() - 7));
    assert!(check(head(80)).is_ok());
    assert!(check(head(81)).unwrap_err().contains("longer than 80 bytes"));
    let fields = |count: usize| format!("--XbX\r\n{A}{}\r\n\r\n--XbX--", "X: y\r\n".repeat(count - 1));
    assert!(check(fields(3)).is_ok());
    assert!(check(fields(4)).unwrap_err().contains("more than 3 fields"));
    let before = |length: usize| format!("{}\r\n--XbX--", "x".repeat(length));
    assert!(check(before(78)).is_ok());
    assert!(check(before(79)).unwrap_err().contains("no part begins"));
    assert!(check("x".repeat(200)).unwrap_err().contains("no part begins"));
    // What is behind the form counts, too.
    assert!(check(format!("--XbX--{}", "x".repeat(393))).is_ok());
    let form = format!("--XbX--{}", "x".repeat(394));
    assert!(decode(form.as_bytes().chunks(100), &limits).unwrap_err().contains("limit of 400"));
}

#[test]
fn a_form_that_says_how_long_it_is_may_have_the_limit_in_all() {
    let limits = Limits { total: 10, ..Limits::default() };
    let form = |length: usize| {
        Multipart::new(
            b"multipart/form-data; boundary=X",
            crate::Body::from(vec![b'x'; length]),
            limits.clone(),
        )
    };
    assert!(form(10).is_ok());
    assert!(matches!(form(11), Err(MultipartError::TooLarge { limit: 10 })));
}

#[test]
fn an_endless_part_is_never_held() {
    let mut decoder = Decoder::new(b"XbX", Limits { part: u64::MAX, total: u64::MAX, ..Limits::default() });
    decoder.feed(format!("--XbX\r\n{A}\r\n").as_bytes()).unwrap();
    assert!(matches!(decoder.next(), Ok(Event::Part(_))));
    for _ in 0..1000 {
        decoder.feed(b"\r\n--Xb\r\n--").unwrap();
        let mut given = 0;
        while let Event::Data(data) = decoder.next().unwrap() {
            given += data.len();
        }
        assert!(given > 0);
    }
}

/// A reader of the whole form at once that is as plain as can be.
fn model(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut form = Vec::new();
    for (at, content) in contents.iter().enumerate() {
        form.extend_from_slice(
            format!("--XbX\r\nContent-Disposition: form-data; name=\"n{at}\"; filename=\"f{at}\"\r\n\r\n")
                .as_bytes(),
        );
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--XbX--");
    form
}

fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = Bytes::copy_from_slice(bytes);
    for cut in cuts {
        pieces.push(rest.split_to(cut % (rest.len() + 1)));
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #[test]
    fn what_was_put_in_comes_out_however_it_is_cut(
        contents in vec(vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), Just(b'b'), any::<u8>()], 0..60), 0..5),
        cuts in vec(0usize..40, 0..40),
    ) {
        // A delimiter in the content would be one.
        prop_assume!(contents.iter().all(|content| {
            let line = [b"\r\n", &content[..]].concat();
            memchr::memmem::find(&line, b"\r\n--XbX").is_none()
        }));
        let form = model(&contents);
        let pieces = cut(&form, &cuts);
        let parts = decode(pieces.iter().map(|piece| &piece[..]), &Limits::default()).unwrap();
        let expected: Parts = contents
            .into_iter()
            .enumerate()
            .map(|(at, content)| (format!("n{at}"), Some(format!("f{at}")), None, content))
            .collect();
        prop_assert_eq!(parts, expected);
    }

    #[test]
    fn any_cut_gives_the_same_parts_or_the_same_error(
        form in "(--XbX|--XbX--|\r\n|\r|\n|Content-Disposition: form-data; name=a|X: y|[ -~]| |\u{e9}){0,30}",
        cuts in vec(0usize..20, 0..20),
    ) {
        let limits = Limits { parts: 3, part: 20, total: 150, head: 60, fields: 2 };
        let pieces = cut(form.as_bytes(), &cuts);
        let in_pieces = decode(pieces.iter().map(|piece| &piece[..]), &limits);
        let at_once = decode([form.as_bytes()], &limits);
        match (&at_once, &in_pieces) {
            // A form over the limit in all may show another fault first when it trickles in, or be whole before it.
            (Err(error), _) if error.contains("form is longer") => {}
            _ => prop_assert_eq!(at_once, in_pieces),
        }
    }
}
