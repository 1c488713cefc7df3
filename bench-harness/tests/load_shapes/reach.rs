//! How connections are opened, and where they lead.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use covet_bench::load::{Extent, LoadPlan, Reach, TargetUrl};

use crate::folder::Folder;
use crate::load_servers::{OK, Server, last_cpu, measure};
use crate::seen::Seen;

#[test]
fn connections_are_closed_after_their_number_of_requests() {
    let seen = Seen::default();
    let polite = seen.server(OK);
    let plan = LoadPlan {
        requests_per_connection: Some(4),
        extent: Extent { duration: None, requests: Some(200) },
        ..polite.plan(5, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (200, 0), "{}", record.to_text());
    assert!(polite.accepted() >= 50, "{}", polite.accepted());
    let closing = seen.texts().iter().filter(|text| text.contains("Connection: close")).count();
    assert!((46..=50).contains(&closing), "every fourth request of a connection ends it: {closing}");
    assert_eq!(record.reconnects, 0, "they were opened again by plan");
    assert!(record.connect.len() >= 50, "{}", record.connect.len());

    // A server that takes no notice.
    let stubborn = Server::answering(OK);
    let plan = LoadPlan { pipeline: 3, ..LoadPlan { connections: 2, ..plan.clone() } };
    let record = measure(&LoadPlan { url: stubborn.url(), ..plan });
    assert_eq!((record.completed, record.errors.total()), (200, 0), "{}", record.to_text());
    assert!(stubborn.accepted() >= 50, "{}", stubborn.accepted());
}

#[test]
fn new_connections_come_no_faster_than_asked() {
    let server = Server::answering(OK);
    let plan =
        LoadPlan { requests_per_connection: Some(1), connection_rate: Some(100.0), ..server.plan(10, 1500) };
    let record = measure(&plan);
    let most = (100.0 * record.elapsed.as_secs_f64()) as u64 + 5;
    assert!((90..=most).contains(&record.opened), "{}", record.to_text());
    assert!(server.accepted() <= most + 20, "{}", server.accepted());

    // The next would come when nobody is left to see it.
    let plan = LoadPlan { connection_rate: Some(1e-30), ..server.plan(1, 50) };
    let record = measure(&plan);
    assert!(record.completed > 0 && record.errors.total() == 0, "{}", record.to_text());
}

#[test]
fn a_server_on_a_unix_socket_is_loaded() {
    let folder = Folder::new("unix");
    let path = folder.0.join("socket");
    let listener = UnixListener::bind(&path).expect("a free path");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let (mut stream, mut buffer) = (stream, [0; 4096]);
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    if stream.write_all(OK).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let url = TargetUrl::parse("http://example.org/x").expect("a URL");
    let plan = LoadPlan {
        reach: Reach { unix_socket: Some(path), ..Reach::default() },
        connections: 3,
        warmup: Duration::ZERO,
        canary: true,
        extent: Extent { duration: Some(Duration::from_millis(400)), requests: None },
        ..LoadPlan::closed(url, vec![last_cpu()])
    };
    let record = measure(&plan);
    assert!(record.completed > 50 && record.errors.total() == 0, "{}", record.to_text());
    assert!(record.probes.canary.as_ref().is_some_and(|canary| canary.len() > 3), "{}", record.to_text());
}

#[test]
fn connections_lead_elsewhere_and_come_from_several_addresses() {
    let peers = Arc::new(Mutex::new(HashSet::new()));
    let hosts = Arc::new(Mutex::new(HashSet::new()));
    let (from, named) = (peers.clone(), hosts.clone());
    let server = Server::start(move |mut stream| {
        let peer = stream.peer_addr().expect("it is connected").ip();
        from.lock().expect("no holder panics").insert(peer);
        let mut buffer = [0; 4096];
        while let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let host =
                text.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default().to_owned();
            named.lock().expect("no holder panics").insert(host);
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    });
    let here = server.url();
    let local: Vec<IpAddr> =
        ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|ip| ip.parse().expect("an address")).to_vec();
    let plan = LoadPlan {
        url: TargetUrl::parse("http://service.invalid/x").expect("a URL"),
        reach: Reach {
            connect_to: Some((here.host().to_owned(), here.port())),
            local: local.clone(),
            ..Reach::default()
        },
        ..server.plan(6, 300)
    };
    let record = measure(&plan);
    assert!(record.completed > 50 && record.errors.total() == 0, "{}", record.to_text());
    assert_eq!(*peers.lock().expect("no holder panics"), local.into_iter().collect());
    assert_eq!(*hosts.lock().expect("no holder panics"), HashSet::from(["service.invalid".to_owned()]));
    assert!(record.to_text().contains("connected to 127.0.0.1:"), "{}", record.to_text());
}
