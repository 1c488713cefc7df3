//! TLS records made and read by the kernel (tls(4), `Documentation/networking/tls.rst`).
//!
//! After the handshake the keys are given to the socket, and what is sent and received on it is plaintext from there on.
//! Records of another kind than application data come and go by control messages.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};
use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, SockRef};

use super::Version;

const SOL_TLS: c_int = 282;
const TLS_TX: c_int = 1;
const TLS_RX: c_int = 2;
const TLS_SET_RECORD_TYPE: c_int = 1;
const TLS_GET_RECORD_TYPE: c_int = 2;

const AES_GCM_128: u16 = 51;
const AES_GCM_256: u16 = 52;
const CHACHA20_POLY1305: u16 = 54;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CLOSE_NOTIFY: u8 = 0;

/// Records that may be sent with one key; the ciphers' own bounds are at twice that and more (RFC 8446 section 5.5). The
/// kernels of today can't change keys on an open socket, so a connection ends there.
pub(crate) const MOST_RECORDS: u64 = 1 << 23;

/// What the kernel can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Support {
    /// By version, then by cipher.
    ciphers: [[bool; 3]; 2],
}

impl Support {
    /// Asks the kernel, once in a process: it tries each version and cipher on a connection over loopback.
    pub(crate) fn of_this_kernel() -> Support {
        static SUPPORT: OnceLock<Support> = OnceLock::new();
        *SUPPORT.get_or_init(|| match Support::probe() {
            Ok(support) if support != Support::default() => {
                tracing::info!("the kernel makes TLS records (kTLS) for connections whose cipher it has");
                support
            }
            Ok(_) => {
                tracing::info!("the kernel's TLS (kTLS) has none of our ciphers: records are made in the process");
                Support::default()
            }
            Err(error) => {
                tracing::info!(%error, "the kernel has no TLS (kTLS; try `modprobe tls`): records are made in the process");
                Support::default()
            }
        })
    }

    fn probe() -> io::Result<Support> {
        // Cheap, and says it all where the module is missing: ENOTCONN where it is there.
        let idle = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        match attach(idle.as_fd()) {
            Err(error) if error.raw_os_error() != Some(libc::ENOTCONN) => return Err(error),
            _ => {}
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut support = Support::default();
        for version in [Version::Tls12, Version::Tls13] {
            for cipher in [AES_GCM_128, AES_GCM_256, CHACHA20_POLY1305] {
                let stream = TcpStream::connect(listener.local_addr()?)?;
                attach(stream.as_fd())?;
                let key = vec![0; if cipher == AES_GCM_128 { 16 } else { 32 }];
                let info = layout(version, cipher, &key, &[0; 12], 0);
                let taken = [TLS_TX, TLS_RX].map(|way| set(stream.as_fd(), SOL_TLS, way, &info).is_ok());
                support.ciphers[row(version)][column(cipher)] = taken == [true, true];
            }
        }
        Ok(support)
    }

    pub(crate) fn is_any(self) -> bool {
        self != Support::default()
    }

    fn has(self, version: Version, cipher: u16) -> bool {
        self.ciphers[row(version)][column(cipher)]
    }

    /// Whether it can take over a connection with this suite.
    pub(super) fn has_suite(self, version: Version, suite: rustls::CipherSuite) -> bool {
        use rustls::CipherSuite as Suite;
        match suite {
            Suite::TLS13_AES_128_GCM_SHA256
            | Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => self.has(version, AES_GCM_128),
            Suite::TLS13_AES_256_GCM_SHA384
            | Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => self.has(version, AES_GCM_256),
            Suite::TLS13_CHACHA20_POLY1305_SHA256
            | Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => self.has(version, CHACHA20_POLY1305),
            _ => false,
        }
    }
}

fn row(version: Version) -> usize {
    match version {
        Version::Tls12 => 0,
        Version::Tls13 => 1,
    }
}

fn column(cipher: u16) -> usize {
    match cipher {
        AES_GCM_128 => 0,
        AES_GCM_256 => 1,
        _ => 2,
    }
}

/// The keys of one connection, and from which record on they are used.
pub(crate) struct Keys {
    pub(super) version: Version,
    pub(super) secrets: ExtractedSecrets,
}

impl Keys {
    /// Gives them to a socket on which [`attach`] succeeded. After a failure the connection is of no use.
    pub(crate) fn install(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        for (way, (record, secrets)) in [(TLS_TX, &self.secrets.tx), (TLS_RX, &self.secrets.rx)] {
            let mut info = self.info(*record, secrets)?;
            let outcome = set(socket, SOL_TLS, way, &info);
            info.fill(0);
            outcome?;
        }
        Ok(())
    }

