use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType, sockopt};

/// The first descriptor that systemd passes (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;
/// More than this is a mistake in the environment.
const MOST: usize = 4096;

/// Whether the descriptors have been taken: a descriptor has one owner.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The descriptors that systemd, or whoever started this process in its manner, has opened for it.
///
/// They are announced in `LISTEN_FDS` and meant for the process named by `LISTEN_PID`; where that is another process or
/// nothing is announced, the list is empty. They are given out once: a second call finds an empty list. All of them
/// are marked close-on-exec, and the variables are left as they are, since a child process does not bear this one's
/// `LISTEN_PID`. Call it early, before anything else takes descriptors by number.
///
/// # Errors
/// When the variables are malformed, or an announced descriptor is not open; then none is taken.
pub fn listenfds() -> io::Result<Vec<InheritedFd>> {
    let announced = Announced::read(|name| std::env::var_os(name), std::process::id())?;
    if announced.count == 0 || TAKEN.load(Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    for number in announced.numbers() {
        // SAFETY: a descriptor that is not open makes the call fail, which is what is asked here.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC).map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("LISTEN_FDS announces descriptor {number}: {error}"))
        })?;
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let inherited =
        announced.numbers().zip(announced.names.into_iter().chain(std::iter::repeat(String::new())));
    Ok(inherited
        .map(|(number, name)| {
            // SAFETY: whoever started this process opened the descriptor for it and nobody else in it knows of it; TAKEN
            // was false, so this is its only owner.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            InheritedFd { name, number, descriptor }
        })
        .collect())
}

/// What the environment says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Announced {
    count: usize,
    names: Vec<String>,
}

impl Announced {
    fn read(variable: impl Fn(&str) -> Option<OsString>, own: u32) -> io::Result<Announced> {
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let number = |name: &str, text: &str| {
            text.parse::<u32>().map_err(|_| wrong(format!("{name}={text:?} is not a number")))
        };
        let (Some(process), Some(count)) = (text("LISTEN_PID"), text("LISTEN_FDS")) else {
            return Ok(Announced::default());
        };
        if number("LISTEN_PID", &process)? != own {
            return Ok(Announced::default());
        }
        let count = number("LISTEN_FDS", &count)? as usize;
        if count > MOST {
            return Err(wrong(format!("LISTEN_FDS={count} is more than the {MOST} that make sense")));
        }
        let names: Vec<String> = match text("LISTEN_FDNAMES") {
            Some(names) => names.split(':').map(str::to_owned).collect(),
            None => Vec::new(),
        };
        if !names.is_empty() && names.len() != count && count > 0 {
            return Err(wrong(format!("LISTEN_FDNAMES has {} names for {count} descriptors", names.len())));
        }
        Ok(Announced { count, names })
    }

    fn numbers(&self) -> std::ops::Range<RawFd> {
        // At most MOST, so it fits.
        FIRST..FIRST + self.count as RawFd
    }
}

/// A descriptor that this process was started with.
#[derive(Debug)]
pub struct InheritedFd {
    name: String,
    number: RawFd,
    descriptor: OwnedFd,
}

impl InheritedFd {
    /// What systemd calls it: the unit's `FileDescriptorName=`, by default the name of the socket unit, such as
    /// `web.socket`. Empty if it has no name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor itself, whatever it is.
    pub fn into_fd(self) -> OwnedFd {
        self.descriptor
    }

    /// The TCP socket that it is, which listens: for [`TcpListener::from_socket`](crate::net::TcpListener::from_socket)
    /// or [`PerCoreListener::from_sockets`](crate::net::PerCoreListener::from_sockets).
    ///
    /// # Errors
    /// When it is something else; the error says what.
    pub fn into_tcp_listener(self) -> io::Result<OwnedFd> {
        let families = [AddressFamily::INET, AddressFamily::INET6];
        self.listening(&families, "a TCP socket that listens (ListenStream= with a port or an address)")
    }

    /// The Unix stream socket that it is, which listens.
    ///
    /// # Errors
    /// When it is something else; the error says what.
    pub fn into_unix_listener(self) -> io::Result<OwnedFd> {
        self.listening(
            &[AddressFamily::UNIX],
            "a Unix stream socket that listens (ListenStream= with a path)",
        )
    }

