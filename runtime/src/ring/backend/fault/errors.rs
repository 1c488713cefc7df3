//! The errors that the manual page of an operation lists.
//!
//! Those of arguments (EBADF, EFAULT, EINVAL, ENOTSOCK) are among them: a module or a file system may answer with any of
//! them, and the driver must come through whatever it is.

use crate::ring::file_op::FileOp;
use crate::ring::op::Op;

/// recv(2), tcp(7), and what a ring adds: no buffer, the end of a multishot operation.
const RECV: &[i32] = &[
    libc::EAGAIN,
    libc::EBADF,
    libc::ECANCELED,
    libc::ECONNREFUSED,
    libc::ECONNRESET,
    libc::EFAULT,
    libc::EINTR,
    libc::EINVAL,
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::ENOTCONN,
    libc::ENOTSOCK,
    libc::ETIMEDOUT,
];

/// send(2), ip(7).
const SEND: &[i32] = &[
    libc::EACCES,
    libc::EAGAIN,
    libc::EALREADY,
    libc::EBADF,
    libc::ECONNRESET,
    libc::EDESTADDRREQ,
    libc::EFAULT,
    libc::EHOSTUNREACH,
    libc::EINTR,
    libc::EINVAL,
    libc::EISCONN,
    libc::EMSGSIZE,
    libc::ENETDOWN,
    libc::ENETUNREACH,
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::ENOTCONN,
    libc::ENOTSOCK,
    libc::EOPNOTSUPP,
    libc::EPIPE,
];

/// accept(2), with the errors of the new connection that Linux passes on.
const ACCEPT: &[i32] = &[
    libc::EAGAIN,
    libc::EBADF,
    libc::ECONNABORTED,
    libc::EFAULT,
    libc::EHOSTDOWN,
    libc::EHOSTUNREACH,
    libc::EINTR,
    libc::EINVAL,
    libc::EMFILE,
    libc::ENETDOWN,
    libc::ENETUNREACH,
    libc::ENFILE,
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::ENONET,
    libc::ENOPROTOOPT,
    libc::ENOSR,
    libc::ENOTSOCK,
    libc::EOPNOTSUPP,
    libc::EPERM,
    libc::EPROTO,
    libc::EPROTONOSUPPORT,
    libc::ESOCKTNOSUPPORT,
    libc::ETIMEDOUT,
];

/// connect(2).
const CONNECT: &[i32] = &[
    libc::EACCES,
    libc::EADDRINUSE,
    libc::EADDRNOTAVAIL,
    libc::EAFNOSUPPORT,
    libc::EAGAIN,
    libc::EALREADY,
    libc::EBADF,
    libc::ECONNREFUSED,
    libc::EFAULT,
    libc::EHOSTUNREACH,
    libc::EINPROGRESS,
    libc::EINTR,
    libc::EISCONN,
    libc::ENETUNREACH,
    libc::ENOTSOCK,
    libc::EPERM,
    libc::EPROTOTYPE,
    libc::ETIMEDOUT,
];

/// read(2), splice(2) and poll(2) of pipes, sockets and event descriptors.
const READ: &[i32] = &[
    libc::EAGAIN,
    libc::EBADF,
    libc::EFAULT,
    libc::EINTR,
    libc::EINVAL,
    libc::EIO,
    libc::EISDIR,
    libc::ENOMEM,
    libc::ESPIPE,
];

/// pread(2) and preadv(2).
const READ_AT: &[i32] = &[
    libc::EAGAIN,
    libc::EBADF,
    libc::EFAULT,
    libc::EINTR,
    libc::EINVAL,
    libc::EIO,
    libc::EISDIR,
    libc::ENXIO,
    libc::EOVERFLOW,
    libc::ESPIPE,
];

/// pwrite(2) and pwritev(2).
const WRITE_AT: &[i32] = &[
    libc::EAGAIN,
    libc::EBADF,
    libc::EDESTADDRREQ,
    libc::EDQUOT,
    libc::EFAULT,
    libc::EFBIG,
    libc::EINTR,
    libc::EINVAL,
    libc::EIO,
    libc::ENOSPC,
    libc::ENXIO,
    libc::EOVERFLOW,
    libc::EPERM,
    libc::EPIPE,
    libc::ESPIPE,
];

