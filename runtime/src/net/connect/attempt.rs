use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::SockAddr;

use crate::cores::context::CoreState;
use crate::net::TcpStream;
use crate::ring::{Op, Operation, Payload};

/// A connect that is under way; dropping it gives it up.
pub(super) struct Attempt {
    // The order matters: the connect is cancelled first, then its socket is closed.
    connect: Operation,
    stream: Option<TcpStream>,
}

impl Attempt {
    pub(super) fn start(core: &Rc<CoreState>, socket: OwnedFd, address: SocketAddr) -> io::Result<Attempt> {
        let stream = TcpStream::adopt(core, socket)?;
        let descriptor = stream.descriptor()?;
        let payload = Payload::Address(Box::new(SockAddr::from(address)));
        let connect = Operation::start(core, payload, |payload| {
            let Payload::Address(address) = payload else { unreachable!("the payload made above") };
            Op::Connect { socket: descriptor, address: address.as_ptr().cast(), len: address.len() }
        })
        .map_err(|(error, _)| error)?;
        Ok(Attempt { connect, stream: Some(stream) })
    }
}

impl Future for Attempt {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let (result, _) = ready!(Pin::new(&mut self.connect).poll(cx));
        let stream = self.stream.take().expect("an attempt is not polled again after it was ready");
        Poll::Ready(result.map(|_| stream))
    }
}
