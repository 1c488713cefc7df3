//! A TCP proxy: each connection is passed on to an upstream, both ways.
//!
//! ```text
//! cargo run --release -p covet-runtime --example proxy -- 127.0.0.1:7000 example.org:80
//! ```
//!
//! An end of one direction is passed on as such while the other goes on (half-close). A failure ends both with a
//! reset, so that neither side takes a broken stream for a complete one. With `--splice` before the addresses the bytes
//! stay in the kernel.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use covet_runtime::buf::PoolBuf;
use covet_runtime::net::{ConnectOptions, ListenOptions, PerCoreListener, TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, shutdown, spawn, time};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let splice = arguments.first().is_some_and(|first| first == "--splice");
    if splice {
        arguments.remove(0);
    }
    let [listen, upstream] = &arguments[..] else {
        return Err(
            "usage: proxy [--splice] LISTEN UPSTREAM, such as: proxy 127.0.0.1:7000 example.org:80".into()
        );
    };
    let cores = CoreSet::all();
    let listeners = PerCoreListener::bind(listen.parse()?, &ListenOptions::default(), &cores)?;
    let upstream = upstream.clone();
    let runtime = Runtime::builder().cores(cores).handle_signals(true).start(move |core| {
        let listener = listeners.listener(&core).expect("each core takes its own once");
        let upstream = upstream.clone();
        async move {
            let serving = spawn(serve(listener, upstream, splice));
            shutdown::requested().await;
            // Accepting ends; the connections go on to their own end, or to the deadline.
            serving.cancel();
        }
    })?;
    runtime.join()?;
    Ok(())
}

/// Serves connections until it is dropped.
pub(crate) async fn serve(listener: TcpListener, upstream: String, splice: bool) {
    loop {
        match listener.accept().await {
            Ok(client) => spawn(serve_one(client, upstream.clone(), splice)).detach(),
            Err(error) => {
                eprintln!("accepting failed: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(client: TcpStream, upstream: String, splice: bool) {
    // The name is looked up for each connection; a `Resolver` that remembers it would go into these options.
    let server = match ConnectOptions::default().connect(&upstream).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}");
            let _ = client.set_reset_on_close();
            return;
        }
    };
    let outcome = both(pass_on(&client, &server, splice), pass_on(&server, &client, splice)).await;
    if outcome.is_err() {
        // That a peer breaks off is an everyday matter: the other one is told.
        let _ = client.set_reset_on_close();
        let _ = server.set_reset_on_close();
    }
}

/// One direction, to its end.
async fn pass_on(from: &TcpStream, to: &TcpStream, splice: bool) -> io::Result<()> {
    if splice {
        from.forward(to).await?;
        return to.shutdown(Shutdown::Write).await;
    }
    loop {
        let bytes = from.recv().await?;
        // The last send was under way while these bytes were waited for.
        to.flush().await?;
        if bytes.is_empty() {
            return to.shutdown(Shutdown::Write).await;
        }
        let mut buffer = PoolBuf::take();
        buffer.extend_from_slice(&bytes);
        to.submit_send(buffer)?;
    }
}

/// Waits for both directions, or for the first failure.
async fn both(
    one: impl Future<Output = io::Result<()>>,
    other: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut one_ended, mut other_ended) = (false, false);
    poll_fn(|cx| {
        if !one_ended && let Poll::Ready(outcome) = one.as_mut().poll(cx) {
            outcome?;
            one_ended = true;
        }
        if !other_ended && let Poll::Ready(outcome) = other.as_mut().poll(cx) {
            outcome?;
            other_ended = true;
        }
        if one_ended && other_ended { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}
