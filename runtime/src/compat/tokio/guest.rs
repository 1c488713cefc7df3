use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::cores::context::CoreState;
use crate::cores::{Ended, GuestCore, Turned};
use crate::ring::Wait;
use crate::{Builder, JoinHandle, ShutdownHandle, StartError};

/// Turns that a guest runs before it lets tokio's other tasks have their turn.
const TURNS: usize = 8;

/// Makes a core that has no loop of its own: it runs inside a future of tokio's, on the calling thread.
///
/// It is one core, however many the builder names; as with [`Builder::block_on`], the thread is pinned only if exactly
/// one was chosen.
///
/// ```
/// use covet_runtime::{Runtime, compat, net::{TcpListener, TcpStream}};
///
/// let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let answer = tokio.block_on(async {
///     let guest = compat::tokio::guest(Runtime::builder())?;
///     guest.run(async {
///         let listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
///         let client = TcpStream::connect(listener.local_addr()?).await?;
///         client.write_all("hello").await.0?;
///         // Timers of either family work; this one is tokio's.
///         tokio::time::sleep(std::time::Duration::from_millis(1)).await;
///         let server = listener.accept().await?;
///         server.recv().await.map(|bytes| bytes.to_vec())
///     }).await
/// })??;
/// assert_eq!(answer, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As for [`Builder::block_on`].
pub fn guest(builder: Builder) -> Result<Guest, StartError> {
    Ok(Guest { core: GuestCore::new(builder)? })
}

/// A core that is driven by a tokio runtime; made by [`guest`].
///
/// It belongs to the thread that made it. Dropping it cancels its tasks and waits, in the way of [`Builder::block_on`]'s
/// end, until the kernel has given back what it was lent.
#[must_use = "a guest does nothing until it is run"]
pub struct Guest {
    core: GuestCore,
}

impl Guest {
    /// Runs the core until `main` is ready; tasks left over are cancelled then.
    ///
    /// Await it in [`tokio::runtime::Runtime::block_on`], or spawn it onto a [`tokio::task::LocalSet`]. Dropping the
    /// future ends the core.
    ///
    /// # Errors
    /// When the ring fails, or a shutdown came before the end of `main`.
    ///
    /// # Panics
    /// Outside a tokio runtime, in one without I/O or time, inside a core, and if `main` panics.
    #[track_caller]
    pub fn run<F>(mut self, main: F) -> impl Future<Output = Result<F::Output, StartError>>
    where
        F: Future + 'static,
    {
        let output = Rc::new(RefCell::new(None));
        let slot = output.clone();
        let body = async move {
            let value = main.await;
            *slot.borrow_mut() = Some(value);
        };
        self.core.start(body, Location::caller());
        async move {
            drive(&mut self.core).await?;
            let panicked = self.core.panic_of_main();
            drop(self);
            match (output.take(), panicked) {
                (Some(value), _) => Ok(value),
                (None, Some(text)) => panic!("{text}"),
                (None, None) => Err(StartError::ShutDown),
            }
        }
    }

    /// A handle by which tokio's tasks on this thread start tasks on the core.
    pub fn handle(&self) -> GuestHandle {
        GuestHandle { core: self.core.core().clone(), thread: PhantomData }
    }

    /// A handle that can shut the core down from anywhere.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.core.shutdown_handle()
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

/// Starts tasks on a [`Guest`] from the tokio tasks beside it.
///
/// Streams, listeners and timers of the core belong into such tasks: only in a turn of the core does what they ask for
/// reach the kernel. Channels and join handles work across.
#[derive(Clone)]
pub struct GuestHandle {
    core: Rc<CoreState>,
    thread: PhantomData<*mut ()>,
}

impl GuestHandle {
    /// Starts a task on the core; see [`crate::spawn`]. If the core has ended, the task is cancelled at once.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let task = self.core.executor.spawn(future, Location::caller());
        if self.core.driver.borrow().is_closed() {
            self.core.executor.cancel_all();
        } else {
            self.core.executor.nudge();
        }
        task
    }
}

impl std::fmt::Debug for GuestHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestHandle").field("tasks", &self.core.executor.live()).finish()
    }
}

/// Runs turns until the core's loop is over, and waits in between as tokio waits.
async fn drive(core: &mut GuestCore) -> Result<Ended, StartError> {
    let failed = |source| StartError::Io { step: "watch the ring from tokio", source };
    let watch = |event: OwnedFd| {
        // SAFETY: an `OwnedFd` is one and the same open descriptor until it is dropped, and `AsyncFd` alone has it.
        unsafe { AsyncFd::register_with_interest(event, Interest::READABLE) }
            .map_err(|error| failed(error.into_parts().1))
    };
    let [completions, wakes] = core.wait_elsewhere().map_err(failed)?;
    let watched = [watch(completions)?, watch(wakes)?];
    let mut alarm = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        for _ in 0..TURNS {
            match core.turn()? {
                Turned::Ended(ended) => return Poll::Ready(Ok(ended)),
                Turned::Wait(Wait::No) => continue,
                Turned::Wait(wait) => {
                    let mut ready = false;
                    for descriptor in &watched {
                        if let Poll::Ready(guard) = descriptor.poll_read_ready(cx) {
                            // What was signalled until now is found by the turn that follows; what comes later is a
                            // new edge. Only this order misses none.
                            guard.map_err(failed)?.clear_ready();
                            ready = true;
                        }
                    }
                    if !ready && !rings_now(alarm.as_mut(), wait, cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
        // Tokio's own driver and the tasks beside us come first now.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Sets the alarm for the end of the wait; `true` if that is now. Tokio counts time in milliseconds and rounds up.
fn rings_now(mut alarm: Pin<&mut Sleep>, wait: Wait, cx: &mut Context<'_>) -> bool {
    let Wait::AtMost(limit) = wait else { return false };
    let Some(end) = Instant::now().checked_add(limit) else { return false };
    alarm.as_mut().reset(end);
    alarm.poll(cx).is_ready()
}
