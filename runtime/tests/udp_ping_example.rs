//! The ping example against its own server, and against one that loses datagrams.

#[path = "../examples/udp_ping.rs"]
mod udp_ping;

use std::time::Duration;

use covet_runtime::{Runtime, block_on};

#[test]
fn round_trips_are_told() {
    let (runtime, address) = udp_ping::start(([127, 0, 0, 1], 0).into(), Runtime::builder()).unwrap();
    let report = block_on(udp_ping::ping(address, 100)).unwrap().unwrap();
    assert_eq!((report.sent, report.round_trips.len()), (100, 100), "loopback loses nothing of so little");
    assert!(report.round_trips.is_sorted());
    let text = report.to_string();
    assert!(text.starts_with("100 sent, 0 lost (0.0 %)"), "{text}");
    assert!(text.contains("99 % within"), "{text}");
    runtime.shutdown(Duration::from_millis(50));
    runtime.join().unwrap();
}

#[test]
fn what_is_lost_is_counted_once_and_nonsense_not_at_all() {
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut bytes = [0; 100];
        for n in 0..10 {
            let (len, from) = server.recv_from(&mut bytes).unwrap();
            // Every second is lost; the others come twice, with nonsense.
            if n % 2 == 0 {
                for answer in [&bytes[..len], &bytes[..len], b"x", &u64::MAX.to_le_bytes()] {
                    server.send_to(answer, from).unwrap();
                }
            }
        }
    });
    let report = block_on(udp_ping::ping(address, 10)).unwrap().unwrap();
    thread.join().unwrap();
    assert_eq!((report.sent, report.round_trips.len()), (10, 5));
    assert!(report.to_string().starts_with("10 sent, 5 lost (50.0 %)"), "{report}");
}
