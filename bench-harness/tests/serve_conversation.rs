//! What a conversation with the reference service looks like on the wire.

mod server;

use server::Server;

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[test]
fn plaintext_has_the_contract_s_fields() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(get("/plaintext"));
    let answer = client.answer();
    assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", answer.head);
    assert_eq!(answer.body, b"Hello, World!");
    assert_eq!(answer.field("content-length"), Some("13"));
    assert_eq!(answer.field("content-type"), Some("text/plain"));
    assert!(answer.field("server").is_some());
    let date = answer.field("date").expect("a date");
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect();
    let all: String = (0..200).map(|id| get(&format!("/user/{id}"))).collect();
    client.send(all);
    for id in 0..200 {
        assert_eq!(client.answer().body, id.to_string().into_bytes());
    }
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let server = Server::start();
    let mut client = server.connect();
    for byte in "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello".bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().body, b"hello");
}

#[test]
fn http_1_0_closes_unless_it_asks_to_stay() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /plaintext HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().body, b"Hello, World!");
    client.expect_end();

    let mut client = server.connect();
    for _ in 0..2 {
        client.send("GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        let connection = answer.field("connection").map(str::to_ascii_lowercase);
        assert_eq!(connection.as_deref(), Some("keep-alive"));
        assert_eq!(answer.body, b"Hello, World!");
    }
}

#[test]
fn connection_close_is_honoured() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /plaintext HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
    client.expect_end();
}

#[test]
fn head_has_the_length_and_no_body() {
    let server = Server::start();
    let mut client = server.connect();
    for target in ["/", "/plaintext", "/json", "/user/7"] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let answer = client.answer_to_head();
        assert_eq!(answer.status, 200);
        assert!(answer.field("content-length").is_some_and(|length| length != "0"), "{}", answer.head);
        client.send(get("/plaintext"));
        assert_eq!(client.answer().body, b"Hello, World!");
    }
}

#[test]
fn bodiless_statuses_leave_the_connection_in_step() {
    let server = Server::start();
    let mut client = server.connect();
    for (target, status) in [("/204", 204), ("/304", 304)] {
        client.send(get(target));
        client.send(get("/plaintext"));
        let answer = client.answer();
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(client.answer().body, b"Hello, World!");
    }
}

#[test]
fn continue_is_sent_before_the_body() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.head().expect("an interim answer").starts_with("HTTP/1.1 100 "));
    client.send("body");
    assert_eq!(client.answer().body, b"body");
    client.send(get("/plaintext"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn chunked_bodies_come_back() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("4;note=1\r\none \r\n");
    client.send("7\r\nand two\r\n0\r\nTrailer: x\r\n\r\n");
    assert_eq!(client.answer().body, b"one and two");
    client.send(get("/plaintext"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn big_answers_are_streamed_whole() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(get("/big?n=5000000"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.len()), (200, 5_000_000));
    assert!(answer.body.iter().all(|&byte| byte == 0));
    client.send(get("/plaintext"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn headers_come_back_as_sent() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("GET /headers HTTP/1.1\r\nHost: test\r\nX-CaSe: a value \r\nX-CaSe: another\r\n\r\n");
    let body = String::from_utf8(client.answer().body).expect("text");
    assert_eq!(body, "Host: test\nX-CaSe: a value\nX-CaSe: another\n");
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(get("/nothing"));
    assert_eq!(client.answer().status, 404);
    client.send("DELETE /plaintext HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 405);
    assert!(answer.field("allow").is_some_and(|allow| allow.contains("GET")), "{}", answer.head);
    client.send(get("/plaintext"));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_client_that_hangs_up_harms_nobody() {
    let server = Server::start();
    for _ in 0..50 {
        let mut client = server.connect();
        client.send(get("/big?n=100000000"));
        drop(client);
    }
    let mut client = server.connect();
    client.send(get("/plaintext"));
    assert_eq!(client.answer().status, 200);
}
