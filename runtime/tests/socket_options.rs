//! Socket options, on sockets of every kind.

use std::time::Duration;

use covet_runtime::net::{Keepalive, TcpListener, TcpStream, UdpSocket, UnixDatagram};
use covet_runtime::{block_on, time};

#[test]
fn options_are_set_on_every_kind_of_socket() {
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        listener.options().set_recv_buffer(32 * 1024).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        assert_eq!(server.options().recv_buffer().unwrap(), 64 * 1024, "inherited from the listener");
        let options = client.options();
        options.set_nodelay(false).unwrap();
        options.set_linger(Some(Duration::ZERO)).unwrap();
        options.set_user_timeout(Some(Duration::from_secs(20))).unwrap();
        options.set_quick_ack(true).unwrap();
        options.set_traffic_class(0x48).unwrap();
        let keepalive =
            Keepalive { idle: Duration::from_secs(9), interval: Duration::from_secs(3), probes: 2 };
        options.set_keepalive(Some(keepalive)).unwrap();
        options.set_keepalive(None).unwrap();
        client.write_all("x").await.0.unwrap();
        assert_eq!(&server.recv().await.unwrap()[..], b"x");
        assert!(server.options().incoming_cpu().unwrap().is_some());
        // The peer may take its time for that, and its SYN counts as well.
        for _ in 0..1000 {
            if options.bytes_acked().unwrap() >= 2 {
                break;
            }
            time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(options.bytes_acked().unwrap(), 2);
        assert!(options.set_device(Some("no such interface")).is_err());
        if let Err(error) = options.set_mark(1) {
            assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        }
        drop(client);
        // The linger time of zero makes the close a reset.
        assert_eq!(server.recv().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        let udp = UdpSocket::bind("[::1]:0".parse().unwrap());
        let udp = udp.or_else(|_| UdpSocket::bind(([127, 0, 0, 1], 0).into())).unwrap();
        udp.options().set_traffic_class(0x48).unwrap();
        udp.options().set_send_buffer(20_000).unwrap();
        assert_eq!(udp.options().send_buffer().unwrap(), 40_000);
        assert!(udp.options().set_nodelay(true).is_err(), "UDP has no such thing");
        let unix = UnixDatagram::unbound().unwrap();
        unix.options().set_send_buffer(20_000).unwrap();
        assert!(unix.options().set_traffic_class(1).is_err());
    })
    .unwrap();
}
