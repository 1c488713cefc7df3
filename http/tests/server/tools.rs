//! Forms and ranges as curl sends and reads them; see `scripts/install-test-tools`.

use std::io::Write;
use std::process::{Command, Stdio};

use covet_http::multipart::{Limits, Multipart, MultipartError};
use covet_http::server::Config;
use covet_http::{HeaderValue, Request, Response, header, ranges};

use super::harness::Server;

async fn service(mut request: Request) -> Response {
    if request.path() == "/content" {
        let content: String = (0..1000).map(|n| format!("{n:03},")).collect();
        let mut response = Response::new(content);
        response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"v1\""));
        return ranges::respond(&request, response, &ranges::Limits::default());
    }
    match read_form(&mut request).await {
        Ok(seen) => Response::new(seen),
        Err(error) => Response::with_status(error.status()),
    }
}

async fn read_form(request: &mut Request) -> Result<String, MultipartError> {
    let content_type = request.field("content-type").unwrap_or_default().to_vec();
    let limits = Limits { part: 1_500_000, ..Limits::default() };
    let mut form = Multipart::new(&content_type, request.take_body(), limits)?;
    let mut seen = String::new();
    while let Some(mut part) = form.next_part().await? {
        seen += &format!("{}|{}|", part.name(), part.file_name().unwrap_or("-"));
        let (mut length, mut sum) = (0, 0u32);
        while let Some(piece) = part.chunk().await? {
            length += piece.len();
            sum = piece.iter().fold(sum, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        }
        seen += &format!("{length}|{sum}\n");
    }
    Ok(seen)
}

/// What curl prints, given these arguments and this input.
fn curl(server: &Server, path: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("curl")
        .args(["--disable", "--noproxy", "*", "--silent", "--max-time", "60"])
        .args(arguments)
        .arg(format!("http://{}{path}", server.address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("curl does not start: {error}; see scripts/install-test-tools"));
    // It fails where curl has no use for it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "curl {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn curl_sends_forms() {
    let server = Server::with(Config::default(), service);
    let file: Vec<u8> = (0..1_000_000u32).map(|n| b"\r\n-X"[(n % 7 % 4) as usize]).collect();
    let sum = file.iter().fold(0u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let arguments =
        ["-F", "title=a", "-F", "file=@-;filename=dir/\u{e9} \"x\".bin;type=image/png", "-F", "empty="];
    let seen = curl(&server, "/form", &arguments, &file);
    assert_eq!(seen, format!("title|-|1|97\nfile|dir/\u{e9} \"x\".bin|1000000|{sum}\nempty|-|0|0\n"));
    // In chunks, as of a file whose length is not known.
    let arguments = ["-H", "Transfer-Encoding: chunked", "-F", "file=@-"];
    assert!(curl(&server, "/form", &arguments, &file).ends_with(&format!("|1000000|{sum}\n")));
    let status = ["-o", "/dev/null", "-w", "%{http_code}"];
    let large = vec![b'x'; 1_500_001];
    assert_eq!(curl(&server, "/form", &[&status[..], &["-F", "file=@-"]].concat(), &large), "413");
    assert_eq!(curl(&server, "/form", &[&status[..], &["-d", "a=b"]].concat(), b""), "415");
}

#[test]
fn curl_asks_for_ranges() {
    let server = Server::with(Config::default(), service);
    let whole = curl(&server, "/content", &[], b"");
    assert_eq!(whole.len(), 4_000);
    for (range, part) in [("0-3", "000,"), ("-4", "999,"), ("3996-", "999,"), ("8-15", "002,003,")] {
        assert_eq!(curl(&server, "/content", &["-r", range], b""), part, "{range}");
    }
    let several = curl(&server, "/content", &["-r", "0-3,400-403"], b"");
    assert!(several.contains("\r\nContent-Range: bytes 0-3/4000\r\n\r\n000,\r\n--"), "{several}");
    assert!(several.contains("\r\nContent-Range: bytes 400-403/4000\r\n\r\n100,\r\n--"), "{several}");
    let status = |arguments: &[&str]| {
        curl(&server, "/content", &[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat(), b"")
    };
    assert_eq!(status(&["-r", "4000-"]), "416");
    assert_eq!(status(&["-r", "0-3", "-H", "If-Range: \"v1\""]), "206");
    assert_eq!(status(&["-r", "0-3", "-H", "If-Range: \"v0\""]), "200");
}
