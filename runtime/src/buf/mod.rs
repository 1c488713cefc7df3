//! Buffers that can be lent to the kernel.

mod pool;
mod send;

pub(crate) use pool::Pool;
pub use pool::PoolBuf;
pub use send::SendBuf;
