//! Proxies that are themselves reached by TLS: tinyproxy behind stunnel.

use covet_http::client::{Cause, Client, ClientBuilder, Phase, Proxies, Proxy};
use covet_http::tls::{ClientCertificates, Version};

use crate::peers::{Program, start, tinyproxy};
use crate::script::{Script, run};
use crate::tls::{Authority, serve};

/// A proxy for `localhost` that wants `user` and `secret`, and its port.
fn https_proxy(authority: &Authority) -> Option<(Program, Program, u16)> {
    let proxy = tinyproxy()?;
    let (chain, key) = authority.issue("localhost");
    let behind = proxy.port;
    let tls = start("stunnel", |folder, port| {
        std::fs::write(folder.join("pair.pem"), chain + &key).unwrap();
        let text = format!(
            "foreground = yes\npid =\n[proxy]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{behind}\n\
             cert = pair.pem\n"
        );
        std::fs::write(folder.join("stunnel.conf"), text).unwrap();
        vec!["stunnel.conf".to_owned()]
    })?;
    let port = tls.port;
    Some((proxy, tls, port))
}

fn through(user: &str, port: u16) -> ClientBuilder {
    let proxy = Proxy::new(&format!("https://{user}localhost:{port}")).unwrap();
    Client::builder().proxies(Proxies::all(proxy))
}

#[test]
fn plain_requests_go_to_the_proxy_through_tls() {
    let authority = Authority::new();
    let Some((_proxy, _tls, port)) = https_proxy(&authority) else { return };
    let server = Script::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    run(async {
        let client = through("user:secret@", port).proxy_tls(authority.client().build().unwrap()).build();
        for _ in 0..3 {
            let response = client.get(server.url("/")).send().await.unwrap();
            assert!(response.tls().is_none(), "the server did not speak TLS");
            assert_eq!(response.text().await.unwrap(), "ok");
        }
        let unknown = through("", port).proxy_tls(authority.client().build().unwrap()).build();
        assert_eq!(unknown.get(server.url("/")).send().await.unwrap().status(), 407);
    });
}

#[test]
fn https_goes_through_tls_within_tls() {
    let (of_proxy, of_server) = (Authority::new(), Authority::new());
    let Some((_proxy, _tls, port)) = https_proxy(&of_proxy) else { return };
    let (_runtime, server) = serve(&of_server, "localhost", ClientCertificates::default());
    let url = format!("https://localhost:{server}/");
    run(async {
        for newest in [Version::Tls12, Version::Tls13] {
            let client = through("user:secret@", port)
                .proxy_tls(of_proxy.client().newest_version(newest).build().unwrap())
                .tls(of_server.client().build().unwrap())
                .build();
            let first = client.get(&url).send().await.unwrap();
            assert_eq!(first.tls().unwrap().server_name(), Some("localhost"));
            assert_eq!(first.text().await.unwrap(), "localhost http/1.1 false 0");
            for _ in 0..3 {
                let big = client.get(format!("{url}big")).send().await.unwrap();
                assert_eq!(big.bytes().await.unwrap().len(), 3 << 20);
                let sent = client.post(&url).body(vec![b'y'; 50_000]).send().await.unwrap();
                assert_eq!(sent.text().await.unwrap(), "localhost http/1.1 false 0");
            }
            assert_eq!(client.idle_connections(), 1, "all of it passed through one tunnel");
        }
        let unknown = through("", port)
            .proxy_tls(of_proxy.client().build().unwrap())
            .tls(of_server.client().build().unwrap())
            .build();
        let error = unknown.get(&url).send().await.unwrap_err();
        assert!(error.to_string().contains("refused the tunnel"), "{error}");
    });
}

#[test]
fn a_proxy_is_trusted_for_itself() {
    let (of_proxy, of_server) = (Authority::new(), Authority::new());
    let Some((_proxy, _tls, port)) = https_proxy(&of_proxy) else { return };
    let (_runtime, server) = serve(&of_server, "localhost", ClientCertificates::default());
    run(async {
        for client in [
            // Neither does what servers are trusted by make the proxy trusted, nor the other way round.
            through("user:secret@", port).tls(of_proxy.client().build().unwrap()),
            through("user:secret@", port).proxy_tls(of_server.client().build().unwrap()),
            through("user:secret@", port)
                .proxy_tls(of_proxy.client().build().unwrap())
                .tls(of_proxy.client().build().unwrap()),
        ] {
            let error = client.build().get(format!("https://localhost:{server}/")).send().await.unwrap_err();
            // A machine without any roots says so instead.
            if !matches!(error.cause(), Cause::TlsConfig(_)) {
                assert!(matches!(error.cause(), Cause::Tls { .. }), "{error}");
                assert!(error.to_string().contains("UnknownIssuer"), "{error}");
            }
            assert_eq!(error.phase(), Phase::Connect);
        }
    });
}
