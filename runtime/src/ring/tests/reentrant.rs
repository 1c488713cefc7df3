//! Wakers and buffers of other people, which do what they like when they are woken or dropped.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable};

use bytes::Bytes;

use super::*;
use crate::spawn;

/// A waker that owns something and drops it with its last clone, or when woken.
struct Owner(RefCell<Option<Box<dyn Any>>>);

impl Owner {
    /// The waker must not leave this thread.
    fn waker(owned: impl Any) -> Waker {
        let owner = Rc::new(Owner(RefCell::new(Some(Box::new(owned)))));
        // SAFETY: the vtable below counts the Rc as wakers must; these tests keep the waker on this thread.
        unsafe { Waker::from_raw(Owner::raw(Rc::into_raw(owner))) }
    }

    fn raw(owner: *const Owner) -> RawWaker {
        static VTABLE: RawWakerVTable = RawWakerVTable::new(
            // SAFETY: (all four) the data is the Rc that `waker` gave away, on the thread that made it.
            |data| unsafe {
                Rc::increment_strong_count(data.cast::<Owner>());
                Owner::raw(data.cast())
            },
            // SAFETY: as above.
            |data| unsafe { drop(Rc::from_raw(data.cast::<Owner>()).0.take()) },
            // SAFETY: as above.
            |data| unsafe { drop((*data.cast::<Owner>()).0.take()) },
            // SAFETY: as above.
            |data| unsafe { Rc::decrement_strong_count(data.cast::<Owner>()) },
        );
        RawWaker::new(owner.cast(), &VTABLE)
    }
}

/// Polls twice: with a waker that owns `owned`, then with another, so that the first is dropped by the slot.
fn replace_waker<F: Future>(future: F, owned: impl Any) {
    let mut future = pin!(future);
    let waker = Owner::waker(owned);
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Something whose drop reaches for the driver, the wheel and the executor.
async fn everything() -> impl Any {
    let (client, server) = pair().await;
    (
        client,
        server,
        time::sleep(Duration::from_secs(60)),
        crate::shutdown::requested(),
        TcpListener::bind(local()),
    )
}

#[test]
fn wakers_may_own_what_belongs_to_the_core() {
    tiny()
        .block_on(async {
            let (ours, _peer) = with_std_peer().await;
            let listener = TcpListener::bind(local()).unwrap();
            replace_waker(ours.recv(), everything().await);
            replace_waker(listener.accept(), everything().await);
            replace_waker(time::sleep(Duration::from_secs(60)), everything().await);
            replace_waker(crate::shutdown::requested(), everything().await);
            ours.submit_send(vec![0; 32 << 20]).unwrap();
            replace_waker(ours.flush(), everything().await);
            let (second, _other_peer) = with_std_peer().await;
            replace_waker(second.read(Vec::with_capacity(8)), everything().await);
            // Woken by a completion, by a timer, and dropped with the handle.
            let (client, server) = pair().await;
            let waker = Owner::waker(everything().await);
            assert!(pin!(server.recv()).poll(&mut Context::from_waker(&waker)).is_pending());
            client.write_all("x").await.0.unwrap();
            let waker = Owner::waker(everything().await);
            let mut soon = Box::pin(time::sleep(Duration::from_millis(1)));
            assert!(soon.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            time::sleep(Duration::from_millis(5)).await;
            let waker = Owner::waker(everything().await);
            assert_eq!(&server.recv().await.unwrap()[..], b"x");
            assert!(pin!(server.recv()).poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            drop((client, server, ours, second, listener));
            assert_nothing_is_lent().await;
        })
        .unwrap();
}

/// Bytes whose owner runs code when the send is over.
struct Told<F: FnMut()>(F);

impl<F: FnMut()> Drop for Told<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<F: FnMut()> AsRef<[u8]> for Told<F> {
    fn as_ref(&self) -> &[u8] {
        b"told"
    }
}

thread_local! {
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn buffers_may_run_code_when_they_are_given_back() {
    let told = || {
        Bytes::from_owner(Told(|| {
            TOLD.set(TOLD.get() + 1);
            // It reaches for the executor and the driver.
            spawn(async {}).detach();
            driver(|_| ());
        }))
    };
    tiny()
        .block_on(async move {
            let (client, server) = pair().await;
            client.submit_send(told()).unwrap();
            client.flush().await.unwrap();
            client.write_vectored(vec![told().into(), told().into()]).await.0.unwrap();
            assert!(touch(client.write_all(told())).await.is_none());
            drop(server);
            time::sleep(Duration::from_millis(5)).await;
            while client.write_all(told()).await.0.is_ok() {}
            let _ = client.submit_send(told());
            drop(client);
            assert_nothing_is_lent().await;
            assert!(TOLD.get() >= 6);
        })
        .unwrap();
}

/// A waker whose every function reaches for the driver.
fn meddling_waker() -> Waker {
    fn meddle() {
        driver(|_| ());
    }
    fn raw() -> RawWaker {
        static VTABLE: RawWakerVTable = RawWakerVTable::new(
            |_| {
                meddle();
                raw()
            },
            |_| meddle(),
            |_| meddle(),
            |_| meddle(),
        );
        RawWaker::new(std::ptr::null(), &VTABLE)
    }
    // SAFETY: the functions ignore their data, and these tests keep the waker on this thread.
    unsafe { Waker::from_raw(raw()) }
}

#[test]
fn wakers_may_use_the_driver_when_they_are_cloned() {
    tiny()
        .block_on(async {
            let (ours, mut peer) = with_std_peer().await;
            let listener = TcpListener::bind(local()).unwrap();
            ours.submit_send(vec![0; 32 << 20]).unwrap();
            let (second, _other_peer) = with_std_peer().await;
            for _ in 0..2 {
                let waker = meddling_waker();
                let mut cx = Context::from_waker(&waker);
                assert!(pin!(ours.recv()).poll(&mut cx).is_pending());
                assert!(pin!(ours.flush()).poll(&mut cx).is_pending());
                assert!(pin!(listener.accept()).poll(&mut cx).is_pending());
                assert!(pin!(second.read(Vec::with_capacity(8))).poll(&mut cx).is_pending());
                // The next poll finds another waker in the slot.
                assert!(pin!(ours.recv()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            std::io::Write::write_all(&mut peer, b"x").unwrap();
            assert_eq!(&ours.recv().await.unwrap()[..], b"x");
            drop((ours, second, listener));
            assert_nothing_is_lent().await;
        })
        .unwrap();
}
