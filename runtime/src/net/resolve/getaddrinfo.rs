//! The call of getaddrinfo(3). It blocks, for seconds where a name server is silent.
//!
//! The standard library makes the same call, but hides the code that tells a name that does not exist from a name
//! server that does not answer.

use std::ffi::{CStr, CString};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use super::error::{LookupError, LookupErrorKind};

/// The list that getaddrinfo made, freed with it.
struct List(*mut libc::addrinfo);

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list came from getaddrinfo, and nothing points into it any more.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

/// The addresses of a name, with port 0, in the order of RFC 6724.
pub(super) fn getaddrinfo(host: &str) -> Result<Vec<SocketAddr>, LookupError> {
    let Ok(name) = CString::new(host) else {
        return Err(LookupError::new(host, LookupErrorKind::Invalid, "a zero byte in the name"));
    };
    // SAFETY: addrinfo is plain C data, and all zeroes mean no preference.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    // One answer per address, not one for each type of socket.
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = List(ptr::null_mut());
    // SAFETY: the name ends in a zero byte, and the hints and the place for the answer live through the call.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut list.0) };
    if code != 0 {
        return Err(failure(host, code, io::Error::last_os_error()));
    }
    let mut addresses = Vec::new();
    let mut entry = list.0;
    while !entry.is_null() {
        // SAFETY: entries of the list are valid until it is freed; their addresses are of the family they name.
        let (address, next) = unsafe { (address_of(&*entry), (*entry).ai_next) };
        addresses.extend(address.filter(|address| !addresses.contains(address)));
        entry = next;
    }
    if addresses.is_empty() {
        return Err(LookupError::new(host, LookupErrorKind::NotFound, "it has no IP address"));
    }
    Ok(addresses)
}

/// # Safety
/// `ai_addr` points to an address of the family that it names.
unsafe fn address_of(entry: &libc::addrinfo) -> Option<SocketAddr> {
    if entry.ai_addr.is_null() {
        return None;
    }
    // SAFETY: the caller promises the type; the C library aligns what it allocates.
    match unsafe { i32::from((*entry.ai_addr).sa_family) } {
        libc::AF_INET => {
            // SAFETY: as above.
            let v4 = unsafe { &*entry.ai_addr.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, 0).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*entry.ai_addr.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, 0, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn failure(host: &str, code: i32, system: io::Error) -> LookupError {
    let kind = match code {
        libc::EAI_NONAME | libc::EAI_NODATA => LookupErrorKind::NotFound,
        libc::EAI_AGAIN => LookupErrorKind::Temporary,
        _ => LookupErrorKind::Failed,
    };
    if code == libc::EAI_SYSTEM {
        return LookupError::new(host, kind, system.to_string());
    }
    // SAFETY: gai_strerror answers any code with a constant text.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    LookupError::new(host, kind, text.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_to_itself() {
        let addresses = getaddrinfo("localhost").unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    }

    #[test]
    fn the_zone_of_an_address_is_kept() {
        let addresses = getaddrinfo("fe80::1%lo").unwrap();
        let [SocketAddr::V6(only)] = addresses[..] else { panic!("{addresses:?}") };
        assert_eq!((only.ip().segments()[0], only.scope_id()), (0xfe80, 1));
    }

    #[test]
    fn a_name_that_cannot_exist_is_named() {
        // Two dots in a row: no name server is asked.
        let error = getaddrinfo("no..such").unwrap_err();
        assert_eq!((error.host(), error.kind()), ("no..such", LookupErrorKind::NotFound));
        assert!(error.to_string().contains("no..such"), "{error}");
    }
}
