//! Buffers that can be lent to the kernel.

mod aligned;
mod fill;
mod huge_page;
mod pool;
mod release;
mod send;

pub use aligned::AlignedBuf;
pub(crate) use aligned::MOST_BYTES;
pub(crate) use fill::Fill;
pub use fill::FillBuf;
pub(crate) use pool::Pool;
pub use pool::PoolBuf;
pub use release::release;
pub use send::SendBuf;
