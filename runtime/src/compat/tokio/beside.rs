use tokio::runtime::Handle;

use crate::Builder;

impl Builder {
    /// Enters a tokio runtime on every core, so that `tokio::spawn`, `tokio::time` and `tokio::net` work in our tasks.
    ///
    /// The runtime goes on living where it lives: its timers and sockets are served, and what `tokio::spawn` starts
    /// runs, on **its** threads; only the task that waits for them is ours, and is woken across threads (a lock, a
    /// system call unless the core is to be woken already, and a turn of the core). For the few calls of a dependency
    /// that is a fair price; a socket that carries the load belongs on the ring.
    ///
    /// It must be driven by threads of its own: a multi-thread runtime, such as the one that this process has already,
    /// or one worker made for it ([`compat::tokio::helper`](super::helper)). A current-thread runtime serves nobody
    /// while nobody is in its `block_on`. It must outlive the cores: what waits for a runtime that has shut down fails.
    /// `spawn_local` needs a `LocalSet`, which runs inside a task of ours like any other future.
    ///
    /// ```
    /// use covet_runtime::{Runtime, compat};
    /// use std::time::Duration;
    ///
    /// let helper = compat::tokio::helper()?;
    /// let sum = Runtime::builder().beside_tokio(helper.handle()).block_on(async {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     tokio::spawn(async { 40 }).await.map(|sum| sum + 2)
    /// })??;
    /// assert_eq!(sum, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn beside_tokio(mut self, runtime: &Handle) -> Builder {
        self.neighbour.tokio = Some(runtime.clone());
        self
    }
}

/// Makes a tokio runtime with one worker thread, `covet-tokio`, for [`Builder::beside_tokio`].
///
/// # Errors
/// When the thread can't be started, or no descriptor is left for its epoll.
pub fn helper() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("covet-tokio")
        .enable_all()
        .build()
}
