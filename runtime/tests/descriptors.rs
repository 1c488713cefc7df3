//! What the descriptors of sockets are like, on either driver.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use covet_runtime::block_on;
use covet_runtime::net::{StreamSocket, TcpListener, TcpStream, UnixListener, UnixStream};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};

/// Whether a socket goes with an exec, and whether its calls wait.
fn flags(stream: &StreamSocket) -> (bool, bool) {
    let asked = stream.with_descriptor(|descriptor| Ok((fcntl_getfd(descriptor)?, fcntl_getfl(descriptor)?)));
    let (descriptor, file) = asked.expect("the descriptor is open");
    (descriptor.contains(FdFlags::CLOEXEC), !file.contains(OFlags::NONBLOCK))
}

#[test]
fn no_child_inherits_a_connection_and_its_mode_is_left_alone() {
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        let name = format!("covet descriptors {}", std::process::id());
        let unix = SocketAddr::from_abstract_name(name).unwrap();
        let accepting = UnixListener::bind_addr(&unix, &Default::default()).unwrap();
        let asking = UnixStream::connect_addr(&unix).await.unwrap();
        let serving = accepting.accept().await.unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let all: [&StreamSocket; 6] = [&client, &server, &asking, &serving, &one, &other];
        for (index, stream) in all.into_iter().enumerate() {
            assert_eq!(flags(stream), (true, true), "{index}: {stream:?}");
        }
    })
    .unwrap();
}
