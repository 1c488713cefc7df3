//! Panics in other people's code: wakers, destructors, owners of buffers. None may end a core.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{CoreSet, JoinError, Runtime, block_on, shutdown, spawn, time, yield_now};

const PATIENCE: Duration = Duration::from_secs(20);

/// A waker that counts its calls and panics at each.
#[derive(Default)]
struct Bad(AtomicUsize);

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a waker, on purpose");
    }
}

impl Bad {
    fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }

    async fn until_called(&self, times: usize) {
        let end = Instant::now() + PATIENCE;
        while self.0.load(Ordering::SeqCst) < times {
            assert!(Instant::now() < end, "the waker was not called");
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[test]
fn a_waker_that_panics_stops_no_timer() {
    block_on(async {
        let bad = Arc::new(Bad::default());
        let due = time::now() + Duration::from_millis(5);
        // Several at once: the panic of the first must not swallow the others.
        let mut timers: Vec<_> = (0..3).map(|_| Box::pin(time::sleep_until(due))).collect();
        for timer in &mut timers {
            assert!(bad.poll(timer.as_mut()).is_pending());
        }
        let beside = spawn(time::sleep_until(due));
        bad.until_called(3).await;
        beside.await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_waker_that_panics_stops_no_completion() {
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        let bad = Arc::new(Bad::default());
        let mut receive = pin!(server.recv());
        assert!(bad.poll(receive.as_mut()).is_pending());
        client.write_all("ping").await.0.unwrap();
        bad.until_called(1).await;
        assert_eq!(&receive.await.unwrap()[..], b"ping");
    })
    .unwrap();
}

#[test]
fn the_owner_of_a_buffer_may_panic_when_it_is_dropped() {
    struct Owner(Arc<AtomicUsize>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"lent"
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("the owner of a buffer, on purpose");
        }
    }
    block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap();
        let drops = Arc::new(AtomicUsize::new(0));
        for round in 1..=3 {
            client.flush().await.unwrap();
            client.submit_send(Bytes::from_owner(Owner(drops.clone()))).unwrap();
            assert_eq!(&server.recv().await.unwrap()[..], b"lent");
            let end = Instant::now() + PATIENCE;
            while drops.load(Ordering::SeqCst) < round {
                assert!(Instant::now() < end, "the buffer was not given back");
                time::sleep(Duration::from_millis(1)).await;
            }
        }
    })
    .unwrap();
}

#[test]
fn a_waker_that_panics_does_not_hide_the_shutdown_from_others() {
    let bad = Arc::new(Bad::default());
    let calls = bad.clone();
    let (send, polite) = std::sync::mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .start(move |_| {
            let (bad, send) = (bad.clone(), send.clone());
            async move {
                let mut first = Box::pin(shutdown::requested());
                assert!(bad.poll(first.as_mut()).is_pending());
                send.send("waiting").unwrap();
                shutdown::requested().await;
                send.send("told").unwrap();
            }
        })
        .unwrap();
    assert_eq!(polite.recv_timeout(PATIENCE), Ok("waiting"));
    runtime.shutdown(PATIENCE);
    assert_eq!(polite.recv_timeout(PATIENCE), Ok("told"));
    runtime.join().unwrap();
    assert_eq!(calls.0.load(Ordering::SeqCst), 1);
}

struct PanicsWhenDropped(Arc<AtomicUsize>);

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a destructor, on purpose");
    }
}

#[test]
fn destructors_that_panic_at_the_end_stop_no_other_and_no_core() {
    let drops = Arc::new(AtomicUsize::new(0));
    let seen = drops.clone();
    let runtime = Runtime::builder()
        .start(move |_| {
            let drops = drops.clone();
            async move {
                for _ in 0..10 {
                    let guard = PanicsWhenDropped(drops.clone());
                    spawn(async move {
                        let _guard = guard;
                        pending::<()>().await;
                    })
                    .detach();
                }
                yield_now().await;
            }
        })
        .unwrap();
    let cores = CoreSet::all().resolve().unwrap().len();
    runtime.shutdown(Duration::from_millis(50));
    runtime.join().unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 10 * cores);

    // A future that is dropped by hand, and one that block_on leaves behind.
    let value = block_on(async {
        let guard = PanicsWhenDropped(seen.clone());
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await, Err(JoinError::Cancelled));
        let guard = PanicsWhenDropped(seen.clone());
        spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        })
        .detach();
        yield_now().await;
        7
    });
    assert_eq!(value.unwrap(), 7);
    assert_eq!(seen.load(Ordering::SeqCst), 10 * cores + 2);
}

#[test]
fn a_task_that_panics_leaves_its_neighbours_their_timers_and_its_group() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let bad: Vec<_> = (0..100)
            .map(|n| {
                spawn(async move {
                    time::sleep(Duration::from_micros(n * 10)).await;
                    panic!("number {n}, on purpose");
                })
            })
            .collect();
        let count = polls.clone();
        let good = spawn(async move {
            for _ in 0..50 {
                time::sleep(Duration::from_micros(100)).await;
                count.set(count.get() + 1);
            }
        });
        for (n, task) in bad.into_iter().enumerate() {
            assert_eq!(task.await, Err::<(), _>(JoinError::Panicked(format!("number {n}, on purpose"))));
        }
        good.await.unwrap();
        assert_eq!(polls.get(), 50);
        // A poll that panics after it has registered a waker leaves nothing behind that wakes it.
        let wakers: Rc<Cell<Option<Waker>>> = Rc::default();
        let keep = wakers.clone();
        let task = spawn(poll_fn(move |cx| -> Poll<()> {
            keep.set(Some(cx.waker().clone()));
            panic!("after registering, on purpose");
        }));
        assert!(task.await.is_err());
        wakers.take().expect("the poll has left it").wake();
        yield_now().await;
    })
    .unwrap();
}
