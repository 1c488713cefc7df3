use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells the service manager something, in the words of sd_notify(3): `READY=1` when the service serves, `STOPPING=1`
/// when its shutdown begins, `WATCHDOG=1` at least every [`watchdog_interval`], `MAINPID=42` when another process takes
/// over, `STATUS=` and a line for people. Several assignments are separated by line feeds.
///
/// `false` if nobody wants to know, as `NOTIFY_SOCKET` is not set. It never blocks.
///
/// # Errors
/// When the socket can't be reached, or its queue is full.
pub fn notify(state: &str) -> io::Result<bool> {
    match std::env::var_os("NOTIFY_SOCKET") {
        None => Ok(false),
        Some(path) => tell(&path, state).map(|()| true),
    }
}

fn tell(path: &OsStr, state: &str) -> io::Result<()> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("tell the service manager at NOTIFY_SOCKET={path:?}: {error}"))
    };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(path),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    };
    let address = address.map_err(named)?;
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map_err(named)?;
    Ok(())
}

/// How often the service manager wants `WATCHDOG=1`: half of `WATCHDOG_USEC`, as sd_watchdog_enabled(3) advises. `None`
/// if it does not, or wants it from another process.
///
/// Send it from a task on every core's behalf that proves something: a timer's tick shows that a core still turns.
pub fn watchdog_interval() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if number("WATCHDOG_PID").is_some_and(|process| process != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|&limit| limit > 0).map(|limit| Duration::from_micros(limit) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_by_path_and_by_abstract_name() {
        let folder = std::env::temp_dir().join(format!("covet-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&folder).unwrap();
        tell(folder.as_os_str(), "READY=1").unwrap();
        let mut text = [0; 64];
        let len = manager.recv(&mut text).unwrap();
        assert_eq!(&text[..len], b"READY=1");
        std::fs::remove_file(&folder).unwrap();
        let gone = tell(folder.as_os_str(), "READY=1").unwrap_err().to_string();
        assert!(gone.contains("NOTIFY_SOCKET"), "{gone}");

        let name = format!("covet-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        tell(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        let len = manager.recv(&mut text).unwrap();
        assert_eq!(&text[..len], b"STOPPING=1");
        assert!(tell(OsStr::new("relative"), "READY=1").is_err());
    }
}
