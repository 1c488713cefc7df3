//! Thousands of random operations, dropped at random moments: at the end nothing may be missing.

use std::cell::RefCell;
use std::net::Shutdown;
use std::rc::Rc;

use super::alone::alone;
use super::*;
use crate::buf::{PoolBuf, SendBuf};
use crate::{JoinHandle, spawn, yield_now};

/// Marsaglia's xorshift: the same choices for the same seed.
#[derive(Clone)]
struct Choices(Rc<RefCell<u64>>);

impl Choices {
    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.borrow_mut();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % limit
    }

    fn buffer(&self) -> SendBuf {
        let len = [0, 1, 300, 4096, 70_000, 2 << 20][self.below(6) as usize];
        match self.below(3) {
            0 => vec![1; len].into(),
            1 => bytes::Bytes::from(vec![2; len]).into(),
            _ => {
                let mut buffer = PoolBuf::take();
                buffer.resize(len, 3);
                buffer.into()
            }
        }
    }

    /// Polls a future for a random time, which is often too short for it.
    async fn some_time_for<F: Future>(&self, future: F) -> Option<F::Output> {
        match self.below(4) {
            0 => touch(future).await,
            1 => time::timeout(Duration::ZERO, future).await.ok(),
            2 => time::timeout(Duration::from_micros(self.below(400)), future).await.ok(),
            _ => time::timeout(Duration::from_millis(2), future).await.ok(),
        }
    }
}

/// Does random things to one stream, then drops it at a random moment.
async fn ill_treat(stream: TcpStream, choices: Choices) {
    let mut kept = Vec::new();
    for _ in 0..choices.below(12) {
        match choices.below(9) {
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
            _ => match choices.below(3) {
                0 => kept.clear(),
                1 => drop(stream.set_reset_on_close()),
                _ => yield_now().await,
            },
        }
    }
}

async fn run_wild(seed: u64) {
    let choices = Choices(Rc::new(RefCell::new(seed)));
    let mut tasks: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..12 {
        let listener = Rc::new(TcpListener::bind(local()).unwrap());
        let address = listener.local_addr().unwrap();
        for _ in 0..40 {
            let (random, listener) = (choices.clone(), listener.clone());
            tasks.push(match choices.below(2) {
                0 => spawn(async move {
                    if let Some(Ok(stream)) = random.some_time_for(TcpStream::connect(address)).await {
                        ill_treat(stream, random).await;
                    }
                }),
                _ => spawn(async move {
                    if let Some(Ok(stream)) = random.some_time_for(listener.accept()).await {
                        ill_treat(stream, random).await;
                    }
                }),
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

#[test]
fn nothing_is_missing_after_thousands_of_random_operations() {
    alone("ring::tests::chaos::nothing_is_missing_after_thousands_of_random_operations", || {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        let end = Instant::now() + Duration::from_secs(4);
        let mut seed = 0x9E37_79B9_7F4A_7C15;
        let mut rounds = 0;
        while rounds < 12 && Instant::now() < end {
            let builder = if rounds % 2 == 0 { tiny() } else { Builder::default() };
            println!("seed {seed:#x}");
            builder.block_on(run_wild(seed)).unwrap();
            assert_eq!(descriptors(), before, "descriptors leaked");
            seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            rounds += 1;
        }
        assert!(rounds >= 2);
        // And once more with the end of the core in the midst of it all.
        for seed in 1..6u64 {
            tiny()
                .block_on(async move {
                    spawn(run_wild(seed)).detach();
                    time::sleep(Duration::from_millis(seed * 7)).await;
                })
                .unwrap();
            assert_eq!(descriptors(), before, "descriptors leaked by a core that ended");
        }
    });
}
