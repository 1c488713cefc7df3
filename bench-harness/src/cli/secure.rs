//! The options about TLS, of all commands that make a load.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use covet_http::tls::Version;

use crate::load::TlsOptions;

/// How connections to `https` URLs are secured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS, for https URLs")]
pub struct SecureArgs {
    /// Take any certificate of the server
    #[arg(long)]
    pub insecure: bool,
    /// Trust the roots in this PEM file, and not those of the system
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,
    /// Show the certificate in this PEM file to a server that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM file with the key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Ask for this server name, and verify the certificate against it, in the place of the URL's host
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// The oldest version to speak
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = TlsVersion::V1_2)]
    pub tls_min: TlsVersion,
    /// The newest version to speak
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = TlsVersion::V1_3)]
    pub tls_max: TlsVersion,
    /// Make a full handshake on each connection instead of resuming earlier sessions
    #[arg(long)]
    pub no_resume: bool,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    /// TLS 1.2
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3
    #[value(name = "1.3")]
    V1_3,
}

impl From<TlsVersion> for Version {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Self::Tls12,
            TlsVersion::V1_3 => Self::Tls13,
        }
    }
}

impl SecureArgs {
    /// What the load is made with.
    pub fn options(&self) -> TlsOptions {
        TlsOptions {
            verify: !self.insecure,
            roots: self.cacert.clone(),
            certificate: self.cert.clone().zip(self.key.clone()),
            server_name: self.sni.clone(),
            oldest: self.tls_min.into(),
            newest: self.tls_max.into(),
            resume: !self.no_resume,
        }
    }
}
