//! A TCP echo server on all cores: `cargo run -p covet-runtime --example echo -- 127.0.0.1:7000`, then
//! `nc 127.0.0.1 7000`.
//!
//! Each core has a listener of its own. At a signal it stops accepting, echoes what it has received, tells every peer
//! that this was all, and waits for them to go, for ten seconds at most.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use covet_runtime::buf::PoolBuf;
use covet_runtime::net::{ListenOptions, PerCoreListener, TcpListener, TcpStream};
use covet_runtime::{Builder, CoreSet, Runtime, shutdown, spawn};

#[cfg_attr(test, allow(dead_code, reason = "tests start the parts by themselves"))]
fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let (runtime, address) = start(address.parse()?, Runtime::builder().handle_signals(true))?;
    println!("echoing on {address}");
    runtime.join()?;
    Ok(())
}

/// Starts the server on all cores; port 0 takes a free one.
pub(crate) fn start(address: SocketAddr, builder: Builder) -> Result<(Runtime, SocketAddr), Box<dyn Error>> {
    let cores = CoreSet::all();
    let sockets = PerCoreListener::bind(address, &ListenOptions::default(), &cores)?;
    let address = sockets.local_addr();
    let runtime = builder.cores(cores).start(move |core| {
        let sockets = sockets.clone();
        async move { serve(sockets.listener(&core).expect("each core takes its own once")).await }
    })?;
    Ok((runtime, address))
}

async fn serve(listener: TcpListener) {
    let mut stop = pin!(shutdown::requested());
    while let Some(accepted) = poll_fn(|cx| before(cx, stop.as_mut(), |cx| listener.poll_accept(cx))).await {
        match accepted {
            Ok(stream) => greet(stream),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    // Those who were accepted and not met yet are served to the end as well.
    listener.retire().await.into_iter().for_each(greet);
}

fn greet(stream: TcpStream) {
    spawn(async move {
        if let Err(error) = echo(&stream).await {
            eprintln!("{stream:?}: {error}");
        }
    })
    .detach();
}

async fn echo(stream: &TcpStream) -> io::Result<()> {
    let mut stop = pin!(shutdown::requested());
    while let Some(received) = poll_fn(|cx| before(cx, stop.as_mut(), |cx| stream.poll_recv(cx))).await {
        let received = received?;
        if received.is_empty() {
            return stream.shutdown(Shutdown::Write).await;
        }
        let mut answer = PoolBuf::take();
        answer.extend_from_slice(&received);
        // The buffer goes back to the kernel before we wait for the peer to take the answer.
        drop(received);
        stream.submit_send(answer)?;
        stream.flush().await?;
    }
    stream.shutdown(Shutdown::Write).await?;
    while !stream.recv().await?.is_empty() {}
    Ok(())
}

/// What `poll` brings; nothing once it has nothing to bring and the shutdown has begun.
fn before<T>(
    cx: &mut Context<'_>,
    stop: Pin<&mut shutdown::Requested>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<Option<T>> {
    match poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => stop.poll(cx).map(|()| None),
    }
}
