//! TLS for `covet-bench serve`: certificates from files or made on the spot, their reload, and the redirect.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context;
use clap::Args;
use covet_http::server::{Config, Counts, RedirectToHttps, serve};
use covet_http::tls::{self, Certificate, ClientCertificates};
use covet_runtime::CoreSet;
use signal_hook::consts::SIGHUP;

use super::exit::{Advice, Exit};
use super::signals;
use crate::target::listen::{ListenError, Listening};

/// Options of `covet-bench serve` about TLS.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = true)]
pub struct TlsArgs {
    /// Serve HTTPS with this certificate chain and key (PEM files); SIGHUP reads them again
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"], conflicts_with = "tls_self_signed", group = "https")]
    pub tls: Option<Vec<PathBuf>>,
    /// Serve HTTPS with a certificate for localhost made on the spot; its fingerprint is printed
    #[arg(long, group = "https")]
    pub tls_self_signed: bool,
    /// Ask clients for certificates, which must lead to a root in this PEM file; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "https")]
    pub client_ca: Option<PathBuf>,
    /// Also serve clients that show no certificate
    #[arg(long, requires = "client_ca")]
    pub client_ca_optional: bool,
    /// Staple the OCSP response in this DER file to the certificate; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with = "tls_self_signed")]
    pub ocsp: Option<PathBuf>,
    /// Also listen here for plain HTTP, and send clients to HTTPS
    #[arg(long, value_name = "ADDR", requires = "https")]
    pub redirect: Option<SocketAddr>,
    /// Append the keys of all connections to the file that SSLKEYLOGFILE names, for debugging
    #[arg(long, requires = "https")]
    pub tls_key_log: bool,
}

/// What a server needs for HTTPS.
#[derive(Debug)]
pub struct Https {
    /// For the server.
    pub config: tls::Config,
    /// What the user should know, if anything.
    pub note: Option<String>,
}

impl TlsArgs {
    /// The configuration that was asked for, if any.
    ///
    /// # Errors
    /// When files are missing or are not a certificate and its key.
    pub fn https(&self, listen: IpAddr) -> anyhow::Result<Option<Https>> {
        let (certificate, note) = match self.tls.as_deref() {
            Some([chain, key]) => {
                let mut certificate = Certificate::files(chain, key);
                if let Some(ocsp) = &self.ocsp {
                    certificate = certificate.ocsp_file(ocsp);
                }
                (certificate, None)
            }
            _ if self.tls_self_signed => {
                let (certificate, fingerprint) = self_signed(listen)?;
                (certificate, Some(format!("certificate for development, SHA-256 {fingerprint}")))
            }
            _ => return Ok(None),
        };
        let clients = match &self.client_ca {
            None => ClientCertificates::default(),
            Some(roots) if self.client_ca_optional => ClientCertificates::optional(roots),
            Some(roots) => ClientCertificates::required(roots),
        };
        let builder = tls::Config::builder().certificate(certificate).client_certificates(clients);
        let config = builder.key_log(self.tls_key_log).build()?;
        Ok(Some(Https { config, note }))
    }

    /// Starts the redirect, if it was asked for; what it turns away goes into these counts.
    ///
    /// # Errors
    /// When its address can't be listened on, or the server has no port to send clients to.
    pub fn start_redirect(
        &self,
        cores: CoreSet,
        port: u16,
        counts: Counts,
    ) -> anyhow::Result<Option<Listening>> {
        let Some(address) = self.redirect else { return Ok(None) };
        if port == 0 {
            return Err(Advice::error(
                Exit::Usage,
                "a server at a Unix socket has no port that --redirect could send clients to",
                "Leave --redirect out, or listen on an address",
            ));
        }
        let redirect = RedirectToHttps::new().port(port);
        let config = Config { counts, ..Config::default() };
        let serve = move |listener| serve(listener, Rc::new(redirect.clone()), config.clone());
        match Listening::start(address, cores, "redirect", serve) {
            Err(ListenError::InUse(address)) => Err(Advice::error(
                Exit::Runtime,
                format!("{address} is in use"),
                "Stop the server that listens there, or choose another address with --redirect",
            )),
            started => Ok(Some(started?)),
        }
    }
}

/// A certificate for this machine, and its fingerprint as browsers show it.
fn self_signed(listen: IpAddr) -> anyhow::Result<(Certificate, String)> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), listen.to_string()];
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, made.cert.der());
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    Ok((Certificate::pem(made.cert.pem(), made.signing_key.serialize_pem()), pairs.join(":")))
}

/// Reads the certificates again whenever the process gets SIGHUP, for as long as it runs.
///
/// # Errors
/// When the signal can't be handled.
pub fn reload_on_hangup(config: tls::Config) -> anyhow::Result<()> {
    let reload = move || {
        let told = match config.reload() {
            Ok(()) => "certificates reloaded\n".to_owned(),
            Err(error) => format!("certificates not reloaded, the old ones are served on: {error}\n"),
        };
        // Where standard error has been closed, `eprintln` would end this thread.
        let _ = io::stderr().write_all(told.as_bytes());
    };
    signals::at_each(SIGHUP, "reload", reload).context("cannot listen for SIGHUP, which reloads certificates")
}
