use proptest::prelude::*;

use super::*;

/// What is made of these fields by a server that trusts 10.0.0.0/8, when they come from `peer`.
fn client(fields: ForwardedFields, peer: &str, lines: &[(&str, &str)]) -> (String, String, String) {
    let forwarding = Forwarding::new("10.0.0.0/8".parse().expect("a network"), fields);
    let peer: IpAddr = peer.parse().expect("an address");
    let mut builder = Request::builder("GET", "/").header("Host", "own.test");
    for (name, value) in lines {
        builder = builder.header(*name, *value);
    }
    let request = builder.body("").expect("a request");
    let own = ClientInfo {
        address: Some(peer),
        port: Some(1),
        scheme: Scheme::HTTP,
        host: request.authority().map(Cow::Borrowed),
    };
    let found = if forwarding.trusts(peer) { follow(&forwarding, &request, own) } else { own };
    let address = found.address.map_or("-".to_owned(), |address| address.to_string());
    (address, found.scheme.to_string(), found.host.unwrap_or_default().into_owned())
}

fn rfc(peer: &str, values: &[&str]) -> (String, String, String) {
    let lines: Vec<_> = values.iter().map(|value| ("Forwarded", *value)).collect();
    client(ForwardedFields::Forwarded, peer, &lines)
}

fn is(found: &(String, String, String), address: &str, scheme: &str, host: &str) -> bool {
    (found.0.as_str(), found.1.as_str(), found.2.as_str()) == (address, scheme, host)
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    let found = rfc("192.0.2.9", &["for=10.0.0.1;proto=https;host=evil.test"]);
    assert!(is(&found, "192.0.2.9", "http", "own.test"), "{found:?}");
}

#[test]
fn the_nearest_untrusted_hop_is_the_client() {
    for (values, address, scheme, host) in [
        (&["for=192.0.2.1;proto=https;host=a.test"][..], "192.0.2.1", "https", "a.test"),
        (&["for=192.0.2.1, for=10.0.0.2"], "192.0.2.1", "http", "own.test"),
        (&["for=192.0.2.1", "for=10.0.0.2"], "192.0.2.1", "http", "own.test"),
        // The client has written the first itself.
        (&["for=10.0.0.3;host=evil.test, for=192.0.2.1;host=a.test"], "192.0.2.1", "http", "a.test"),
        (&["for=198.51.100.1;proto=https, for=192.0.2.1"], "192.0.2.1", "http", "own.test"),
        (&["For=\"[2001:db8::1]:4711\";PROTO=HTTPS"], "2001:db8::1", "https", "own.test"),
        (&["for=\"192.0.2.1:80\";host=\"a\\.test:8443\""], "192.0.2.1", "http", "a.test:8443"),
        (&["for=unknown"], "-", "http", "own.test"),
        (&["for=192.0.2.1, for=_proxy"], "-", "http", "own.test"),
        (&["proto=https"], "-", "https", "own.test"),
        (&["for=10.0.0.5, for=10.0.0.6"], "10.0.0.5", "http", "own.test"),
        (&[""], "10.0.0.1", "http", "own.test"),
        (&[",, for=192.0.2.1;; , "], "192.0.2.1", "http", "own.test"),
        (&["for=192.0.2.1;host=\"a b\";proto=ws"], "192.0.2.1", "http", "own.test"),
    ] {
        let found = rfc("10.0.0.1", values);
        assert!(is(&found, address, scheme, host), "{values:?}: {found:?}");
    }
}

#[test]
fn so_many_proxies_are_looked_through_and_no_more() {
    let chain = |proxies: usize| {
        let proxies = (0..proxies).map(|number| format!(", for=10.0.1.{number}"));
        rfc("10.0.0.1", &[&format!("for=192.0.2.1{}", proxies.collect::<String>())]).0
    };
    // With the one that the request comes from.
    assert_eq!(chain(MAX_HOPS - 1), "192.0.2.1");
    assert_eq!(chain(MAX_HOPS), "10.0.1.0", "the last that was looked through");
}

