//! The tokio runtime beside our cores, if there is one.

/// Which runtime a core's thread enters for the time of its life.
#[derive(Debug, Clone, Default)]
pub(crate) struct Neighbour {
    #[cfg(feature = "tokio-rt")]
    pub(crate) tokio: Option<tokio::runtime::Handle>,
}

impl Neighbour {
    /// Makes it this thread's runtime until the guard is dropped.
    #[cfg(feature = "tokio-rt")]
    pub(super) fn enter(&self) -> impl Sized + '_ {
        self.tokio.as_ref().map(tokio::runtime::Handle::enter)
    }

    #[cfg(not(feature = "tokio-rt"))]
    pub(super) fn enter(&self) -> impl Sized + '_ {}
}
