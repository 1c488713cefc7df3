use std::sync::mpsc;

use covet_http::client::{Cause, Client, Phase, RedirectError, Redirects};
use covet_http::{Body, header};

use crate::script::{Script, run};

/// Redirects as the path says, `/STATUS/LOCATION`, and says what it was asked otherwise.
fn guide() -> (Script, mpsc::Receiver<String>) {
    let (send, receive) = mpsc::channel();
    let server = Script::start(move |_, mut peer| {
        while let Some(request) = peer.request() {
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let _ = send.send(request);
            let answer = match path[1..].split_once('/') {
                Some((status, location)) if status.len() == 3 => {
                    format!("HTTP/1.1 {status} x\r\nlocation: {location}\r\ncontent-length: 4\r\n\r\nmove")
                }
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere".to_owned(),
            };
            peer.send(answer.as_bytes());
        }
    });
    (server, receive)
}

#[test]
fn redirects_are_followed_on_one_connection() {
    let (server, requests) = guide();
    run(async {
        let client = Client::new();
        let response =
            client.post(server.url("/302//end")).header("content-type", "x").body("body").send().await;
        let response = response.unwrap();
        assert_eq!(response.url().path(), "/end");
        assert_eq!(response.text().await.unwrap(), "here");
        requests.recv().unwrap();
        let second = requests.recv().unwrap();
        assert!(second.starts_with("GET /end ") && !second.contains("content-type"), "{second}");
        assert!(!second.contains("content-length"), "{second}");
        client.put(server.url("/307//end")).body("body").send().await.unwrap().text().await.unwrap();
        requests.recv().unwrap();
        let second = requests.recv().unwrap();
        assert!(second.starts_with("PUT /end ") && second.ends_with("\r\n\r\nbody"), "{second}");
        assert_eq!(client.idle_connections(), 1);
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn credentials_stay_with_their_origin() {
    let ((one, asked), (other, told)) = (guide(), guide());
    run(async {
        let client = Client::new();
        let to_other = format!("/302/{}", other.url("/end"));
        for path in ["/302//end", to_other.as_str()] {
            let request = client.get(one.url(path)).bearer_auth("secret").header(header::COOKIE, "a=b");
            request.header(header::HOST, "one.example").send().await.unwrap().text().await.unwrap();
        }
        for _ in 0..3 {
            let request = asked.recv().unwrap();
            assert!(request.contains("Bearer secret") && request.contains("cookie: a=b"), "{request}");
        }
        let request = told.recv().unwrap();
        assert!(!request.contains("secret") && !request.contains("cookie"), "{request}");
        assert!(request.contains(&format!("Host: {}\r\n", other.address)), "{request}");
    });
}

#[test]
fn what_leads_nowhere_is_an_error() {
    let (server, _requests) = guide();
    let looping = Script::answering("HTTP/1.1 302 x\r\nlocation: /a\r\ncontent-length: 0\r\n\r\n", false);
    run(async {
        let client = Client::new();
        let error = client.get(looping.url("/b")).send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Redirect(RedirectError::Loop { .. })), "{error}");
        assert_eq!(error.phase(), Phase::Redirect);
        let deep = "/302/".repeat(11) + "/end";
        let error = client.get(server.url(&deep)).send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Redirect(RedirectError::TooMany { limit: 10 })), "{error}");
        let stream = Body::stream(crate::upload::Pieces::of(&["a", "b"]));
        let error = client.post(server.url("/308//end")).body(stream).send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Redirect(RedirectError::Body(_))), "{error}");
        let stays = Client::builder().redirects(Redirects::none()).build();
        let answer = stays.get(server.url("/302//end")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (302, "move"));
    });
}
