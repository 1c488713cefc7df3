//! What `covet-bench serve` believes, and what it takes on.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use covet_http::Networks;
use covet_http::forwarded::{ForwardedFields, Forwarding};
use covet_http::proxy_protocol::ProxyProtocol;
use covet_http::server::{Admission, AdmissionLimits, Config, Overload};

use super::values;

/// Options of `covet-bench serve` about proxies and limits.
#[derive(Debug, Clone, Default, Args)]
pub struct DefenceArgs {
    /// Proxies to trust, such as 10.0.0.0/8,::1
    #[arg(long, value_name = "NETWORKS")]
    pub trust: Option<Networks>,
    /// Connections of trusted proxies may, or must, begin with a header of the PROXY protocol
    #[arg(long, value_enum, requires = "trust")]
    pub proxy_protocol: Option<ProxyMode>,
    /// Believe what trusted proxies write into these fields
    #[arg(long, value_enum, requires = "trust")]
    pub forwarded: Option<FieldsMode>,
    /// Connections of all cores together; beyond, 503
    #[arg(long, value_name = "N")]
    pub max_connections: Option<NonZeroUsize>,
    /// Connections of one address, or one IPv6 network of 64 bits, proxies excepted; beyond, reset
    #[arg(long, value_name = "N")]
    pub max_per_address: Option<NonZeroUsize>,
    /// Connections of one core; beyond, new ones wait [default: nine tenths of the limit on open files]
    #[arg(long, value_name = "N")]
    pub max_per_core: Option<NonZeroUsize>,
    /// Requests of one core that are worked on at a time; as many wait, up to --max-age, and others get 503
    #[arg(long, value_name = "N")]
    pub max_in_flight: Option<NonZeroUsize>,
    /// How old a request may be when its turn comes; beyond, 503 [default: 2s, if --max-in-flight is given]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub max_age: Option<std::time::Duration>,
}

/// Whether a PROXY protocol header is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProxyMode {
    /// It may be missing.
    Optional,
    /// It may not.
    Required,
}

/// Which fields proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FieldsMode {
    /// Forwarded (RFC 7239).
    Rfc7239,
    /// X-Forwarded-For, -Proto and -Host.
    X,
}

impl DefenceArgs {
    /// Puts what was asked for into a configuration.
    pub fn apply(&self, config: &mut Config) {
        let trusted = self.trust.clone().unwrap_or_default();
        config.proxy_protocol = match self.proxy_protocol {
            None => ProxyProtocol::Off,
            Some(ProxyMode::Optional) => ProxyProtocol::Optional(trusted.clone()),
            Some(ProxyMode::Required) => ProxyProtocol::Required(trusted.clone()),
        };
        config.forwarded = self.forwarded.map(|fields| {
            let fields = match fields {
                FieldsMode::Rfc7239 => ForwardedFields::Forwarded,
                FieldsMode::X => ForwardedFields::XForwarded,
            };
            Forwarding::new(trusted.clone(), fields)
        });
        if self.max_connections.is_some() || self.max_per_address.is_some() {
            config.admission = Some(Admission::new(AdmissionLimits {
                total: self.max_connections.map_or(usize::MAX, NonZeroUsize::get),
                per_address: self.max_per_address.map_or(usize::MAX, NonZeroUsize::get),
                exempt: trusted,
            }));
        }
        config.connections = self.max_per_core.map(NonZeroUsize::get);
        if self.max_in_flight.is_some() || self.max_age.is_some() {
            let usual = Overload::default();
            let in_flight = self.max_in_flight.map(NonZeroUsize::get);
            config.overload = Some(Overload {
                in_flight: in_flight.unwrap_or(usize::MAX),
                queue: in_flight.unwrap_or(usual.queue),
                age: self.max_age.unwrap_or(usual.age),
                ..usual
            });
        }
    }
}
