//! TCP echo on Covet's runtime.

use std::future::poll_fn;
use std::io;

use covet_runtime::buf::PoolBuf;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, spawn};
use runtime_peers::Arguments;

async fn echo(stream: TcpStream) -> io::Result<()> {
    loop {
        let received = stream.recv().await?;
        if received.is_empty() {
            return Ok(());
        }
        let mut answer = PoolBuf::take();
        answer.extend_from_slice(&received);
        drop(received);
        stream.submit_send(answer)?;
        poll_fn(|cx| stream.poll_sent(cx)).await?;
    }
}

fn main() {
    let arguments = Arguments::from_process();
    let address = ([127, 0, 0, 1], arguments.port).into();
    let cores = CoreSet::list([arguments.core]);
    let runtime = Runtime::builder()
        .cores(cores)
        .start(move |_| async move {
            let listener = TcpListener::bind(address).expect("the port is free");
            while let Ok(stream) = listener.accept().await {
                // A connection's failure is its client's affair.
                spawn(async move { drop(echo(stream).await) }).detach();
            }
        })
        .expect("a core can be started");
    runtime.join().expect("the core goes on");
}
