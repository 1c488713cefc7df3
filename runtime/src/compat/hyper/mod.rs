//! `hyper::rt` on our cores: the executor, the timer and the I/O that hyper 1 asks for.
//!
//! hyper's servers and clients (`hyper::server::conn`, `hyper::client::conn`) run unchanged, HTTP/1 and HTTP/2, and
//! so does `hyper_util::server::conn::auto`. The pooled client of `hyper_util::client::legacy` wants a connection that
//! is `Send`, which ours is not.

mod io;
mod timer;

use std::future::Future;

pub use timer::CoreTimer;

/// Runs hyper's background tasks, such as HTTP/2 streams, on the core that it is called on.
#[derive(Debug, Clone, Copy, Default)]
pub struct CoreExecutor;

impl<F> hyper::rt::Executor<F> for CoreExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    /// # Panics
    /// Outside a core.
    fn execute(&self, future: F) {
        crate::spawn(future).detach();
    }
}
