//! The body of an answer, read from the connection as it is asked for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::Cause;
use super::exchange::{Event, Exchange};
use super::origin::Way;
use super::pool::Pool;
use crate::h1::ResponseError;
use crate::{BodyError, BodySource};

/// Reads a body, and gives the connection back when it is over. Dropping it closes the connection, unless all of the body
/// has arrived.
pub(super) struct IncomingBody {
    exchange: RefCell<Option<Box<Exchange>>>,
    trailers: RefCell<Option<HeaderMap>>,
    pool: Rc<Pool>,
    way: Cell<Option<Way>>,
    /// Bytes that are thrown away at most to keep the connection.
    discards: usize,
}

impl IncomingBody {
    pub(super) fn new(exchange: Exchange, pool: Rc<Pool>, way: Way, discards: usize) -> IncomingBody {
        IncomingBody {
            exchange: RefCell::new(Some(Box::new(exchange))),
            trailers: RefCell::default(),
            pool,
            way: Cell::new(Some(way)),
            discards,
        }
    }

    fn release(&self, exchange: Exchange) {
        if let (Some(transport), Some(way)) = (exchange.into_transport(), self.way.take()) {
            self.pool.put(way, transport);
        }
    }

    /// Throws the rest away, as far as it has arrived and there is not too much of it.
    fn discard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut left = self.discards;
        while left > 0 {
            match ready!(self.poll_chunk(cx)) {
                Some(Ok(bytes)) => left = left.saturating_sub(bytes.len()),
                Some(Err(_)) | None => break,
            }
        }
        Poll::Ready(())
    }
}

impl BodySource for IncomingBody {
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        // It is borrowed already if the request's body is made of this one.
        let Ok(mut slot) = self.exchange.try_borrow_mut() else {
            return Poll::Ready(Some(Err(BodyError::Taken)));
        };
        let Some(exchange) = slot.as_mut() else { return Poll::Ready(None) };
        let error = match ready!(exchange.poll_event(cx)) {
            Ok(Event::Data(bytes)) => return Poll::Ready(Some(Ok(bytes))),
            Ok(Event::End(trailers)) => {
                *self.trailers.borrow_mut() = trailers;
                let over = slot.take();
                drop(slot);
                if let Some(exchange) = over {
                    self.release(*exchange);
                }
                return Poll::Ready(None);
            }
            // A response has one head.
            Ok(Event::Head(_)) => BodyError::Incomplete,
            Err(cause) => body_error(cause),
        };
        let failed = slot.take();
        drop(slot);
        drop(failed);
        Poll::Ready(Some(Err(error)))
    }

    fn remaining(&self) -> Option<u64> {
        match self.exchange.try_borrow().ok()?.as_ref() {
            Some(exchange) => exchange.remaining(),
            None => Some(0),
        }
    }

    fn take_trailers(&self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        let unfinished = self.exchange.get_mut().as_ref().is_some_and(|exchange| exchange.is_sent());
        if unfinished {
            // Only what is there already: nobody waits for the rest.
            let _ = self.discard(&mut Context::from_waker(Waker::noop()));
        }
    }
}

fn body_error(cause: Cause) -> BodyError {
    match cause {
        Cause::Timeout { .. } => BodyError::TimedOut,
        Cause::Io(error) => BodyError::Io(error),
        Cause::Response(ResponseError::Chunk(error)) => error.into(),
        Cause::Response(ResponseError::TruncatedBody { .. }) => BodyError::Incomplete,
        Cause::Response(error) => BodyError::Malformed(Box::new(error)),
        // The request's own body failed while the answer was read.
        cause => BodyError::Source(cause.to_string().into()),
    }
}
