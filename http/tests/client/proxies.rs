use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

#[cfg(feature = "tls")]
use covet_http::client::{Cause, Phase, ProxyError};
use covet_http::client::{Client, Proxies, Proxy};

use crate::script::{Peer, Script, run};

/// Carries bytes both ways until one side ends.
pub(crate) fn join(peer: Peer, other: TcpStream) {
    let (mut ours, mut theirs) = (peer.stream.try_clone().unwrap(), other.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut theirs, &mut ours);
        let _ = ours.shutdown(std::net::Shutdown::Both);
    });
    let (mut ours, mut theirs) = (peer.stream, other);
    let _ = std::io::copy(&mut ours, &mut theirs);
    let _ = theirs.shutdown(std::net::Shutdown::Both);
    let _ = back.join();
}

#[test]
fn a_forward_proxy_is_asked_for_the_whole_url() {
    let (send, receive) = mpsc::channel();
    let proxy = Script::start(move |_, mut peer| {
        while let Some(request) = peer.request() {
            send.send(request).unwrap();
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    run(async {
        let url = format!("http://user:secret@{}", proxy.address);
        let proxies = Proxies::all(Proxy::new(&url).unwrap()).except("direct.example");
        let client = Client::builder().proxies(proxies).build();
        for url in ["http://a.example/x?y#z", "http://b.example:81/"] {
            client.get(url).send().await.unwrap().text().await.unwrap();
        }
        assert_eq!(client.idle_connections(), 1, "hosts share the connection to the proxy");
    });
    let first = receive.recv().unwrap();
    assert!(first.starts_with("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n"), "{first}");
    assert!(first.contains("proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{first}");
    assert!(
        receive.recv().unwrap().starts_with("GET http://b.example:81/ HTTP/1.1\r\nHost: b.example:81\r\n")
    );
}

#[test]
#[cfg(feature = "tls")]
fn a_tunnel_that_is_refused_is_an_error() {
    let (send, receive) = mpsc::channel();
    let proxy = Script::start(move |_, mut peer| {
        send.send(peer.request().unwrap()).unwrap();
        peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    });
    run(async {
        let proxies = Proxies::all(Proxy::new(&format!("http://{}", proxy.address)).unwrap());
        let client = Client::builder().proxies(proxies).build();
        let error = client.get("https://a.example/").send().await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Proxy(ProxyError::Refused { .. })), "{error}");
        assert_eq!(error.phase(), Phase::Connect);
        assert!(error.to_string().contains("Give it a user"), "{error}");
    });
    let asked = receive.recv().unwrap();
    assert!(asked.starts_with("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"), "{asked}");
}

#[test]
fn what_is_no_proxy_is_refused_with_what_to_write() {
    let error = Proxy::new("ftp://user:secret@proxy.example").unwrap_err().to_string();
    assert!(error.contains("a proxy is http://, https://, socks5:// or socks5h://"), "{error}");
    assert!(error.contains("proxy.example") && !error.contains("secret"), "{error}");
    #[cfg(not(feature = "tls"))]
    {
        let error = Proxy::new("https://proxy.example").unwrap_err().to_string();
        assert!(error.contains("needs the feature `tls`"), "{error}");
    }
}

/// A SOCKS5 proxy that wants `user` and `secret`.
fn socks(peer: Peer) {
    let mut stream = peer.stream.try_clone().unwrap();
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(take(4), [5, 2, 0, 2]);
    (&peer.stream).write_all(&[5, 2]).unwrap();
    assert_eq!(take(13), b"\x01\x04user\x06secret");
    (&peer.stream).write_all(&[1, 0]).unwrap();
    assert_eq!(take(3), [5, 1, 0]);
    let kind = take(1)[0];
    let length = if kind == 3 { usize::from(take(1)[0]) } else { 4 };
    let host = take(length);
    let port = take(2);
    let port = u16::from_be_bytes([port[0], port[1]]);
    if host == b"refused.example" {
        (&peer.stream).write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        return;
    }
    let other = TcpStream::connect(("127.0.0.1", port)).unwrap();
    (&peer.stream).write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).unwrap();
    join(peer, other);
}

#[test]
fn socks5_connects_for_us() {
    let server = Script::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    let proxy = Script::start(|_, peer| socks(peer));
    run(async {
        for scheme in ["socks5", "socks5h"] {
            let proxy = Proxy::new(&format!("{scheme}://user:secret@{}", proxy.address)).unwrap();
            let client = Client::builder().proxies(Proxies::all(proxy)).build();
            for _ in 0..2 {
                let url = format!("http://localhost:{}/", server.address.port());
                assert_eq!(client.get(url).send().await.unwrap().text().await.unwrap(), "ok");
            }
            assert_eq!(client.idle_connections(), 1);
        }
        let proxy = Proxy::new(&format!("socks5h://user:secret@{}", proxy.address)).unwrap();
        let client = Client::builder().proxies(Proxies::all(proxy)).build();
        let error = client.get("http://refused.example/").send().await.unwrap_err();
        assert!(error.to_string().contains("its rules forbid it"), "{error}");
    });
    assert_eq!(server.accepted(), 2);
}
