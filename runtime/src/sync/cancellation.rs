use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use slab::Slab;

use super::event::Event;
use super::waiters::wake_each;

/// Tells tasks to stop, and the tasks that those have started.
///
/// Clones are the same token. A child is cancelled with its parent, but not the other way round.
///
/// ```
/// use covet_runtime::{spawn, sync::CancellationToken};
///
/// covet_runtime::block_on(async {
///     let server = CancellationToken::new();
///     let request = server.child_token();
///     let handler = spawn(async move { request.run_until_cancelled(std::future::pending::<()>()).await });
///     server.cancel();
///     assert_eq!(handler.await, Ok(None));
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
#[derive(Clone)]
pub struct CancellationToken {
    node: Rc<Node>,
}

struct Node {
    cancelled: Event,
    children: RefCell<Slab<Weak<Node>>>,
    /// The parent, and the place in it that is given back in the end.
    parent: Cell<Option<(Rc<Node>, usize)>>,
}

impl Node {
    fn new() -> Node {
        Node { cancelled: Event::new(), children: RefCell::default(), parent: Cell::new(None) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // In a loop, as a long line of descendants would take the stack down if each dropped the next.
        let mut parent = self.parent.take();
        while let Some((node, place)) = parent.take() {
            node.children.borrow_mut().try_remove(place);
            parent = Rc::into_inner(node).and_then(|node| node.parent.take());
        }
    }
}

impl CancellationToken {
    /// A token without a parent.
    pub fn new() -> CancellationToken {
        CancellationToken { node: Rc::new(Node::new()) }
    }

    /// A token that is cancelled with this one, or by itself; if this one is cancelled already, so is the child.
    pub fn child_token(&self) -> CancellationToken {
        let child = CancellationToken::new();
        if self.is_cancelled() {
            child.node.cancelled.set();
        } else {
            let place = self.node.children.borrow_mut().insert(Rc::downgrade(&child.node));
            child.node.parent.set(Some((self.node.clone(), place)));
        }
        child
    }

    /// Cancels this token and all that descend from it, and only then wakes; a second time does nothing.
    pub fn cancel(&self) {
        let mut line = vec![self.node.clone()];
        let mut wakers = Vec::new();
        while let Some(node) = line.pop() {
            let children = node.children.take();
            line.extend(children.iter().filter_map(|(_, child)| child.upgrade()));
            wakers.extend(node.cancelled.set_silently());
        }
        wake_each(wakers);
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.is_set()
    }

    /// Waits until it is cancelled.
    ///
    /// # Cancellation
    /// Dropping the future gives up nothing.
    #[track_caller]
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { token: self, key: None, at: Location::caller() }
    }

    /// Runs a future until it is ready or this token is cancelled, which is `None`; it is dropped then.
    ///
    /// The token is looked at first: a future that starts cancelled is not polled.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut cancelled = self.cancelled();
        poll_fn(|cx| {
            if Pin::new(&mut cancelled).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn children(&self) -> usize {
        self.node.children.borrow().len()
    }

    /// A guard that cancels this token when it is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { token: Some(self) }
    }
}

impl Default for CancellationToken {
    fn default() -> CancellationToken {
        CancellationToken::new()
    }
}

impl std::fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancellationToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// The future of [`CancellationToken::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled<'a> {
    token: &'a CancellationToken,
    key: Option<usize>,
    at: &'static Location<'static>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Cancelled { token, key, at } = &mut *self;
        token.node.cancelled.poll_wait(key, at, cx)
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.token.node.cancelled.leave(&mut self.key);
    }
}

/// Cancels its token when it is dropped.
#[derive(Debug)]
#[must_use = "a guard that is dropped cancels at once"]
pub struct DropGuard {
    token: Option<CancellationToken>,
}

impl DropGuard {
    /// Gives the token back, uncancelled.
    pub fn disarm(mut self) -> CancellationToken {
        self.token.take().expect("a guard has its token until it is dropped or disarmed")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}
