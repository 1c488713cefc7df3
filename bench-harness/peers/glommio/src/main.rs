//! The contract written by hand on glommio 0.9.

use std::os::fd::{FromRawFd, IntoRawFd};

use contract::Arguments;
use contract::engine::Connection;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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

/// glommio's own `bind` has a backlog of 1024 and no `TCP_NODELAY`; the contract's socket has both right.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = contract::listener(port);
    listener.set_nonblocking(false)?;
    // SAFETY: `into_raw_fd` gives up the descriptor, so the new listener is its only owner.
    #[allow(unsafe_code, reason = "the only way to hand glommio a socket that listens already")]
    let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
    Ok(listener)
}

/// glommio registers its buffers with each ring, which counts as locked memory. Where not even the hard limit is
/// enough, it stops with a message of its own.
fn lift_memlock() {
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        let maximum = getrlimit(Resource::Memlock).maximum;
        if let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum }) {
            eprintln!("memlock limit left as it is: {error}");
        }
    }
}

fn main() {
    let arguments = Arguments::from_process();
    lift_memlock();
    let executors: Vec<_> = (0..arguments.cores)
        .map(|cpu| {
            LocalExecutorBuilder::new(Placement::Fixed(cpu))
                .name(&format!("peer-{cpu}"))
                .spawn(move || serve(arguments.port))
                .expect("an executor at start-up")
        })
        .collect();
    for executor in executors {
        executor.join().expect("the executor's thread").expect("a listener at start-up");
    }
}
