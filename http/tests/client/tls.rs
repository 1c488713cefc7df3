use std::net::TcpStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use covet_http::client::{Cause, Client, Proxies, Proxy};
use covet_http::tls::{self, Certificate, ClientCertificates, ClientConfig};
use covet_http::{Request, Response, server, service_fn};
use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::peers::start;
use crate::script::{Script, run};

/// A root, and what it has issued: chain and key in PEM.
pub(crate) struct Authority {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("root {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).unwrap().pem();
        Authority { root, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn client(&self) -> tls::ClientConfigBuilder {
        ClientConfig::builder().only_roots_pem(&self.root)
    }
}

async fn service(mut request: Request) -> Response {
    // Whoever has its answer before all of its request was taken needs another connection for the next.
    let _ = request.body_mut().collect(1 << 20).await;
    let Some(tls) = request.tls() else { return Response::new("plain") };
    let name = tls.server_name().unwrap_or("-").to_owned();
    let alpn = String::from_utf8_lossy(tls.alpn().unwrap_or_default()).into_owned();
    match request.path() {
        "/big" => Response::new(vec![b'x'; 3 << 20]),
        _ => Response::new(format!("{name} {alpn} {} {}", tls.is_resumed(), tls.peer_certificates().len())),
    }
}

pub(crate) fn serve(authority: &Authority, name: &str, clients: ClientCertificates) -> (Runtime, u16) {
    let (chain, key) = authority.issue(name);
    let builder = tls::Config::builder().certificate(Certificate::pem(chain, key));
    let tls = builder.client_certificates(clients).build().unwrap();
    let config = server::Config { tls: Some(tls), ..server::Config::default() };
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_core| {
            let (send, config) = (send.clone(), config.clone());
            async move {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                server::serve(listener, Rc::new(service_fn(service)), config).await;
            }
        })
        .unwrap();
    (runtime, receive.recv().unwrap().port())
}

async fn text(client: &Client, url: &str) -> String {
    client.get(url).send().await.unwrap().text().await.unwrap()
}

#[test]
fn https_is_verified_named_and_resumed() {
    let authority = Authority::new();
    let (_runtime, port) = serve(&authority, "localhost", ClientCertificates::default());
    let url = format!("https://localhost:{port}/");
    run(async {
        let client = Client::builder().tls(authority.client().build().unwrap()).build();
        let first = client.get(&url).send().await.unwrap();
        let agreed = first.tls().unwrap();
        assert_eq!((agreed.version(), agreed.alpn()), (tls::Version::Tls13, Some(&b"http/1.1"[..])));
        assert_eq!(first.text().await.unwrap(), "localhost http/1.1 false 0");
        assert_eq!(text(&client, &url).await, "localhost http/1.1 false 0", "on the same connection");
        client.close_idle();
        assert_eq!(text(&client, &url).await, "localhost http/1.1 true 0", "resumed");
        let big = client.get(format!("{url}big")).send().await.unwrap();
        assert_eq!(big.bytes().await.unwrap().len(), 3 << 20);
    });
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (_runtime, port) = serve(&authority, "localhost", ClientCertificates::default());
    let (_other, other) = serve(&authority, "other.example", ClientCertificates::default());
    run(async {
        let trusting = Client::builder().tls(authority.client().build().unwrap()).build();
        let distrusting = Client::builder().tls(stranger.client().build().unwrap()).build();
        // Whatever the system trusts, it is not an authority that was made a moment ago.
        let usual = Client::new();
        for (client, port, hint) in [
            (&distrusting, port, "roots_file"),
            (&usual, port, "roots_file"),
            (&trusting, other, "Use a name that the certificate has"),
        ] {
            let error = client.get(format!("https://localhost:{port}/")).send().await.unwrap_err();
            // A machine without any roots says so instead.
            if !matches!(error.cause(), Cause::TlsConfig(_)) {
                assert!(matches!(error.cause(), Cause::Tls { .. }) && error.is_unsent(), "{error}");
                assert!(error.to_string().contains(hint), "{error}");
            }
        }
        let careless = ClientConfig::builder().dangerous().accept_any_certificate().build().unwrap();
        let careless = Client::builder().tls(careless).build();
        assert_eq!(
            text(&careless, &format!("https://localhost:{other}/")).await,
            "localhost http/1.1 false 0"
        );
    });
}

#[test]
fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let folder = std::env::temp_dir().join(format!("covet-client-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let root = folder.join("root.pem");
    std::fs::write(&root, &authority.root).unwrap();
    let (_runtime, port) = serve(&authority, "localhost", ClientCertificates::required(&root));
    let url = format!("https://localhost:{port}/");
    run(async {
        let (chain, key) = authority.issue("somebody");
        let shown = authority.client().certificate(Certificate::pem(chain, key)).build().unwrap();
        let client = Client::builder().tls(shown).build();
        assert_eq!(text(&client, &url).await, "localhost http/1.1 false 1");
        let nameless = Client::builder().tls(authority.client().build().unwrap()).build();
        let error = nameless.get(&url).send().await.unwrap_err();
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
    });
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn plain_answers_and_silence_are_told_apart() {
    let authority = Authority::new();
    let plain = Script::answering("HTTP/1.1 400 Bad Request\r\n\r\n", true);
    let hasty = Script::start(|_, mut peer| {
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let silent = Script::start(|_, mut peer| {
        peer.is_ended();
    });
    run(async {
        let timeouts =
            covet_http::client::Timeouts { connect: Duration::from_millis(300), ..Default::default() };
        let through_tls = || Client::builder().tls(authority.client().build().unwrap());
        let at = |script: &Script| format!("https://localhost:{}/", script.address.port());
        let error = through_tls().build().get(at(&hasty)).send().await.unwrap_err();
        assert!(error.to_string().contains("Does this port speak TLS?"), "{error}");
        let client = through_tls().timeouts(timeouts).build();
        for script in [&silent, &plain] {
            let error = client.get(at(script)).send().await.unwrap_err();
            assert!(error.is_timeout() && error.is_unsent(), "{error}");
        }
    });
}

#[test]
fn https_goes_through_a_tunnel() {
    let authority = Authority::new();
    let (_runtime, port) = serve(&authority, "localhost", ClientCertificates::default());
    let proxy = Script::start(|_, mut peer| {
        let head = peer.request().unwrap();
        let port = head.split([':', ' ']).nth(2).unwrap().parse().unwrap();
        let other = TcpStream::connect(("127.0.0.1", port)).unwrap();
        peer.send(b"HTTP/1.1 200 Connected\r\ncontent-length: 5\r\n\r\n");
        crate::proxies::join(peer, other);
    });
    run(async {
        let proxies = Proxies::all(Proxy::new(&format!("http://{}", proxy.address)).unwrap());
        let client = Client::builder().tls(authority.client().build().unwrap()).proxies(proxies).build();
        for _ in 0..2 {
            assert_eq!(
                text(&client, &format!("https://localhost:{port}/")).await,
                "localhost http/1.1 false 0"
            );
        }
        assert_eq!(client.idle_connections(), 1);
    });
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn openssl_serves_us_in_both_versions() {
    let authority = Authority::new();
    for (option, version) in [("-tls1_2", tls::Version::Tls12), ("-tls1_3", tls::Version::Tls13)] {
        let openssl = start("openssl", |folder, port| {
            let (chain, key) = authority.issue("localhost");
            std::fs::write(folder.join("pair.pem"), chain + &key).unwrap();
            std::fs::write(folder.join("page"), "by OpenSSL").unwrap();
            let address = format!("127.0.0.1:{port}");
            ["s_server", "-WWW", "-cert", "pair.pem", option, "-accept", &address].map(str::to_owned).into()
        });
        let Some(openssl) = openssl else { return };
        let port = openssl.port;
        run(async {
            let client = Client::builder().tls(authority.client().build().unwrap()).build();
            for _ in 0..2 {
                let response = client.get(format!("https://localhost:{port}/page")).send().await.unwrap();
                assert_eq!(response.tls().unwrap().version(), version);
                let suite = response.tls().unwrap().cipher_suite().unwrap();
                assert_eq!(suite.starts_with("TLS13_"), version == tls::Version::Tls13, "{suite}");
                // It says no length: only the announced end makes this whole.
                assert!(!response.is_delimited());
                assert_eq!(response.text().await.unwrap(), "by OpenSSL");
            }
        });
    }
}
