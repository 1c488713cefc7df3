//! What tasks, timers and connections cost the allocator.

mod counting_allocator;

use std::time::Duration;

use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{block_on, spawn, time, yield_now};

#[test]
fn one_allocation_per_spawn_and_none_per_wake() {
    block_on(async {
        let mut handles = Vec::with_capacity(200);
        let before = counting_allocator::calls();
        for n in 0..200u64 {
            handles.push(spawn(async move {
                yield_now().await;
                n
            }));
        }
        assert_eq!(counting_allocator::calls() - before, 200, "one per spawn");
        let before = counting_allocator::calls();
        for (n, handle) in handles.drain(..).enumerate() {
            assert_eq!(handle.await, Ok(n as u64));
        }
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(counting_allocator::calls() - before, 0, "none to run, wake and join");
    })
    .unwrap();
}

#[test]
fn timers_and_messages_allocate_nothing_once_warm() {
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        spawn(async move {
            while let Ok(bytes) = server.recv().await {
                if bytes.is_empty() {
                    return;
                }
                server.flush().await.unwrap();
                server.submit_send("pong").unwrap();
            }
        })
        .detach();
        let timer = time::sleep(Duration::from_secs(60));
        let mut warm = 0;
        for round in 0..1200 {
            if round == 200 {
                warm = counting_allocator::calls();
            }
            timer.reset(time::now() + Duration::from_secs(60));
            drop(time::sleep(Duration::from_secs(1)));
            client.flush().await.unwrap();
            client.submit_send("ping").unwrap();
            assert_eq!(&client.recv().await.unwrap()[..], b"pong");
        }
        assert_eq!(counting_allocator::calls() - warm, 0, "over a thousand round trips");
    })
    .unwrap();
}