    /// The UDP socket that it is.
    ///
    /// # Errors
    /// When it is something else; the error says what.
    pub fn into_udp_socket(self) -> io::Result<OwnedFd> {
        const WANTED: &str = "a UDP socket (ListenDatagram= with a port or an address)";
        self.expect(&[AddressFamily::INET, AddressFamily::INET6], SocketType::DGRAM, WANTED)
    }

    fn listening(self, families: &[AddressFamily], wanted: &str) -> io::Result<OwnedFd> {
        let (name, number) = (self.name.clone(), self.number);
        let socket = self.expect(families, SocketType::STREAM, wanted)?;
        if !sockopt::socket_acceptconn(&socket)? {
            return Err(mismatch(
                number,
                &name,
                wanted,
                "a stream socket that does not listen (Accept=yes?)",
            ));
        }
        Ok(socket)
    }

    fn expect(self, families: &[AddressFamily], kind: SocketType, wanted: &str) -> io::Result<OwnedFd> {
        let found = match sockopt::socket_type(self.descriptor.as_fd()) {
            Err(rustix::io::Errno::NOTSOCK) => "no socket".to_owned(),
            Err(error) => return Err(error.into()),
            Ok(found) => {
                let family = sockopt::socket_domain(&self.descriptor)?;
                if found == kind && families.contains(&family) {
                    return Ok(self.descriptor);
                }
                format!("a {} socket of the {} family", named(found), family_name(family))
            }
        };
        Err(mismatch(self.number, &self.name, wanted, &found))
    }
}

fn mismatch(number: RawFd, name: &str, wanted: &str, found: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("inherited descriptor {number} ({name:?}) should be {wanted}, but it is {found}"),
    )
}

fn named(kind: SocketType) -> &'static str {
    match kind {
        SocketType::STREAM => "stream",
        SocketType::DGRAM => "datagram",
        SocketType::SEQPACKET => "sequential-packet",
        _ => "raw",
    }
}

fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::INET => "IPv4",
        AddressFamily::INET6 => "IPv6",
        AddressFamily::UNIX => "Unix",
        _ => "another",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> io::Result<Announced> {
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Announced::read(find, 42)
    }

    #[test]
    fn the_environment_is_read_as_systemd_writes_it() {
        assert_eq!(read(&[]).unwrap(), Announced::default());
        assert_eq!(read(&[("LISTEN_FDS", "1")]).unwrap().count, 0, "not said for whom");
        assert_eq!(read(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "41")]).unwrap().count, 0, "for another");
        let ours = ("LISTEN_PID", "42");
        assert_eq!(read(&[("LISTEN_FDS", "2"), ours]).unwrap(), Announced { count: 2, names: vec![] });
        let named = read(&[("LISTEN_FDS", "2"), ours, ("LISTEN_FDNAMES", "http:admin.socket")]).unwrap();
        assert_eq!((named.numbers(), named.names), (3..5, vec!["http".into(), "admin.socket".into()]));
    }

    #[test]
    fn what_is_malformed_is_named() {
        let ours = ("LISTEN_PID", "42");
        for (variables, text) in [
            (&[("LISTEN_FDS", "-1"), ours][..], "LISTEN_FDS=\"-1\""),
            (&[("LISTEN_FDS", "1"), ("LISTEN_PID", "x")], "LISTEN_PID=\"x\""),
            (&[("LISTEN_FDS", "99999"), ours], "99999"),
            (&[("LISTEN_FDS", "1"), ours, ("LISTEN_FDNAMES", "a:b")], "2 names for 1"),
        ] {
            let error = read(variables).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        let inherited = |descriptor: OwnedFd| InheritedFd { name: "web".into(), number: 3, descriptor };
        let listener = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let udp = || OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert!(inherited(listener()).into_tcp_listener().is_ok());
        assert!(inherited(udp()).into_udp_socket().is_ok());
        for (wrong, text) in [
            (inherited(udp()).into_tcp_listener(), "a datagram socket of the IPv4 family"),
            (inherited(file()).into_tcp_listener(), "no socket"),
            (inherited(listener()).into_udp_socket(), "a stream socket"),
            (inherited(listener()).into_unix_listener(), "IPv4"),
        ] {
            let error = wrong.unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("descriptor 3 (\"web\")"), "{error}");
        }
        let idle = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let error = inherited(idle.into()).into_tcp_listener().unwrap_err().to_string();
        assert!(error.contains("does not listen"), "{error}");
    }
}