/// What walks a path: open(2), statx(2).
const PATH: &[i32] = &[
    libc::EACCES,
    libc::EBADF,
    libc::EBUSY,
    libc::EDQUOT,
    libc::EEXIST,
    libc::EFAULT,
    libc::EFBIG,
    libc::EINTR,
    libc::EINVAL,
    libc::EISDIR,
    libc::ELOOP,
    libc::EMFILE,
    libc::ENAMETOOLONG,
    libc::ENFILE,
    libc::ENODEV,
    libc::ENOENT,
    libc::ENOMEM,
    libc::ENOSPC,
    libc::ENOTDIR,
    libc::ENXIO,
    libc::EOPNOTSUPP,
    libc::EOVERFLOW,
    libc::EPERM,
    libc::EROFS,
    libc::ETXTBSY,
];

/// What changes names: rename(2), unlink(2), mkdir(2), symlink(2), link(2).
const NAME: &[i32] = &[
    libc::EACCES,
    libc::EBADF,
    libc::EBUSY,
    libc::EDQUOT,
    libc::EEXIST,
    libc::EFAULT,
    libc::EINVAL,
    libc::EIO,
    libc::EISDIR,
    libc::ELOOP,
    libc::EMLINK,
    libc::ENAMETOOLONG,
    libc::ENOENT,
    libc::ENOMEM,
    libc::ENOSPC,
    libc::ENOTDIR,
    libc::ENOTEMPTY,
    libc::EPERM,
    libc::EROFS,
    libc::EXDEV,
];

/// fsync(2).
const SYNC: &[i32] =
    &[libc::EBADF, libc::EDQUOT, libc::EINTR, libc::EINVAL, libc::EIO, libc::ENOSPC, libc::EROFS];

/// fallocate(2), ftruncate(2).
const SPACE: &[i32] = &[
    libc::EACCES,
    libc::EBADF,
    libc::EFBIG,
    libc::EINTR,
    libc::EINVAL,
    libc::EIO,
    libc::EISDIR,
    libc::ENODEV,
    libc::ENOSPC,
    libc::ENOSYS,
    libc::EOPNOTSUPP,
    libc::EPERM,
    libc::EROFS,
    libc::ESPIPE,
    libc::ETXTBSY,
];

/// posix_fadvise(2).
const ADVISE: &[i32] = &[libc::EBADF, libc::EINVAL, libc::ESPIPE];

pub(super) fn errors_of(op: Op) -> &'static [i32] {
    match op {
        Op::Recv { .. } | Op::RecvMulti { .. } | Op::RecvMsg { .. } | Op::RecvMsgMulti { .. } => RECV,
        Op::Send { .. } | Op::SendMsg { .. } | Op::SendZeroCopy { .. } => SEND,
        Op::AcceptMulti { .. } => ACCEPT,
        Op::Connect { .. } => CONNECT,
        Op::Read { .. } | Op::Poll { .. } | Op::Splice { .. } => READ,
        Op::File(op) => errors_of_file(op),
        // Those that must be done, whatever they answer.
        _ => &[],
    }
}

fn errors_of_file(op: FileOp) -> &'static [i32] {
    match op {
        FileOp::Open { .. } | FileOp::Stat { .. } => PATH,
        FileOp::Read { .. } | FileOp::ReadVectored { .. } => READ_AT,
        FileOp::Write { .. } | FileOp::WriteVectored { .. } => WRITE_AT,
        FileOp::Sync { .. } => SYNC,
        FileOp::Allocate { .. } | FileOp::Truncate { .. } => SPACE,
        FileOp::Rename { .. }
        | FileOp::Unlink { .. }
        | FileOp::MakeDirectory { .. }
        | FileOp::Symlink { .. }
        | FileOp::Link { .. } => NAME,
        FileOp::Advise { .. } => ADVISE,
    }
}
