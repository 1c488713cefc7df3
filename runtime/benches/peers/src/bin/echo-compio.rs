//! TCP echo on compio's io_uring driver.

use std::io;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use runtime_peers::{Arguments, lift_limits, listener, pin};

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let BufResult(read, returned) = stream.read(buffer).await;
        if read? == 0 {
            return Ok(());
        }
        let BufResult(written, returned) = stream.write_all(returned).await;
        written?;
        buffer = returned;
        buffer.clear();
    }
}

fn main() {
    let arguments = Arguments::from_process();
    pin(arguments.core);
    lift_limits();
    let runtime = compio::runtime::Runtime::new().expect("a ring");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener(arguments.port)).expect("a listener");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // A connection's failure is its client's affair.
            compio::runtime::spawn(async move { drop(echo(stream).await) }).detach();
        }
    });
}
