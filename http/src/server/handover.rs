//! The handshake ahead of everything else, after which the kernel takes over.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use covet_runtime::buf::PoolBuf;

use super::link::Link;

/// Room for what comes during a handshake.
const ROOM: usize = 4096;
/// How often the rest of a record is read after the handshake before the connection goes on without the kernel.
const TRIES: u32 = 8;

/// Makes the handshake, reading from the socket no more than is looked at, and leaves what comes next to the kernel if it
/// has the cipher that was agreed on.
///
/// # Errors
/// When the connection is over.
pub(super) async fn hand_over(link: &Link) -> io::Result<()> {
    let Some((socket, secure)) = link.stream.may_leave_to_kernel() else { return Ok(()) };
    let mut plain = PoolBuf::take();
    let mut tries = 0;
    loop {
        let (received, mut bytes) = in_time(link, socket.read(Vec::with_capacity(ROOM))).await?;
        if received? == 0 {
            secure.incomplete_close(&link.input)?;
            break;
        }
        let outcome = secure.receive(&mut bytes, &mut plain);
        if let Some(wire) = secure.take_wire() {
            socket.submit_send(wire)?;
            in_time(link, socket.flush()).await??;
        }
        outcome?;
        if secure.is_handshaking() {
            continue;
        }
        tries += 1;
        if secure.leave_to_kernel(socket)? || tries == TRIES {
            break;
        }
    }
    secure.deliver(plain, &link.input);
    Ok(())
}

/// Waits for it at most as long as the handshake may take, or the shutdown leaves time.
async fn in_time<T>(link: &Link, future: impl Future<Output = T>) -> io::Result<T> {
    let mut future = pin!(future);
    let mut parting = false;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if link.shared.is_closing() && !parting {
            parting = true;
            link.set_timer(link.shared.config.timeouts.farewell);
        }
        link.poll_timer(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}
