//! Makes TLS handshakes for some seconds, one request each, and says how many it made; or holds connections open.
//!
//!     handshakes ADDRESS SECONDS full|resumed
//!     handshakes ADDRESS SECONDS hold|hold-plain COUNT
//!
//! `full` makes a new session each time, `resumed` the same one over and over, on four threads. `hold` makes one request
//! on each of COUNT connections, over TLS or not, says `held`, and keeps them. The server's certificate is not verified,
//! which is not what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Handshakes that are under way at a time, so that neither end waits for the other.
const THREADS: usize = 4;

fn connect(config: &Arc<ClientConfig>, address: SocketAddr, close: bool) -> Outcome<Stream> {
    let connection = ClientConnection::new(config.clone(), "localhost".try_into()?)?;
    let mut stream = StreamOwned::new(connection, connect_plain(address)?);
    ask(&mut stream, close)?;
    Ok(stream)
}

fn connect_plain(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(stream: &mut (impl Read + Write), close: bool) -> Outcome<()> {
    let last = if close { "Connection: close\r\n" } else { "" };
    stream.write_all(format!("GET /plaintext HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").as_bytes())?;
    let mut answer = [0; 4096];
    let mut length = 0;
    while !answer[..length].ends_with(b"Hello, World!") {
        match stream.read(&mut answer[length..])? {
            0 => return Err("the answer is incomplete".into()),
            count => length += count,
        }
    }
    Ok(())
}

fn hold(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    count: usize,
    plain: bool,
) -> Outcome<Vec<Box<dyn Read>>> {
    (0..count)
        .map(|_| -> Outcome<Box<dyn Read>> {
            if !plain {
                return Ok(Box::new(connect(config, address, false)?));
            }
            let mut stream = connect_plain(address)?;
            ask(&mut stream, false)?;
            Ok(Box::new(stream))
        })
        .collect()
}

/// How many handshakes one thread made, and how many of them resumed a session.
fn repeat(config: &Arc<ClientConfig>, address: SocketAddr, end: Instant) -> Outcome<(u32, u32)> {
    let (mut count, mut resumed) = (0, 0);
    while Instant::now() < end {
        let stream = connect(config, address, true)?;
        count += 1;
        resumed += u32::from(stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed));
    }
    Ok((count, resumed))
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, seconds, mode, more @ ..] = arguments.as_slice() else {
        return Err("usage: handshakes ADDRESS SECONDS full|resumed|hold|hold-plain [COUNT]".into());
    };
    let (address, time): (SocketAddr, _) = (address.parse()?, Duration::from_secs(seconds.parse()?));
    let provider = aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    if mode != "resumed" {
        config.resumption = Resumption::disabled();
    }
    if let "hold" | "hold-plain" = mode.as_str() {
        let count = more.first().ok_or("hold how many?")?.parse()?;
        let held = hold(&Arc::new(config), address, count, mode == "hold-plain")?;
        println!("held {}", held.len());
        std::thread::sleep(time);
        return Ok(());
    }
    let begun = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            // A session cache each, so that a ticket is never used up by another thread.
            let mut config = config.clone();
            if mode == "resumed" {
                config.resumption = Resumption::in_memory_sessions(16);
            }
            std::thread::spawn(move || repeat(&Arc::new(config), address, begun + time))
        })
        .collect();
    let (mut count, mut resumed) = (0, 0);
    for thread in threads {
        let made = thread.join().map_err(|_| "a thread panicked")??;
        count += made.0;
        resumed += made.1;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    println!("{count} handshakes, {resumed} resumed, {rate:.0}/s");
    Ok(())
}