    fn info(&self, record: u64, secrets: &ConnectionTrafficSecrets) -> io::Result<Vec<u8>> {
        let (cipher, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (AES_GCM_128, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (AES_GCM_256, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (CHACHA20_POLY1305, key, iv),
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "a cipher that the kernel has not")),
        };
        Ok(layout(self.version, cipher, key.as_ref(), iv.as_ref(), record))
    }
}

/// One of the `tls12_crypto_info` structures of `linux/tls.h`, which hold for TLS 1.3 as well: version and cipher in the
/// machine's byte order, nonce, key, salt, number of the next record.
fn layout(version: Version, cipher: u16, key: &[u8], iv: &[u8], record: u64) -> Vec<u8> {
    let version: u16 = match version {
        Version::Tls12 => 0x0303,
        Version::Tls13 => 0x0304,
    };
    // GCM's nonce begins with a part that all records share, which the kernel calls salt.
    let (salt, nonce) = iv.split_at(if cipher == CHACHA20_POLY1305 { 0 } else { 4 });
    let mut info = Vec::with_capacity(4 + iv.len() + key.len() + 8);
    info.extend_from_slice(&version.to_ne_bytes());
    info.extend_from_slice(&cipher.to_ne_bytes());
    info.extend_from_slice(nonce);
    info.extend_from_slice(key);
    info.extend_from_slice(salt);
    info.extend_from_slice(&record.to_be_bytes());
    info
}

/// Makes a connected socket one that can be given keys. It goes on as before until it has some.
pub(crate) fn attach(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")
}

fn set(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed, and the kernel copies the value's bytes, no more than there
    // are, before the call returns.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a record of another kind than application data says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The peer has announced its end.
    CloseNotify,
    /// It has given up, for this reason.
    Alert(u8),
    /// It goes on with a handshake: a change of keys in TLS 1.3, a renegotiation in 1.2.
    Handshake,
    /// It says something else.
    Other(u8),
}

/// An alert, as its record has it: level, then description (RFC 8446 section 6, RFC 5246 section 7.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alert([u8; 2]);

impl Alert {
    /// Announces the end.
    pub(crate) const CLOSE_NOTIFY: Alert = Alert([1, CLOSE_NOTIFY]);
    /// A record could not be decrypted.
    pub(crate) const BAD_RECORD_MAC: Alert = Alert([2, 20]);
    /// A record came that the connection can't go on after.
    pub(crate) const UNEXPECTED_MESSAGE: Alert = Alert([2, 10]);
    /// TLS 1.2: there is one handshake only.
    pub(crate) const NO_RENEGOTIATION: Alert = Alert([1, 100]);
}

const HEADER: usize = size_of::<usize>() + 2 * size_of::<c_int>();

/// Takes such a record from the socket, after a receive has failed with EIO because of it.
pub(crate) fn receive_control(socket: BorrowedFd<'_>) -> io::Result<Control> {
    let mut content = Vec::with_capacity(512);
    let mut control = Vec::with_capacity(64);
    let mut buffers = [MaybeUninitSlice::new(content.spare_capacity_mut())];
    let mut message = MsgHdrMut::new().with_buffers(&mut buffers).with_control(control.spare_capacity_mut());
    let length = SockRef::from(&socket).recvmsg(&mut message, libc::MSG_DONTWAIT)?;
    let control_length = message.control_len();
    // SAFETY: the kernel wrote so many bytes into either vector, from its start.
    unsafe {
        content.set_len(length);
        control.set_len(control_length);
    }
    Ok(Control::of(&control, &content))
}

impl Control {
    /// From a control message (`cmsghdr`, then the record's type) and the record's content.
    fn of(control: &[u8], content: &[u8]) -> Control {
        let begins = header(TLS_GET_RECORD_TYPE);
        let kind = match control.get(HEADER) {
            Some(kind) if control[..HEADER] == begins => *kind,
            _ => 0,
        };
        match (kind, content) {
            (ALERT, [_, CLOSE_NOTIFY]) => Control::CloseNotify,
            (ALERT, [_, description]) => Control::Alert(*description),
            (HANDSHAKE, _) => Control::Handshake,
            _ => Control::Other(kind),
        }
    }
}

/// The `cmsghdr` of a control message with one byte.
fn header(kind: c_int) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (length, rest) = header.split_at_mut(size_of::<usize>());
    length.copy_from_slice(&(HEADER + 1).to_ne_bytes());
    let (level, kind_bytes) = rest.split_at_mut(size_of::<c_int>());
    level.copy_from_slice(&SOL_TLS.to_ne_bytes());
    kind_bytes.copy_from_slice(&kind.to_ne_bytes());
    header
}

