//! What a random program does: connections made, used and dropped at random moments.

use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use super::*;
use crate::net::{StreamSocket, UnixListenOptions, UnixListener, UnixStream};
use crate::{JoinHandle, yield_now};

/// Does random things to one stream, then drops it at a random moment.
async fn ill_treat(stream: StreamSocket, choices: Choices) {
    let mut kept = Vec::new();
    for _ in 0..choices.below(12) {
        match choices.below(11) {
            0..3 => {
                if let Some(Ok(bytes)) = choices.some_time_for(stream.recv()).await
                    && choices.below(4) == 0
                {
                    kept.push(bytes);
                }
            }
            3 => drop(choices.some_time_for(stream.read(Vec::with_capacity(100))).await),
            4 => drop(choices.some_time_for(stream.write_all(choices.buffer())).await),
            5 => {
                let buffers = vec![choices.buffer(), choices.buffer(), choices.buffer()];
                drop(choices.some_time_for(stream.write_vectored(buffers)).await);
            }
            6 => drop(stream.submit_send(choices.buffer())),
            7 => {
                let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][choices.below(3) as usize];
                drop(choices.some_time_for(stream.shutdown(how)).await);
            }
            8 => drop(choices.some_time_for(stream.readable()).await),
            9 => drop(choices.some_time_for(stream.peek(10)).await),
            _ => match choices.below(2) {
                0 => kept.clear(),
                _ => yield_now().await,
            },
        }
    }
}

async fn ill_treat_tcp(stream: TcpStream, choices: Choices) {
    if choices.below(4) == 0 {
        drop(stream.set_reset_on_close());
    }
    ill_treat(stream.into(), choices).await;
}

pub(super) async fn run(seed: u64) {
    let choices = Choices(Rc::new(RefCell::new(seed)));
    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
    let scratch = Rc::new(files::Scratch::new(seed));
    for place in 0..12 {
        let listener = Rc::new(TcpListener::bind(local()).unwrap());
        let address = listener.local_addr().unwrap();
        let name = format!("covet-chaos-{}-{seed:x}-{place}", std::process::id());
        let path = SocketAddr::from_abstract_name(name).unwrap();
        let local = Rc::new(UnixListener::bind_addr(&path, &UnixListenOptions::default()).unwrap());
        for _ in 0..40 {
            let (random, listener, local, path) =
                (choices.clone(), listener.clone(), local.clone(), path.clone());
            tasks.push(match choices.below(9) {
                0 | 1 => spawn(async move {
                    if let Some(Ok(stream)) = random.some_time_for(TcpStream::connect(address)).await {
                        ill_treat_tcp(stream, random).await;
                    }
                }),
                2 | 3 => spawn(async move {
                    if let Some(Ok(stream)) = random.some_time_for(listener.accept()).await {
                        ill_treat_tcp(stream, random).await;
                    }
                }),
                4 => spawn(async move {
                    if let Some(Ok(stream)) = random.some_time_for(UnixStream::connect_addr(&path)).await {
                        ill_treat(stream.into(), random).await;
                    }
                }),
                5 => spawn(messages::ill_treat(random)),
                6 | 7 => spawn(async move {
                    if let Some(Ok(stream)) = random.some_time_for(local.accept()).await {
                        ill_treat(stream.into(), random).await;
                    }
                }),
                _ => {
                    let scratch = scratch.clone();
                    spawn(async move { files::ill_treat(&scratch, random).await })
                }
            });
            if choices.below(3) == 0 {
                yield_now().await;
            }
            if choices.below(4) == 0 {
                let chosen = choices.below(tasks.len() as u64) as usize;
                tasks.swap_remove(chosen).cancel();
            }
        }
        if choices.below(2) == 0 {
            time::sleep(Duration::from_micros(choices.below(2000))).await;
        }
    }
    for task in tasks {
        // A cancelled one has been taken out, so whatever else is reported is a panic.
        task.await.unwrap();
    }
    assert_nothing_is_lent().await;
}
