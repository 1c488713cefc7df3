//! Tasks with a name, a group and a span of their own.

use std::borrow::Cow;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Span;

use super::origin::Origin;
use super::{JoinHandle, TaskGroup};
use crate::cores::context;

/// As [`spawn`](crate::spawn), with a name for reports: panics, stalls and dumps.
///
/// A name costs an allocation; tasks without one pay nothing for those that have one.
///
/// # Panics
/// Outside a core.
#[track_caller]
pub fn spawn_named<F>(name: impl Into<Cow<'static, str>>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    TaskBuilder::new().name(name).spawn(future)
}

/// Settings of a task.
///
/// ```
/// use covet_runtime::{TaskBuilder, TaskGroup, block_on};
///
/// block_on(async {
///     let task = TaskBuilder::new()
///         .name("reindex")
///         .group(&TaskGroup::background())
///         .traced()
///         .spawn(async { 7 });
///     assert_eq!(task.await, Ok(7));
/// })?;
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `spawn`"]
pub struct TaskBuilder {
    name: Option<Cow<'static, str>>,
    group: Option<TaskGroup>,
    span: Option<Span>,
    traced: bool,
}

impl TaskBuilder {
    /// A task like those of [`spawn`](crate::spawn).
    pub fn new() -> TaskBuilder {
        TaskBuilder::default()
    }

    /// A name for reports; it need not be unique.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> TaskBuilder {
        self.name = Some(name.into());
        self
    }

    /// The group whose shares it uses; by default that of the task that spawns it.
    pub fn group(mut self, group: &TaskGroup) -> TaskBuilder {
        self.group = Some(group.clone());
        self
    }

    /// A `tracing` span that is entered for every poll, and while the future is dropped.
    pub fn span(mut self, span: Span) -> TaskBuilder {
        self.span = Some(span);
        self
    }

    /// As [`TaskBuilder::span`], with a span named `task` of level INFO, whose fields are the task's `name` and the
    /// place that it was `spawned` at.
    pub fn traced(mut self) -> TaskBuilder {
        self.traced = true;
        self
    }

    /// Starts the task; see [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// Outside a core, and on another core than the group's.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let at = Location::caller();
        let origin = match &self.name {
            Some(name) => Origin::named(name, at),
            None => at.into(),
        };
        let span = self.span.or_else(|| {
            let name = self.name.as_deref().unwrap_or_default();
            self.traced.then(|| tracing::info_span!("task", name, spawned = %at))
        });
        let group = self.group.unwrap_or_else(|| {
            context::expect_current("a task");
            TaskGroup::current()
        });
        match span {
            Some(span) => group.spawn(Spanned { span, future: ManuallyDrop::new(future) }, origin),
            None => group.spawn(future, origin),
        }
    }
}

/// A future that is polled and dropped inside its span.
struct Spanned<F> {
    span: Span,
    future: ManuallyDrop<F>,
}

impl<F: Future> Future for Spanned<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is pinned with the whole, and dropped in place.
        let (span, future) = unsafe {
            let this = self.get_unchecked_mut();
            (&this.span, Pin::new_unchecked(&mut *this.future))
        };
        let _entered = span.enter();
        future.poll(cx)
    }
}

impl<F> Drop for Spanned<F> {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        // SAFETY: once, as this is the only place, and nobody can use the future afterwards.
        unsafe { ManuallyDrop::drop(&mut self.future) }
    }
}
