//! Panics as errors.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use covet_runtime::JoinError;

use crate::error::{Error, Result};

/// Polls a future that is not polled again once it has panicked: what was broken half-way is dropped with it.
#[inline]
pub(super) fn poll<T>(answering: Pin<&mut impl Future<Output = T>>, cx: &mut Context<'_>) -> Poll<Result<T>> {
    match catch_unwind(AssertUnwindSafe(|| answering.poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => Poll::Ready(Err(panicked(&*payload))),
    }
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Error {
    Error::internal(format!("a panic: {}", JoinError::panic_text(payload)))
}
