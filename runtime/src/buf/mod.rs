//! Buffers that can be lent to the kernel.

mod aligned;
mod fill;
mod pool;
mod send;

pub use aligned::AlignedBuf;
pub(crate) use aligned::MOST_BYTES;
pub(crate) use fill::Fill;
pub use fill::FillBuf;
pub(crate) use pool::Pool;
pub use pool::PoolBuf;
pub use send::SendBuf;
