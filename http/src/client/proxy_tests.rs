use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn proxies_are_read_from_urls() {
    let proxy = Proxy::new("http://us%40er:p+%3Aw@[::1]:3128").unwrap();
    assert_eq!((proxy.kind, proxy.address().as_str()), (Kind::Http, "[::1]:3128"));
    assert_eq!(proxy.authorization().unwrap(), "Basic dXNAZXI6cCs6dw==");
    assert!(!format!("{proxy:?}").contains("p+:w"));
    assert_eq!(Proxy::new("proxy.example:8080").unwrap().address(), "proxy.example:8080");
    assert_eq!(Proxy::new("socks5h://h").unwrap().address(), "h:1080");
    #[cfg(feature = "tls")]
    assert_eq!(Proxy::new("https://h").unwrap().address(), "h:443");
    for bad in ["ftp://u:secret@h", "http://", ""] {
        let error = Proxy::new(bad).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn no_proxy_lists_hosts() {
    let proxies = Proxies::all(Proxy::new("http://p:1").unwrap())
        .except("a.example, .b.example,*.c.example:8080, 10.0.0.0/8,[fe80::]/10 192.0.2.7 fd00::1");
    let through = |text: &str| proxies.proxy_for(&url(text)).is_some();
    for direct in [
        "http://a.example/",
        "https://A.example:9/",
        "http://x.a.example./",
        "http://b.example/",
        "http://x.b.example/",
        "http://c.example:8080/",
        "http://10.255.0.1/",
        "http://192.0.2.7:99/",
        "http://[fe80::1234]/",
        "http://[fd00::1]/",
    ] {
        assert!(!through(direct), "{direct}");
    }
    for proxied in [
        "http://aa.example/",
        "http://xa.example/",
        "http://example/",
        "http://c.example/",
        "http://11.0.0.1/",
        "http://192.0.2.8/",
        "http://[fd00::2]/",
    ] {
        assert!(through(proxied), "{proxied}");
    }
    let none = Proxies::all(Proxy::new("http://p:1").unwrap()).except("*");
    assert!(
        none.proxy_for(&url("http://a/")).is_none() && none.proxy_for(&url("http://127.0.0.1/")).is_none()
    );
}

#[test]
fn the_environment_is_read_as_curl_reads_it() {
    let with = |set: &'static [(&str, &str)]| {
        Proxies::from_variables(move |name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    };
    let address = |proxies: &Proxies, text: &str| proxies.proxy_for(&url(text)).map(|proxy| proxy.address());
    let proxies =
        with(&[("http_proxy", "http://a:1"), ("HTTPS_PROXY", "b:2"), ("NO_PROXY", "direct")]).unwrap();
    assert_eq!(address(&proxies, "http://x/").as_deref(), Some("a:1"));
    assert_eq!(address(&proxies, "https://x/").as_deref(), Some("b:2"));
    assert_eq!(address(&proxies, "https://direct/"), None);
    assert_eq!(address(&with(&[("HTTP_PROXY", "http://evil:1")]).unwrap(), "http://x/"), None);
    let all = with(&[("all_proxy", "socks5://s")]).unwrap();
    assert_eq!(address(&all, "http://x/").as_deref(), Some("s:1080"));
    assert!(with(&[("https_proxy", "gopher://h")]).is_err());
}
