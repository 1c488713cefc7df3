//! The contract written by hand on glommio 0.9.

use contract::Arguments;
use contract::engine::Connection;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use rustix::process::{Resource, Rlimit, setrlimit};

async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut connection = Connection::default();
    let mut input = vec![0; 8192];
    let mut output = Vec::with_capacity(4096);
    loop {
        let read = stream.read(&mut input).await?;
        if read == 0 {
            return Ok(());
        }
        let open = connection.receive(&input[..read], &mut output);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if !open {
            return Ok(());
        }
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = listen(port)?;
    loop {
        let Ok(stream) = listener.accept().await else { continue };
        // A connection's failure is its client's affair.
        glommio::spawn_local(async move { drop(converse(stream).await) }).detach();
    }
}

