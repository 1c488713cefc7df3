//! TCP echo on tokio's current-thread runtime.

use std::io;

use runtime_peers::{Arguments, listener, pin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read]).await?;
    }
}

fn main() {
    let arguments = Arguments::from_process();
    pin(arguments.core);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = listener(arguments.port);
        listener.set_nonblocking(true).expect("an open socket");
        let listener = TcpListener::from_std(listener).expect("a listener");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // A connection's failure is its client's affair.
            tokio::task::spawn_local(async move { drop(echo(stream).await) });
        }
    });
}