#[test]
fn quotation_marks_that_a_client_leaves_open_hide_nothing() {
    // The proxy adds its element to a line of the client's; the client would have it taken for text.
    for forged in ["for=198.51.100.1;x=\"", "for=198.51.100.1;x=\"\\", "for=\"", "for=198.51.100.1;host=\"a"]
    {
        for added in ["for=192.0.2.1", "for=\"192.0.2.1:80\";proto=\"https\"", "for=\"[2001:db8::1]\""] {
            let found = rfc("10.0.0.1", &[&format!("{forged}, {added}")]);
            assert!(is(&found, "-", "http", "own.test"), "{forged} {added}: {found:?}");
            // On a line of its own it stands.
            let found = rfc("10.0.0.1", &[forged, "for=192.0.2.1"]);
            assert_eq!(found.0, "192.0.2.1");
        }
    }
}

#[test]
fn the_other_fields_are_read_the_same_way() {
    let x = |lines: &[(&str, &str)]| client(ForwardedFields::XForwarded, "10.0.0.1", lines);
    let xff = "X-Forwarded-For";
    let (proto, host) = ("X-Forwarded-Proto", "X-Forwarded-Host");
    for (lines, address, scheme, authority) in [
        (&[(xff, "192.0.2.1"), (proto, "https"), (host, "a.test")][..], "192.0.2.1", "https", "a.test"),
        (&[(xff, "10.0.0.7, 192.0.2.1, 10.0.0.2")], "192.0.2.1", "http", "own.test"),
        (&[(xff, "10.0.0.7"), (xff, "192.0.2.1,10.0.0.2")], "192.0.2.1", "http", "own.test"),
        // One for each proxy: what the client has written is not reached.
        (&[(xff, "1.1.1.1, 192.0.2.1"), (proto, "https, http")], "192.0.2.1", "http", "own.test"),
        // One set by the first proxy and passed on by the second.
        (&[(xff, "192.0.2.1, 10.0.0.2"), (proto, "https")], "192.0.2.1", "https", "own.test"),
        (&[(xff, "192.0.2.1:99"), (host, "evil.test/x")], "192.0.2.1", "http", "own.test"),
        (&[(xff, "192.0.2.1, garbage")], "-", "http", "own.test"),
        (&[(xff, "")], "-", "http", "own.test"),
        (&[(proto, "https")], "10.0.0.1", "http", "own.test"),
        // The other kind of field is nothing but the client's word.
        (&[("Forwarded", "for=192.0.2.1")], "10.0.0.1", "http", "own.test"),
    ] {
        let found = x(lines);
        assert!(is(&found, address, scheme, authority), "{lines:?}: {found:?}");
    }
}

proptest! {
    /// Whatever a client writes in front of what the proxy adds, it is never taken for another address: the proxy's
    /// word stands, or nothing does.
    #[test]
    fn no_prefix_forges_an_address(
        prefix in "[ -~]{0,40}",
        same_line: bool,
        kind in prop_oneof![Just(ForwardedFields::Forwarded), Just(ForwardedFields::XForwarded)],
    ) {
        let (name, added) = match kind {
            ForwardedFields::Forwarded => ("Forwarded", "for=\"192.0.2.1:80\""),
            ForwardedFields::XForwarded => ("X-Forwarded-For", "192.0.2.1"),
        };
        let joined = format!("{prefix}, {added}");
        let found = match same_line {
            true => client(kind, "10.0.0.1", &[(name, &joined)]),
            false => client(kind, "10.0.0.1", &[(name, &prefix), (name, added)]),
        };
        prop_assert!(found.0 == "192.0.2.1" || same_line && found.0 == "-", "{:?}", found);
    }

    #[test]
    fn any_value_is_read(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = element::hops(std::iter::once(&value[..]));
    }
}
