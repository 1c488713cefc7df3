use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use slab::Slab;

use super::waker_cell::WakerCell;
use super::{CancellationToken, oneshot};
use crate::JoinHandle;
use crate::cores::context;
use crate::task::{Primitive, waits_on};

/// Runs `body` with a scope in which it can start tasks, none of which outlives the scope.
///
/// The scope's future is ready when the body and **every** task have ended and their futures have been dropped:
///
/// | What happens | What the scope does |
/// |---|---|
/// | the body returns `Ok` | it waits for the tasks, and returns what the body returned |
/// | the body or a task returns `Err` | it cancels the body and the tasks, and returns the error; the first one counts |
/// | the body or a task panics | the same, and the panic goes on from here with its payload |
/// | the scope's future is dropped | the body is dropped at once, and the tasks are cancelled: each drops its future at its next turn, within this turn of the loop or the next |
///
/// [`ScopeOptions`] has gentler ways to fail. The body runs inside the scope's own future, so it may borrow from
/// around it; tasks can't, as a scope whose future is leaked would leave them with what is gone. What they share goes
/// into an `Rc`.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use covet_runtime::sync::scope;
///
/// let sum = covet_runtime::block_on(scope(async |scope| {
///     let sum = Rc::new(Cell::new(0));
///     for n in 1..=3 {
///         let sum = sum.clone();
///         scope.spawn(async move {
///             sum.set(sum.get() + n);
///             Ok(())
///         });
///     }
///     let product = scope.spawn(async { Ok(6 * 7) });
///     Ok::<_, std::num::ParseIntError>((sum, product.await))
/// }))?
/// .map(|(sum, product)| (sum.get(), product))?;
/// assert_eq!(sum, (6, Some(42)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first error of the body or a task.
///
/// # Panics
/// With the payload of the first panic of the body or a task.
pub async fn scope<T, E: 'static>(body: impl AsyncFnOnce(&Scope<E>) -> Result<T, E>) -> Result<T, E> {
    ScopeOptions::new().run(body).await
}

/// What a scope does with those that run when one of them has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The body and all tasks are cancelled: their futures are dropped where they wait.
    #[default]
    Cancel,
    /// The scope's token is cancelled, and the scope waits for those who watch it to end by themselves.
    Ask,
    /// Nothing: all run to their end.
    Finish,
}

/// Settings of a scope.
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until `run`"]
pub struct ScopeOptions {
    on_failure: OnFailure,
    token: CancellationToken,
}

impl ScopeOptions {
    /// Those of [`scope`].
    pub fn new() -> ScopeOptions {
        ScopeOptions::default()
    }

    /// What happens to the rest when one fails.
    pub fn on_failure(mut self, policy: OnFailure) -> ScopeOptions {
        self.on_failure = policy;
        self
    }

    /// Makes the scope's token a child of this one. A token asks: the body and the tasks have to watch it.
    pub fn under(mut self, parent: &CancellationToken) -> ScopeOptions {
        self.token = parent.child_token();
        self
    }

    /// Runs a scope; see [`scope`].
    ///
    /// # Errors
    /// The first error of the body or a task.
    ///
    /// # Panics
    /// With the payload of the first panic of the body or a task.
    pub async fn run<T, E: 'static>(self, body: impl AsyncFnOnce(&Scope<E>) -> Result<T, E>) -> Result<T, E> {
        let scope = Scope { shared: Rc::new(Shared::new(self)) };
        let shared = &scope.shared;
        let end = End(shared);
        let mut value = None;
        {
            let mut body = pin!(Caught { future: Some(body(&scope)) });
            let outcome = poll_fn(|cx| {
                shared.owner.register(cx.waker());
                waits_on(cx.waker(), Primitive::Tasks, None);
                if shared.failed.get() && shared.options.on_failure == OnFailure::Cancel {
                    return Poll::Ready(None);
                }
                body.as_mut().poll(cx).map(Some)
            });
            match outcome.await {
                Some(Ok(Ok(output))) => value = Some(output),
                Some(Ok(Err(error))) => shared.fail(Failure::Error(error)),
                Some(Err(payload)) => shared.fail(Failure::Panic(payload)),
                None => {}
            }
        }
        poll_fn(|cx| {
            shared.owner.register(cx.waker());
            waits_on(cx.waker(), Primitive::Tasks, None);
            if shared.children.borrow().is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(end);
        let failure = shared.failure.take();
        match (failure, value) {
            (None, Some(value)) => Ok(value),
            (Some(Failure::Error(error)), _) => Err(error),
            (Some(Failure::Panic(payload)), _) => resume_unwind(payload),
            (None, None) => unreachable!("a body without an output has failed"),
        }
    }
}

/// Where the tasks of a running scope are started. Clones are the same scope, and may go into its tasks.
pub struct Scope<E> {
    shared: Rc<Shared<E>>,
}

struct Shared<E> {
    options: ScopeOptions,
    /// The tasks whose futures have not been dropped. A place is vacant between the moment it is reserved and the spawn.
    children: RefCell<Slab<Option<JoinHandle<()>>>>,
    failure: RefCell<Option<Failure<E>>>,
    failed: Cell<bool>,
    over: Cell<bool>,
    owner: WakerCell,
}

enum Failure<E> {
    Error(E),
    Panic(Box<dyn Any + Send>),
}

impl<E> Shared<E> {
    fn new(options: ScopeOptions) -> Shared<E> {
        Shared {
            options,
            children: RefCell::default(),
            failure: RefCell::new(None),
            failed: Cell::new(false),
            over: Cell::new(false),
            owner: WakerCell::new(),
        }
    }

