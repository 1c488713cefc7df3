//! UDP on the ring, against itself and against the standard library.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use covet_runtime::net::{Datagram, Outbound, UdpOptions, UdpSocket};
use covet_runtime::{block_on, spawn, time, yield_now};

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn local_v6() -> SocketAddr {
    "[::1]:0".parse().unwrap()
}

fn has_ipv6() -> bool {
    let has = std::net::UdpSocket::bind(local_v6()).is_ok();
    if !has {
        eprintln!("IPv6 was not tested: this machine has no ::1");
    }
    has
}

/// Receives until there are so many datagrams; fails if they do not come.
async fn receive(socket: &UdpSocket, count: usize) -> Vec<Datagram> {
    let mut all = Vec::new();
    let wait = async {
        while all.len() < count {
            let limit = count - all.len();
            let got = socket.recv_batch(&mut all, limit).await.unwrap();
            assert!(got > 0 && got <= limit);
        }
    };
    assert!(time::timeout(Duration::from_secs(60), wait).await.is_ok(), "{} of {count} came", all.len());
    all
}

#[test]
fn datagrams_keep_their_bounds_and_their_senders() {
    block_on(async {
        let families = if has_ipv6() { vec![local(), local_v6()] } else { vec![local()] };
        for address in families {
            let one = UdpSocket::bind(address).unwrap();
            let other = UdpSocket::bind(address).unwrap();
            let to = other.local_addr().unwrap();
            // The longest, an empty one, which ends a multishot receive, and short ones.
            let longest = if address.is_ipv4() { 65_507 } else { 65_527 };
            for len in [1, longest, 0, 0, 1472, 3] {
                let (sent, buffer) = one.send_to(vec![len as u8; len], to).await;
                sent.unwrap();
                assert_eq!(buffer.len(), len, "the buffer comes back");
                let (payload, from) = other.recv_from().await.unwrap();
                assert_eq!(from, one.local_addr().unwrap());
                assert!(payload.len() == len && payload.iter().all(|&byte| byte == len as u8), "{len}");
            }
            let error = one.send_to(vec![0; longest + 1], to).await.0.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
            assert!(other.try_recv_datagram().is_none());
        }
    })
    .unwrap();
}

