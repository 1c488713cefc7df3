//! The kernel's records, where this kernel has TLS. Everything else in these tests goes by them as well, then.

use covet_http::tls;

use crate::authority::Authority;
use crate::harness::{BOTH, Client, Server, client_config_of};
use crate::local;

/// Connections that the kernel has sent records for so far; `None` if it has no TLS, of which this tells.
fn connections() -> Option<u64> {
    let Ok(counts) = std::fs::read_to_string("/proc/net/tls_stat") else {
        eprintln!("SKIPPED: this kernel has no TLS, or it is not loaded (`modprobe tls`)");
        return None;
    };
    let count = counts.lines().find_map(|line| line.strip_prefix("TlsTxSw"))?;
    count.trim().parse().ok()
}

#[test]
fn the_kernel_takes_connections_over_after_the_handshake() {
    let (authority, server) = local();
    let Some(before) = connections() else { return };
    for version in BOTH {
        let mut client = Client::of(&server, client_config_of(authority.roots(), &[version]), "localhost");
        assert_eq!(client.get("/later"), "later");
        assert_eq!(client.get("/big").len(), 3 << 20);
    }
    // Other tests make connections meanwhile.
    assert!(connections().unwrap() >= before + 2);
}

#[test]
fn a_connection_ends_when_keys_are_to_change_that_the_kernel_has() {
    let (authority, server) = local();
    if connections().is_none() {
        return;
    }
    let mut client = Client::of(&server, client_config_of(authority.roots(), &BOTH[1..]), "localhost");
    assert_eq!(client.get("/later"), "later");
    client.tls.conn.refresh_traffic_keys().unwrap();
    client.send(b"GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    let error = client.answer().unwrap_err().to_string();
    assert!(error.contains("UnexpectedMessage"), "{error}");
}

#[test]
fn without_the_kernel_everything_is_as_with_it() {
    let authority = Authority::new();
    let pair = authority.issue("local", &["localhost"]);
    let builder = tls::Config::builder().certificate(pair.files());
    let server = Server::start(&builder.kernel_tls(false).build().unwrap());
    for version in BOTH {
        let mut client = Client::of(&server, client_config_of(authority.roots(), &[version]), "localhost");
        assert_eq!(client.get("/later"), "later");
        assert_eq!(client.get("/big").len(), 3 << 20);
    }
}
