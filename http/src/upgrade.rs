//! Going on in another protocol on the same connection (RFC 9110 sections 7.8 and 9.3.6).

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use covet_runtime::buf::SendBuf;

/// The connection that comes free once the answer to its last request was sent; from
/// [`Request::upgrade`](crate::Request::upgrade).
///
/// Await it in a task of its own: it is ready only after the handler has answered, with 101 and an Upgrade field, or
/// with 2xx to CONNECT. Dropping it lets the connection go: it is closed behind the answer.
///
/// ```
/// use covet_http::{HeaderValue, Request, Response, StatusCode, header};
///
/// async fn echo(mut request: Request) -> Response {
///     let Some(upgrade) = request.upgrade() else { return Response::with_status(StatusCode::UPGRADE_REQUIRED) };
///     covet_runtime::spawn(async move {
///         let stream = upgrade.await.map_err(std::io::Error::other)?;
///         loop {
///             let bytes = stream.recv().await?;
///             if bytes.is_empty() {
///                 return stream.end().await;
///             }
///             stream.send(bytes).await?;
///         }
///     })
///     .detach();
///     Response::with_status(StatusCode::SWITCHING_PROTOCOLS)
///         .with_header(header::UPGRADE, HeaderValue::from_static("echo"))
/// }
/// ```
pub struct Upgrade {
    slot: Rc<Slot>,
}

/// Why a connection did not come free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The answer was another than 101 (or 2xx to CONNECT), or could not be sent.
    #[error("the request was not answered with a switch of protocols")]
    Declined,
}

/// Where the connection is handed over.
type Slot = RefCell<State>;

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    Awaited(Waker),
    Free(Upgraded),
    Declined,
}

/// The connection's end of an [`Upgrade`]. Dropping it declines.
pub(crate) struct Offer {
    slot: Rc<Slot>,
}

impl Offer {
    pub(crate) fn new() -> (Offer, Upgrade) {
        let slot = Rc::<Slot>::default();
        (Offer { slot: slot.clone() }, Upgrade { slot })
    }

    /// Whether somebody still holds the other end.
    pub(crate) fn is_taken(&self) -> bool {
        Rc::strong_count(&self.slot) > 1
    }

    pub(crate) fn hand_over(self, stream: Upgraded) {
        self.settle(State::Free(stream));
    }

    fn settle(&self, outcome: State) {
        let before = std::mem::replace(&mut *self.slot.borrow_mut(), outcome);
        if let State::Awaited(waker) = before {
            waker.wake();
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if matches!(*self.slot.borrow(), State::Waiting | State::Awaited(_)) {
            self.settle(State::Declined);
        }
    }
}

impl Future for Upgrade {
    type Output = Result<Upgraded, UpgradeError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.borrow_mut();
        match std::mem::replace(&mut *state, State::Declined) {
            State::Free(stream) => Poll::Ready(Ok(stream)),
            State::Declined => Poll::Ready(Err(UpgradeError::Declined)),
            State::Waiting | State::Awaited(_) => {
                *state = State::Awaited(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

/// What an [`Upgraded`] connection is made of.
pub(crate) trait Carrier {
    /// See [`Upgraded::poll_read`].
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        read: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>>;
    fn submit_send(&self, buffer: SendBuf) -> io::Result<()>;
    fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn end(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + '_>>;
    fn peer_addr(&self) -> Option<SocketAddr>;
}

/// A connection that has left HTTP: the bytes behind the request's head, and whatever is sent from now on.
///
/// It is the server's connection still: it counts as one until it is dropped, a shutdown waits for it up to its
/// deadline, and below it may be TLS. Two time limits watch it: [`Timeouts::upgraded`](crate::server::Timeouts::upgraded),
/// while it is read, and [`Timeouts::write`](crate::server::Timeouts::write), while it is flushed. Nobody else sends or
/// receives on it. All methods take `&self`, so that one task may read while another writes; one of each at a time.
///
/// Dropping it closes the connection; a send that has not gone out yet is cancelled, so [`Upgraded::flush`] first.
pub struct Upgraded {
    carrier: Box<dyn Carrier>,
}

impl Upgraded {
    pub(crate) fn new(carrier: impl Carrier + 'static) -> Upgraded {
        Upgraded { carrier: Box::new(carrier) }
    }

    /// Waits for bytes; none mean that the peer has finished sending. Cancel-safe.
    ///
    /// # Errors
    /// Those of recv(2), a reset above all. `TimedOut` when nothing was received or sent for too long. `UnexpectedEof` when a
    /// connection through TLS ends without a close_notify, as somebody on the way may have cut it.
    pub async fn recv(&self) -> io::Result<Bytes> {
        let mut received = Bytes::new();
        poll_fn(|cx| {
            self.poll_read(cx, |bytes| {
                received = Bytes::copy_from_slice(bytes);
                bytes.len()
            })
        })
        .await?;
        Ok(received)
    }

    /// Lends what was received to `read`, where it lies, and returns how many of the bytes that was done with; the
    /// rest is lent again.
    ///
    /// While `read` is done with none of them it is lent more, as more is received: so a decoder may leave a message
    /// that has not come whole, and must bound by itself how long it lets one become. 0 is returned only at the end:
    /// the peer has finished, and what is left will never be whole.
    ///
    /// # Errors
    /// As for [`Upgraded::recv`].
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        self.carrier.poll_read(cx, &mut read)
    }

    /// Sends a buffer behind those before it, once they have been taken by the kernel; does not wait for this one.
    ///
    /// # Errors
    /// When the connection has failed; the buffer is lost then.
    pub async fn send(&self, buffer: impl Into<SendBuf>) -> io::Result<()> {
        self.flush().await?;
        self.carrier.submit_send(buffer.into())
    }

    /// Waits until the kernel has taken what was sent. Cancel-safe.
    ///
    /// # Errors
    /// When sending failed; `TimedOut` when the peer took less than 64 KiB within the time for that.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|cx| self.carrier.poll_sent(cx)).await
    }

    /// Tells the peer that nothing more comes, behind what was sent.
    ///
    /// # Errors
    /// When sending failed.
    pub async fn end(&self) -> io::Result<()> {
        self.flush().await?;
        self.carrier.end().await
    }

    /// The peer's address, where it has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.carrier.peer_addr()
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("peer", &self.peer_addr()).finish_non_exhaustive()
    }
}
