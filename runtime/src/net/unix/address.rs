//! Unix addresses, from the standard library's form to the kernel's and back.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::SockAddr;

/// The kernel's limit on a path (`sun_path` of unix(7), without the zero byte that ends it).
const LONGEST_PATH: usize = 107;

/// A path as an address; the error names it.
pub(super) fn from_path(path: &Path) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(path).map_err(|error| {
        let (path, length) = (path.display(), path.as_os_str().len());
        let what = match length > LONGEST_PATH {
            true => format!("{path} has {length} bytes, and a socket's path has at most {LONGEST_PATH}"),
            false => format!("{path} can't be a socket's path: {error}"),
        };
        io::Error::new(error.kind(), what)
    })
}

pub(super) fn to_kernel(address: &SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        return SockAddr::unix(path);
    }
    let Some(name) = address.as_abstract_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an unnamed address leads to no socket"));
    };
    // A leading zero byte is how the kernel tells an abstract name from a path (unix(7)).
    SockAddr::unix(OsStr::from_bytes(&[&[0], name].concat()))
}

/// Anything that is not a name, also of another family, comes out unnamed.
pub(super) fn from_kernel(address: &SockAddr) -> io::Result<SocketAddr> {
    if let Some(path) = address.as_pathname() {
        return SocketAddr::from_pathname(path);
    }
    match address.as_abstract_namespace() {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(""),
    }
}

/// An error of a call on an address, which it names.
pub(super) fn failed(what: &'static str, address: &SocketAddr) -> impl Fn(io::Error) -> io::Error {
    let name = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => path.display().to_string(),
        (_, Some(name)) => format!("@{}", name.escape_ascii()),
        _ => "an unnamed socket".into(),
    };
    move |error| io::Error::new(error.kind(), format!("{what} {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_to_the_kernel_and_back() {
        for address in [
            SocketAddr::from_pathname("/tmp/some.socket").unwrap(),
            SocketAddr::from_abstract_name("some \0 name").unwrap(),
        ] {
            let back = from_kernel(&to_kernel(&address).unwrap()).unwrap();
            assert_eq!(back.as_pathname(), address.as_pathname());
            assert_eq!(back.as_abstract_name(), address.as_abstract_name());
        }
        let unnamed = SocketAddr::from_pathname("").unwrap();
        assert!(to_kernel(&unnamed).is_err());
        assert!(
            failed("connect to", &unnamed)(io::ErrorKind::NotFound.into()).to_string().contains("unnamed")
        );
    }
}