#[test]
fn what_is_submitted_goes_together_and_is_received_together() {
    block_on(async {
        let one = UdpSocket::bind(local()).unwrap();
        let other = UdpSocket::bind(local()).unwrap();
        let to = other.local_addr().unwrap();
        one.connect(to).unwrap();
        assert_eq!(one.peer_addr().unwrap(), to);
        for n in 0..100u32 {
            if n % 2 == 0 {
                one.submit(n.to_be_bytes().to_vec()).unwrap();
            } else {
                one.submit_to(n.to_be_bytes().to_vec(), to).unwrap();
            }
        }
        one.flush().await.unwrap();
        let got = receive(&other, 100).await;
        for (n, datagram) in got.iter().enumerate() {
            assert_eq!(datagram.payload[..], (n as u32).to_be_bytes());
            assert!(!datagram.truncated && datagram.ecn.is_none() && datagram.to.is_none());
            assert_eq!(datagram.segments().count(), 1);
        }
        // More than may be under way in one turn.
        let mut submitted = 0;
        while one.submit("x").is_ok() {
            submitted += 1;
            assert!(submitted < 100_000, "nothing limits what is under way");
        }
        assert_eq!(one.submit("x").unwrap_err().kind(), ErrorKind::ResourceBusy);
        one.submittable().await.unwrap();
        one.submit("x").unwrap();
        one.flush().await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_reader_that_takes_nothing_leaves_the_rest_to_the_kernel() {
    block_on(async {
        let socket = UdpSocket::bind(local()).unwrap();
        let to = socket.local_addr().unwrap();
        let sender = std::net::UdpSocket::bind(local()).unwrap();
        for round in 0..3 {
            // Somebody receives, and then nobody any more.
            sender.send_to(b"first", to).unwrap();
            socket.recv().await.unwrap();
            for n in 0..3000 {
                sender.send_to(b"one of many", to).unwrap();
                if n % 16 == 0 {
                    yield_now().await;
                }
            }
            let taken = std::iter::from_fn(|| socket.try_recv_datagram()).count();
            assert!((1024..1400).contains(&taken), "round {round}: {taken} were taken from the socket");
            // The rest is not lost, as far as the kernel had room.
            let mut rest = 0;
            while let Ok(received) = time::timeout(Duration::from_millis(100), socket.recv()).await {
                assert_eq!(&received.unwrap()[..], b"one of many");
                rest += 1;
            }
            assert!(rest > 0, "round {round}: receiving does not go on");
        }
    })
    .unwrap();
}

#[test]
fn a_peer_that_is_not_there_is_reported_and_ends_nothing() {
    block_on(async {
        let client = UdpSocket::bind(local()).unwrap();
        // At an address of this test's own, where nobody else takes the port that becomes free.
        let own: SocketAddr = ([127, 0, 0, 33], 0).into();
        let address = std::net::UdpSocket::bind(own).unwrap().local_addr().unwrap();
        client.connect(address).unwrap();
        client.send("anybody?").await.0.unwrap();
        let error = time::timeout(Duration::from_secs(60), client.recv()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // The failure of one that was submitted is told by the flush, once.
        client.submit("anybody?").unwrap();
        client.submit("nobody").unwrap();
        let told = client.flush().await.is_err() || client.recv().await.is_err();
        assert!(told, "nobody was told");
        let server = std::net::UdpSocket::bind(address).unwrap();
        let _ = client.flush().await;
        while client.send("now").await.0.is_err() {}
        let mut bytes = [0; 10];
        let (len, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"now");
        server.send_to(b"here", from).unwrap();
        loop {
            match client.recv().await {
                Ok(answer) => break assert_eq!(&answer[..], b"here"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            }
        }
    })
    .unwrap();
}

#[test]
fn every_core_can_have_a_socket_of_its_own() {
    block_on(async {
        let per_core = UdpOptions { reuse_port: true, ..UdpOptions::default() };
        let one = UdpSocket::bind_with(local(), &per_core).unwrap();
        let address = one.local_addr().unwrap();
        let other = UdpSocket::bind_with(address, &per_core).unwrap();
        assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        let clients: Vec<_> = (0..64).map(|_| std::net::UdpSocket::bind(local()).unwrap()).collect();
        for client in &clients {
            client.send_to(b"hello", address).unwrap();
            client.send_to(b"again", address).unwrap();
        }
        let collect = |socket: UdpSocket| {
            spawn(async move {
                let mut all = Vec::new();
                while let Ok(from) = time::timeout(Duration::from_millis(300), socket.recv_from()).await {
                    all.push(from.unwrap().1);
                }
                all
            })
        };
        let (one, other) = (collect(one), collect(other));
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!(one.len() + other.len(), 128);
        assert!(!one.is_empty() && !other.is_empty(), "one of the two got all");
        assert!(one.iter().all(|from| !other.contains(from)), "one sender reached both");
    })
    .unwrap();
}

#[test]
fn the_kernel_takes_apart_and_puts_together() {
    block_on(async {
        let sender = UdpSocket::bind(local()).unwrap();
        if sender.max_segments() == 1 {
            return;
        }
        let plain = UdpSocket::bind(local()).unwrap();
        let coalescing = UdpOptions { coalesce: true, ..UdpOptions::default() };
        let coalescing = UdpSocket::bind_with(local(), &coalescing).unwrap();
        let bytes: Vec<u8> = (0..10_500).map(|n| (n / 1000) as u8).collect();
        for receiver in [&plain, &coalescing] {
            let outbound = Outbound {
                to: Some(receiver.local_addr().unwrap()),
                segment_size: Some(1000),
                ..Outbound::default()
            };
            sender.send_with(bytes.clone(), &outbound).await.0.unwrap();
            let mut lens = Vec::new();
            while lens.len() < 11 {
                let datagram = receiver.recv_datagram().await.unwrap();
                for segment in datagram.segments() {
                    assert!(segment.iter().all(|&byte| byte == lens.len() as u8));
                    lens.push(segment.len());
                }
            }
            assert_eq!(lens, [vec![1000; 10], vec![500]].concat());
            assert!(receiver.try_recv_datagram().is_none());
        }
    })
    .unwrap();
}

#[test]
fn marks_and_addresses_arrive() {
    block_on(async {
        let telling = UdpOptions { ecn: true, destination: true, ..UdpOptions::default() };
        let any: SocketAddr = ([0, 0, 0, 0], 0).into();
        let any_v6: SocketAddr = "[::]:0".parse().unwrap();
        for (bind, to_ip, from) in [
            (any, "127.0.0.3", Some("127.0.0.2")),
            (any_v6, "::1", Some("::1")),
            // IPv4 on a socket of IPv6, from either.
            (any_v6, "127.0.0.3", None),
            (any_v6, "::ffff:127.0.0.3", Some("127.0.0.2")),
        ] {
            if bind.is_ipv6() && !has_ipv6() {
                continue;
            }
            let server = UdpSocket::bind_with(bind, &telling).unwrap();
            let to_ip: IpAddr = to_ip.parse().unwrap();
            let client_bind = if to_ip.is_ipv4() { any } else { any_v6 };
            let client = UdpSocket::bind(client_bind).unwrap();
            let to = SocketAddr::new(to_ip, server.local_addr().unwrap().port());
            let from: Option<IpAddr> = from.map(|from| from.parse().unwrap());
            for ecn in [2, 0, 1, 3] {
                let outbound = Outbound { to: Some(to), ecn: Some(ecn), from, ..Outbound::default() };
                client.send_with("marked", &outbound).await.0.unwrap();
                let datagram = server.recv_datagram().await.unwrap();
                assert_eq!(datagram.ecn, Some(ecn), "{to} {from:?}");
                assert_eq!(datagram.to, Some(to_ip.to_canonical()));
                assert_eq!(datagram.interface, Some(1), "the loopback is the first interface");
                if let Some(from) = from {
                    assert_eq!(datagram.from.ip().to_canonical(), from);
                }
            }
        }
    })
    .unwrap();
}

#[test]
fn groups_are_joined_and_left() {
    block_on(async {
        let group: IpAddr = Ipv4Addr::new(239, 7, 7, 7).into();
        let socket = UdpSocket::bind(([0, 0, 0, 0], 0).into()).unwrap();
        let to = SocketAddr::new(group, socket.local_addr().unwrap().port());
        socket.join_multicast(group, 1).unwrap();
        assert!(socket.join_multicast(IpAddr::from([10, 0, 0, 1]), 1).is_err());
        let sender = UdpSocket::bind(local()).unwrap();
        sender.set_multicast_interface_v4(Ipv4Addr::LOCALHOST).unwrap();
        sender.set_multicast_loop(true).unwrap();
        sender.set_multicast_hops(2).unwrap();
        sender.set_hops(9).unwrap();
        sender.send_to("all", to).await.0.unwrap();
        let (payload, from) =
            time::timeout(Duration::from_secs(60), socket.recv_from()).await.unwrap().unwrap();
        assert_eq!((&payload[..], from), (&b"all"[..], sender.local_addr().unwrap()));
        socket.leave_multicast(group, 1).unwrap();
        assert!(socket.leave_multicast(group, 1).is_err());
        sender.send_to("all", to).await.0.unwrap();
        assert!(time::timeout(Duration::from_millis(20), socket.recv()).await.is_err(), "it has left");
        if !has_ipv6() {
            return;
        }
        let v6 = UdpSocket::bind(local_v6()).unwrap();
        v6.join_multicast("ff02::77".parse().unwrap(), 1).unwrap();
        v6.set_multicast_loop(false).unwrap();
        v6.set_multicast_hops(3).unwrap();
        v6.set_hops(3).unwrap();
    })
    .unwrap();
}

#[test]
fn broadcasting_takes_permission() {
    block_on(async {
        let everybody: SocketAddr = ([127, 255, 255, 255], 9).into();
        let socket = UdpSocket::bind(local()).unwrap();
        let error = socket.send_to("x", everybody).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let broadcast = UdpOptions { broadcast: true, ..UdpOptions::default() };
        let socket = UdpSocket::bind_with(local(), &broadcast).unwrap();
        socket.send_to("x", everybody).await.0.unwrap();
    })
    .unwrap();
}

#[test]
fn readiness_is_told_and_takes_nothing() {
    block_on(async {
        let socket = UdpSocket::bind(local()).unwrap();
        socket.writable().await.unwrap();
        assert!(time::timeout(Duration::from_millis(5), socket.readable()).await.is_err());
        socket.send_to("self", socket.local_addr().unwrap()).await.0.unwrap();
        socket.readable().await.unwrap();
        socket.readable().await.unwrap();
        assert_eq!(&socket.try_recv_datagram().unwrap().payload[..], b"self");
    })
    .unwrap();
}

#[test]
fn sockets_outlive_their_core_harmlessly() {
    let (socket, kept) = block_on(async {
        let socket = UdpSocket::bind(local()).unwrap();
        let to = socket.local_addr().unwrap();
        socket.send_to("kept", to).await.0.unwrap();
        let kept = socket.recv_datagram().await.unwrap();
        for _ in 0..10 {
            socket.submit_to("lost", to).unwrap();
        }
        (socket, kept)
    })
    .unwrap();
    assert_eq!(&kept.payload[..], b"kept");
    assert!(socket.local_addr().is_err() && socket.submit("late").is_err());
    block_on(async move {
        assert!(socket.recv().await.is_err());
        assert!(socket.send("late").await.0.is_err());
    })
    .unwrap();
}

#[test]
fn what_is_no_udp_socket_is_refused() {
    block_on(async {
        let tcp = std::net::TcpListener::bind(local()).unwrap();
        assert_eq!(UdpSocket::from_socket(tcp.into()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let unix = std::os::unix::net::UnixDatagram::unbound().unwrap();
        assert_eq!(UdpSocket::from_socket(unix.into()).unwrap_err().kind(), ErrorKind::InvalidInput);
        let taken = std::net::UdpSocket::bind(local()).unwrap();
        let error = UdpSocket::bind(taken.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
        let adopted = UdpSocket::from_socket(taken.into()).unwrap();
        adopted.send_to("x", adopted.local_addr().unwrap()).await.0.unwrap();
        assert_eq!(&adopted.recv().await.unwrap()[..], b"x");
    })
    .unwrap();
}
