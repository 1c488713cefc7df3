//! Certificates made for a test, and servers that others wrote, in a folder that goes with them.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An issuer of certificates, and the folder that has them.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Authority {
    /// A new one; its own certificate is in `root.pem`.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("covet-load-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        // A killed test of a process with the same number may have left it behind.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a test's root");
        let root = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("root.pem"), root.pem()).expect("it is written");
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// Issues `NAME.pem` and `NAME.key`, valid for these names up to the beginning of a year.
    pub(crate) fn issue(&self, file: &str, names: &[&str], until: i32) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.folder.join(format!("{file}.pem")), certificate.pem()).expect("it is written");
        std::fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem()).expect("it is written");
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }
}

/// A server that others wrote.
pub(crate) struct Program {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it in the authority's folder, with what `arguments` makes of a free port, and waits until it listens.
    pub(crate) fn start(
        name: &str,
        authority: &Authority,
        arguments: impl FnOnce(u16) -> Vec<String>,
    ) -> Self {
        let claim = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = claim.local_addr().expect("a bound socket has an address").port();
        drop(claim);
        let child = Command::new(name)
            .args(arguments(port))
            .current_dir(authority.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; see scripts/install-test-tools"));
        let program = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }
}
