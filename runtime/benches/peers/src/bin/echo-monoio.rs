//! TCP echo on monoio's io_uring driver.

use std::io;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};
use runtime_peers::{Arguments, lift_limits, listener, pin};

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let (read, returned) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, returned) = stream.write_all(returned).await;
        written?;
        buffer = returned;
        buffer.clear();
    }
}

fn main() {
    let arguments = Arguments::from_process();
    pin(arguments.core);
    lift_limits();
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new().build().expect("a ring");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener(arguments.port)).expect("a listener");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // A connection's failure is its client's affair.
            monoio::spawn(async move { drop(echo(stream).await) });
        }
    });
}