/// Sends an alert, without waiting for room.
pub(crate) fn send_alert(socket: BorrowedFd<'_>, alert: Alert) -> io::Result<()> {
    // What follows the header is padded to a whole word (CMSG_SPACE).
    let mut control = [0; HEADER + size_of::<usize>()];
    control[..HEADER].copy_from_slice(&header(TLS_SET_RECORD_TYPE));
    control[HEADER] = ALERT;
    let buffers = [IoSlice::new(&alert.0)];
    let message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
    let socket = SockRef::from(&socket);
    // A receive that failed leaves its error with the socket, where the send would find it.
    let _ = socket.take_error();
    socket.sendmsg(&message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_info_is_laid_out_as_the_kernel_has_it() {
        let iv: Vec<u8> = (1..=12).collect();
        let gcm = layout(Version::Tls13, AES_GCM_128, &[0xaa; 16], &iv, 0x0102);
        assert_eq!(gcm.len(), 40, "sizeof(struct tls12_crypto_info_aes_gcm_128)");
        assert_eq!(gcm[..4], [0x0304_u16.to_ne_bytes(), 51_u16.to_ne_bytes()].concat());
        assert_eq!(gcm[4..12], iv[4..]);
        assert_eq!(gcm[12..28], [0xaa; 16]);
        assert_eq!(gcm[28..32], iv[..4]);
        assert_eq!(gcm[32..], [0, 0, 0, 0, 0, 0, 1, 2]);
        let longer = layout(Version::Tls12, AES_GCM_256, &[0xbb; 32], &iv, 0);
        assert_eq!(longer.len(), 56, "sizeof(struct tls12_crypto_info_aes_gcm_256)");
        assert_eq!(longer[..2], 0x0303_u16.to_ne_bytes());
        let chacha = layout(Version::Tls13, CHACHA20_POLY1305, &[0xcc; 32], &iv, 7);
        assert_eq!(chacha.len(), 56, "sizeof(struct tls12_crypto_info_chacha20_poly1305)");
        assert_eq!(chacha[4..16], iv[..]);
        assert_eq!(chacha[48..], [0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn the_probe_agrees_with_what_the_kernel_lists() {
        let listed = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap_or_default();
        match Support::probe() {
            Ok(support) => {
                assert!(support.is_any(), "every kernel with TLS has AES-128-GCM");
                // Asking loads the module, where that is allowed.
                let listed = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap();
                assert!(listed.split_whitespace().any(|name| name == "tls"), "{listed}");
                assert!(support.has_suite(Version::Tls13, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256));
            }
            Err(error) => {
                assert!(!listed.split_whitespace().any(|name| name == "tls"), "{error}: {listed}");
                assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
            }
        }
        assert!(!Support::default().has_suite(Version::Tls13, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256));
    }

    #[test]
    fn control_records_are_told_apart() {
        let control = |kind: u8| [&header(TLS_GET_RECORD_TYPE)[..], &[kind, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(Control::of(&control(21), &[1, 0]), Control::CloseNotify);
        assert_eq!(Control::of(&control(21), &[2, 40]), Control::Alert(40));
        assert_eq!(Control::of(&control(22), &[24, 0, 0, 1, 0]), Control::Handshake);
        assert_eq!(Control::of(&control(24), &[1, 0]), Control::Other(24));
        assert_eq!(Control::of(&[], &[1, 0]), Control::Other(0));
        assert_eq!(Control::of(&control(21)[..HEADER], &[1, 0]), Control::Other(0));
    }
}
