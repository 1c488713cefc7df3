//! The contract written by hand on compio's io_uring driver.

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::Runtime;
use contract::Arguments;
use contract::engine::Connection;

async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut connection = Connection::default();
    let mut input = Vec::with_capacity(8192);
    let mut output = Vec::with_capacity(4096);
    loop {
        let BufResult(read, buffer) = stream.read(input).await;
        input = buffer;
        if read? == 0 {
            return Ok(());
        }
        let open = connection.receive(&input, &mut output);
        input.clear();
        if !output.is_empty() {
            let BufResult(written, buffer) = stream.write_all(output).await;
            output = buffer;
            written?;
            output.clear();
        }
        if !open {
            return Ok(());
        }
    }
}

async fn serve(port: u16) -> std::io::Result<()> {
    let listener = TcpListener::from_std(contract::listener(port))?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // A connection's failure is its client's affair.
        compio::runtime::spawn(async move { drop(converse(stream).await) }).detach();
    }
}

fn main() {
    let arguments = Arguments::from_process();
    contract::each_core(arguments.cores, |_| {
        let served = Runtime::new().and_then(|runtime| runtime.block_on(serve(arguments.port)));
        served.expect("a ring and a listener at start-up");
    });
}
