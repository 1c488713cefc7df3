//! Endpoints: handlers and middleware with their types erased, and the reuse of their futures' memory.
//!
//! The future of an `async fn` needs memory of its own, because it must not move once it was
//! polled. An endpoint keeps the blocks of its finished futures and builds the next ones in them,
//! so a route allocates once per request *in flight at the same time*, not once per request.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use covet_http::{Request, Response};

/// How many idle blocks an endpoint keeps beside the first. More requests than this may run at once; the blocks
/// that are too many are freed when their requests end.
const SPARE_BLOCKS: usize = 16;

/// Something that answers requests, its type erased.
pub(crate) struct Endpoint {
    new_block: Box<dyn Fn() -> Box<dyn Block>>,
    /// The idle block that comes next. Where handlers do not wait, it is the only one.
    next: Cell<Option<Box<dyn Block>>>,
    spare: RefCell<Vec<Box<dyn Block>>>,
}

/// The memory of one future, and the means to build the future in it.
trait Block {
    /// Builds the future for `request`.
    fn start(&mut self, request: Request);
    /// Polls the future; once it is ready it is dropped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response>;
    /// Drops the future, if it is still there.
    fn clear(&mut self);
}

struct FutureBlock<C, Fut> {
    call: C,
    future: Pin<Box<Option<Fut>>>,
}

impl<C, Fut> Block for FutureBlock<C, Fut>
where
    C: Fn(Request) -> Fut,
    Fut: Future<Output = Response>,
{
    #[inline]
    fn start(&mut self, request: Request) {
        self.future.set(Some((self.call)(request)));
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let future =
            self.future.as_mut().as_pin_mut().expect("a block is polled only between start and ready");
        // The result is passed on whole: taking the response out and wrapping it again moves it twice.
        let result = future.poll(cx);
        if result.is_ready() {
            self.future.set(None);
        }
        result
    }

    fn clear(&mut self) {
        self.future.set(None);
    }
}

impl Endpoint {
    /// An endpoint that answers with the futures that `call` makes.
    pub(crate) fn new<C, Fut>(call: C) -> Self
    where
        C: Fn(Request) -> Fut + Clone + 'static,
        Fut: Future<Output = Response> + 'static,
    {
        let new_block =
            move || Box::new(FutureBlock { call: call.clone(), future: Box::pin(None) }) as Box<dyn Block>;
        Self { new_block: Box::new(new_block), next: Cell::new(None), spare: RefCell::default() }
    }

    #[inline]
    pub(crate) fn call(&self, request: Request) -> RouteFuture<'_> {
        let mut block = self.next.take().unwrap_or_else(|| self.other_block());
        block.start(request);
        RouteFuture { home: self, block: Some(block) }
    }

    #[cold]
    fn other_block(&self) -> Box<dyn Block> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| (self.new_block)())
    }

    #[inline]
    fn take_back(&self, block: Box<dyn Block>) {
        if let Some(displaced) = self.next.replace(Some(block)) {
            self.keep(displaced);
        }
    }

    #[cold]
    fn keep(&self, block: Box<dyn Block>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_BLOCKS {
            spare.push(block);
        }
    }
}

/// The answer to one request by a [`Router`](crate::Router).
///
/// Dropping it drops the handler's future, which cancels what the handler was waiting for.
pub(crate) struct RouteFuture<'r> {
    home: &'r Endpoint,
    block: Option<Box<dyn Block>>,
}

impl Future for RouteFuture<'_> {
    type Output = Response;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let mut block = self.block.take().expect("a future is not polled after it was ready");
        let response = block.poll(cx);
        if response.is_ready() {
            self.home.take_back(block);
        } else {
            self.block = Some(block);
        }
        response
    }
}

impl Drop for RouteFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut block) = self.block.take() {
            block.clear();
            self.home.take_back(block);
        }
    }
}
