//! Files on the core's ring.
//!
//! Files and sockets share one ring, and so one system call per turn. What the kernel can't do at once (a read that
//! misses the page cache, an fsync, an open that makes a file) is done by the kernel's own workers or when the device
//! answers: the core goes on.
//!
//! Errors name the operation and the path, and keep the kernel's answer: see [`Error`].

mod copy;
mod direct;
mod directory;
mod error;
mod file;
mod metadata;
mod options;
mod paths;
mod read_ahead;
mod space;
mod transfer;
mod vectored;
mod whole;
mod write_behind;

pub use copy::copy;
pub use directory::{DirEntry, ReadDir, read_dir};
pub use error::{Error, Result};
pub use file::File;
pub use metadata::{DirectAlignment, FileType, Metadata};
pub use options::OpenOptions;
pub use paths::{
    create_dir, create_dir_all, exchange, hard_link, metadata, remove_dir, remove_file, rename, rename_new,
    symlink, symlink_metadata,
};
pub use read_ahead::{ReadAhead, SequentialReader};
pub use space::{Advice, Allocation};
pub use whole::{read, read_to_string, write, write_atomic};
pub use write_behind::{Durability, SequentialWriter, WriteBehind};
