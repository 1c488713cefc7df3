//! TCP echo on glommio.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use runtime_peers::{Arguments, lift_limits, listener};

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
    lift_limits();
    LocalExecutorBuilder::new(Placement::Fixed(arguments.core))
        .spawn(move || async move {
            let descriptor = listener(arguments.port).into_raw_fd();
            // SAFETY: `into_raw_fd` gave the descriptor up, so the new listener is its only owner.
            let listener = unsafe { TcpListener::from_raw_fd(descriptor) };
            loop {
                let Ok(stream) = listener.accept().await else { continue };
                // A connection's failure is its client's affair.
                glommio::spawn_local(async move { drop(echo(stream).await) }).detach();
            }
        })
        .expect("an executor")
        .join()
        .expect("the executor goes on");
}
