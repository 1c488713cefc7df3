use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockRef;

use super::socket_options::Descriptor;
use crate::cores::context::CoreState;
use crate::ring::{Driver, Key};

/// A listening socket of any family: what a `TcpListener` and a `UnixListener` have in common.
pub(super) struct Acceptor {
    pub(super) core: Rc<CoreState>,
    key: Key,
}

impl Acceptor {
    pub(super) fn adopt(core: Rc<CoreState>, socket: OwnedFd) -> io::Result<Acceptor> {
        let key = core.driver.borrow_mut().adopt_listener(socket)?;
        Ok(Acceptor { core, key })
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        Driver::poll_accept(&self.core.driver, self.key, cx)
    }

    pub(super) fn poll_retire(&self, cx: &mut Context<'_>) -> Poll<VecDeque<OwnedFd>> {
        Driver::poll_retire(&self.core.driver, self.key, cx)
    }

    pub(super) fn with_socket<T>(&self, f: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        let descriptor = self.descriptor()?;
        // SAFETY: the driver keeps the socket open for as long as this handle lives.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        f(SockRef::from(&socket))
    }
}

impl Descriptor for Acceptor {
    fn descriptor(&self) -> io::Result<RawFd> {
        self.core.driver.borrow_mut().listener_descriptor(self.key)
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.core.driver.borrow_mut().drop_listener(self.key);
    }
}
