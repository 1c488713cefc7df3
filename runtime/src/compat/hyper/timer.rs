use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::time;

/// Keeps hyper's time limits by the timers of the core that it is called on.
#[derive(Debug, Clone, Copy, Default)]
pub struct CoreTimer;

impl hyper::rt::Timer for CoreTimer {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HomeSleep::new(time::sleep(length)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HomeSleep::new(time::sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<HomeSleep>() {
            Some(mut ours) => ours.at_home().reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A sleep that says it is `Send`, as hyper demands, and is touched on its own thread only.
struct HomeSleep {
    sleep: Option<time::Sleep>,
    home: ThreadId,
}

// SAFETY: off its home thread nothing but `home` is read: `at_home` panics and `drop` leaks instead.
unsafe impl Send for HomeSleep {}
// SAFETY: no method takes it by shared reference.
unsafe impl Sync for HomeSleep {}

impl HomeSleep {
    fn new(sleep: time::Sleep) -> HomeSleep {
        HomeSleep { sleep: Some(sleep), home: thread::current().id() }
    }

    fn at_home(&mut self) -> &mut time::Sleep {
        assert!(thread::current().id() == self.home, "a timer of a core was carried to another thread");
        self.sleep.as_mut().expect("only `drop` takes the sleep out")
    }
}

impl Future for HomeSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self.at_home()).poll(cx)
    }
}

impl hyper::rt::Sleep for HomeSleep {}

impl Drop for HomeSleep {
    fn drop(&mut self) {
        if thread::current().id() != self.home {
            tracing::error!("a timer of a core was dropped on another thread; leaking it");
            std::mem::forget(self.sleep.take());
        }
    }
}
