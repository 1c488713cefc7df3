//! Covet as a guest: one core of ours inside an application that runs on tokio, all on one thread.
//!
//! ```text
//! cargo run -p covet-runtime --features tokio-rt --example inside_tokio
//! ```
//!
//! The core serves an echo on its ring; a task of tokio's, beside it, asks by tokio's own socket and keeps time by
//! tokio's own clock. Both share an `Rc`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::compat::tokio::guest;
use covet_runtime::net::TcpListener;
use covet_runtime::{Runtime, spawn, sync};
use tokio::task::LocalSet;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(|line| println!("{line}"))
}

/// Echoes three times, and tells what came back.
pub(crate) fn run(mut tell: impl FnMut(String)) -> Result<(), Box<dyn std::error::Error>> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&tokio, async {
        let guest = guest(Runtime::builder())?;
        let handle = guest.handle();
        let core = tokio::task::spawn_local(guest.run(std::future::pending::<()>()));

        let echoed = Rc::new(Cell::new(0));
        let counted = echoed.clone();
        let (address, told) = sync::oneshot::channel();
        let server = handle.spawn(async move {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
            // If nobody wants to know, nobody will come either.
            let _ = address.send(listener.local_addr()?);
            loop {
                let stream = listener.accept().await?;
                let counted = counted.clone();
                spawn(async move {
                    while let Ok(bytes) = stream.recv().await {
                        counted.set(counted.get() + bytes.len());
                        if bytes.is_empty() || stream.as_ref().write_all(bytes.to_vec()).await.0.is_err() {
                            break;
                        }
                    }
                })
                .detach();
            }
            #[expect(unreachable_code, reason = "it says what the task's errors are")]
            Ok::<(), std::io::Error>(())
        });

        let client = tokio::net::TcpStream::connect(told.await?).await?;
        for round in 1..=3 {
            client.writable().await?;
            client.try_write(b"hello over tokio")?;
            let mut answer = [0; 64];
            let count = loop {
                client.readable().await?;
                match client.try_read(&mut answer) {
                    // Readiness may be that of the answer before.
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    outcome => break outcome?,
                }
            };
            tell(format!("round {round}: {:?}", String::from_utf8_lossy(&answer[..count])));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tell(format!("the core echoed {} bytes", echoed.get()));
        server.cancel();
        core.abort();
        Ok(())
    })
}
