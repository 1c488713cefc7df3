use std::sync::mpsc::channel;
use std::time::Duration;

use covet_http::client::{Client, PoolSettings};
use covet_http::{Body, Method};
use covet_runtime::time::{sleep, timeout};

use crate::script::{Script, run};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_connection_the_server_has_closed_is_not_used() {
    let (close, closed) = channel();
    let server = Script::start(move |_, mut peer| {
        peer.request();
        peer.send(OK);
        drop(peer);
        close.send(()).unwrap();
    });
    run(async {
        let client = Client::new();
        for _ in 0..3 {
            let response = client.post(server.url("/")).body("x").send().await.unwrap();
            assert!(!response.is_on_reused_connection());
            response.text().await.unwrap();
            closed.recv().unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(server.accepted(), 3);
}

#[test]
fn something_that_came_unasked_makes_a_connection_useless() {
    let (come, has_come) = channel();
    let server = Script::start(move |_, mut peer| {
        peer.request();
        peer.send(OK);
        std::thread::sleep(Duration::from_millis(50));
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
        come.send(()).unwrap();
        peer.request();
    });
    run(async {
        let client = Client::new();
        for _ in 0..2 {
            let text = client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
            assert_eq!(text, "ok");
            has_come.recv().unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(server.accepted(), 2);
}

/// Closes its first connection when the second request on it has come.
fn dying() -> Script {
    Script::start(|number, mut peer| {
        let mut served = 0;
        while peer.request().is_some() {
            if number == 0 && served == 1 {
                return;
            }
            peer.send(OK);
            served += 1;
        }
    })
}

#[test]
fn a_dead_connection_is_replaced_where_that_is_safe() {
    run(async {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let server = dying();
            let client = Client::new();
            client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
            let again = client.request(method, server.url("/")).body("body").send().await.unwrap();
            assert_eq!(again.text().await.unwrap(), "ok");
            assert_eq!(server.accepted(), 2);
        }
        let server = dying();
        let client = Client::new();
        client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
        let error = client.post(server.url("/")).body("body").send().await.unwrap_err();
        assert_eq!(server.accepted(), 1, "{error}");
        let server = dying();
        client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
        let streamed = Body::sized_stream(4, crate::upload::Pieces::of(&["body"]));
        let error = client.put(server.url("/")).body(streamed).send().await.unwrap_err();
        assert_eq!(server.accepted(), 1, "{error}");
    });
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let server = Script::start(|_, mut peer| {
        peer.request();
        peer.send(OK);
        peer.request();
        peer.send(b"HTTP/1.1 2");
    });
    run(async {
        let client = Client::new();
        client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
        client.get(server.url("/")).send().await.unwrap_err();
    });
    assert_eq!(server.accepted(), 1);
}

#[test]
fn idle_connections_are_bounded_in_number_and_time() {
    let servers: Vec<Script> = (0..4).map(|_| Script::answering(OK, false)).collect();
    run(async {
        let pool = PoolSettings { idle_per_origin: 2, idle: 3, ..PoolSettings::default() };
        let client = Client::builder().pool(pool).build();
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(client.get(servers[0].url("/")).send().await.unwrap());
        }
        for response in open {
            response.text().await.unwrap();
        }
        assert_eq!(client.idle_connections(), 2);
        for server in &servers[1..] {
            client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
        }
        assert_eq!(client.idle_connections(), 3);
        let pool = PoolSettings { idle_time: Duration::from_millis(300), ..PoolSettings::default() };
        let client = Client::builder().pool(pool).build();
        for server in &servers {
            client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
        }
        let emptied = async {
            while client.idle_connections() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), emptied).await.expect("nothing stays idle for ever");
        let none =
            Client::builder().pool(PoolSettings { idle_per_origin: 0, ..PoolSettings::default() }).build();
        none.get(servers[0].url("/")).send().await.unwrap().text().await.unwrap();
        assert_eq!(none.idle_connections(), 0);
    });
}

#[test]
fn a_connection_that_was_idle_for_too_long_is_not_used_though_nobody_has_closed_it_yet() {
    let server = Script::answering(OK, false);
    run(async {
        // It is looked at after 1 s, when it is still good, and after 2 s.
        let pool = PoolSettings { idle_time: Duration::from_millis(1300), ..PoolSettings::default() };
        let client = Client::builder().pool(pool).build();
        for (pause, reused) in [(0, false), (100, true), (1600, false)] {
            sleep(Duration::from_millis(pause)).await;
            let response = client.get(server.url("/")).send().await.unwrap();
            assert!(!response.is_on_reused_connection() || reused, "after {pause} ms");
            response.text().await.unwrap();
        }
    });
    assert!(server.accepted() >= 2);
}

#[test]
fn connection_close_is_heeded_on_both_sides() {
    let closing =
        Script::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", false);
    let old = Script::answering("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    let kept =
        Script::answering("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", false);
    run(async {
        for (server, idle) in [(&closing, 0), (&old, 0), (&kept, 1)] {
            let client = Client::new();
            client.get(server.url("/")).send().await.unwrap().text().await.unwrap();
            assert_eq!(client.idle_connections(), idle);
            client
                .get(server.url("/"))
                .header("connection", "close")
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_body_dropped_half_read_closes_unless_it_has_arrived() {
    let (send, sent) = channel();
    let server = Script::start(move |_, mut peer| {
        while let Some(request) = peer.request() {
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
            match request.starts_with("GET /whole") {
                true => peer.send(b"0123456789"),
                false => peer.send(b"01234"),
            };
            send.send(()).unwrap();
        }
    });
    run(async {
        let client = Client::new();
        let response = client.get(server.url("/whole")).send().await.unwrap();
        sent.recv().unwrap();
        sleep(Duration::from_millis(150)).await;
        drop(response);
        assert_eq!(client.idle_connections(), 1);
        let mut response = client.get(server.url("/half")).send().await.unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        drop(response);
        assert_eq!(client.idle_connections(), 0);
    });
}