    /// Notes the first failure, and does to the rest what was chosen.
    fn fail(&self, failure: Failure<E>) {
        if self.failed.replace(true) {
            // Outside any borrow: an error may be anything.
            return drop(failure);
        }
        self.failure.replace(Some(failure));
        if self.options.on_failure == OnFailure::Cancel {
            self.cancel_children();
        }
        if self.options.on_failure != OnFailure::Finish {
            self.options.token.cancel();
        }
        self.owner.wake();
    }

    fn cancel_children(&self) {
        for child in self.children.borrow().iter().filter_map(|(_, child)| child.as_ref()) {
            child.cancel();
        }
    }

    fn takes_tasks(&self) -> bool {
        let cancelling = self.failed.get() && self.options.on_failure == OnFailure::Cancel;
        !cancelling && !self.over.get()
    }
}

/// The end of a scope, be it ready or dropped.
struct End<'a, E>(&'a Rc<Shared<E>>);

impl<E> Drop for End<'_, E> {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.owner.clear();
        self.0.cancel_children();
        self.0.options.token.cancel();
    }
}

impl<E: 'static> Scope<E> {
    /// Starts a task in the scope. It may fail, with which the scope fails; its output can be awaited.
    ///
    /// In a scope that is over, or that has failed and is being cancelled, the future is dropped instead.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn spawn<U: 'static>(&self, future: impl Future<Output = Result<U, E>> + 'static) -> Child<U> {
        // Ahead of the place, which a panic would leave taken.
        context::expect_current("Scope::spawn");
        let (send, output) = oneshot::channel();
        if !self.shared.takes_tasks() {
            return Child { output };
        }
        let key = self.shared.children.borrow_mut().insert(None);
        let member = Member { shared: self.shared.clone(), key };
        let handle = crate::spawn(async move {
            // Declared first and so dropped last: by then the future is gone, whatever became of it.
            let member = member;
            let ended = Caught { future: Some(future) }.await;
            match ended {
                // Nobody may want the output.
                Ok(Ok(output)) => drop(send.send(output)),
                Ok(Err(error)) => member.shared.fail(Failure::Error(error)),
                Err(payload) => member.shared.fail(Failure::Panic(payload)),
            }
        });
        self.shared.children.borrow_mut()[key] = Some(handle);
        self.shared.owner.wake();
        Child { output }
    }

    /// The scope's token: cancelled when the scope fails (unless it was told to finish) and when it ends.
    pub fn token(&self) -> &CancellationToken {
        &self.shared.options.token
    }

    /// How many tasks have not ended.
    pub fn running(&self) -> usize {
        self.shared.children.borrow().len()
    }
}

impl<E> Clone for Scope<E> {
    fn clone(&self) -> Scope<E> {
        Scope { shared: self.shared.clone() }
    }
}

impl<E> std::fmt::Debug for Scope<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("running", &self.shared.children.borrow().len()).finish()
    }
}

/// Lies in a task beside its future, and takes the task out of the scope when that is gone.
struct Member<E> {
    shared: Rc<Shared<E>>,
    key: usize,
}

impl<E> Drop for Member<E> {
    fn drop(&mut self) {
        let handle = self.shared.children.borrow_mut().try_remove(self.key);
        drop(handle);
        if self.shared.children.borrow().is_empty() {
            self.shared.owner.wake();
        }
    }
}

/// A task of a scope: awaited, it gives its output, or `None` if it failed or was cancelled.
///
/// To drop it leaves the task running, still inside its scope.
#[derive(Debug)]
pub struct Child<U> {
    output: oneshot::Receiver<U>,
}

impl<U> Future for Child<U> {
    type Output = Option<U>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<U>> {
        Pin::new(&mut self.output).poll(cx).map(Result::ok)
    }
}

/// A future whose panic is its output. What it held has been dropped when it is ready.
struct Caught<F> {
    future: Option<F>,
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is pinned with the whole; it is dropped in place by `Pin::set` and never moved.
        let mut future = unsafe { self.map_unchecked_mut(|caught| &mut caught.future) };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = future
                .as_mut()
                .as_pin_mut()
                .expect("a future is not polled again after it was ready")
                .poll(cx);
            if polled.is_ready() {
                future.as_mut().set(None);
            }
            polled
        }));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                if let Err(second) = catch_unwind(AssertUnwindSafe(|| future.set(None))) {
                    // The first panic is the one that tells what went wrong; the other's payload may panic in turn.
                    std::mem::forget(second);
                }
                Poll::Ready(Err(payload))
            }
        }
    }
}
