//! What to load, how, and for how long.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use covet_http::Method;
use thiserror::Error;

use super::{PlacementError, RequestError, RequestOptions, Target, TargetUrl, TlsOptions, UrlError};
use crate::clock::{Arrivals, Delay, Profile, Stage, Timetable};
use crate::record::LoopModel;

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Length of the measured window; `None` leaves the end to `requests`.
    pub duration: Option<Duration>,
    /// Requests to send in the measured window, over all cores; `None` leaves the end to `duration`.
    pub requests: Option<u64>,
}

/// Which responses count as valid, beside their framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The one status that is valid; any 2xx where it is `None`.
    pub status: Option<u16>,
    /// Whether every body must be as long as the first one, and every message of a WebSocket what was sent to it.
    pub same_length: bool,
}

impl Expectation {
    /// Whether a response with this status is valid.
    #[inline]
    pub fn accepts(&self, status: u16) -> bool {
        match self.status {
            Some(expected) => status == expected,
            None => (200..300).contains(&status),
        }
    }
}

/// How connections reach the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The Unix socket on which the server listens, in the place of the URL's host and port.
    pub unix_socket: Option<PathBuf>,
    /// The host, or address, and port to connect to in the place of the URL's, which the Host field still names.
    pub connect_to: Option<(String, u16)>,
    /// The addresses of this machine to connect from, in turn; the kernel chooses where there are none.
    pub local: Vec<IpAddr>,
}

/// A run, before it is made.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// What to ask for.
    pub url: TargetUrl,
    /// How to ask.
    pub request: RequestOptions,
    /// Several kinds of requests, in the place of the one that `url` and `request` make.
    pub mix: Vec<Target>,
    /// Whether the mix is a session, whose requests follow one another in this order on a connection, instead.
    pub scenario: bool,
    /// Closed or open loop.
    pub loop_model: LoopModel,
    /// In which pattern the requests of an open loop, or the sessions of a partly open one, arrive.
    pub arrivals: Arrivals,
    /// How the rate of arrivals changes from the beginning of the window; it stays at that of the loop where there is
    /// no stage.
    pub stages: Vec<Stage>,
    /// What all that is random begins with: the same seed makes the same arrivals and the same requests.
    pub seed: u64,
    /// How long a connection waits after an answer before its next request; not at all where it is `None`.
    pub think: Option<Delay>,
    /// After so many requests a connection is closed, and opened again.
    pub requests_per_connection: Option<u64>,
    /// Connections that are opened per second at most, over all cores.
    pub connection_rate: Option<f64>,
    /// How connections reach the server.
    pub reach: Reach,
    /// How connections are secured, where the URL is of `https`.
    pub tls: TlsOptions,
    /// Connections, over all cores; at least one for each core.
    pub connections: usize,
    /// The CPU of each generator thread; a CPU named twice has two threads, which makes the run invalid.
    pub cpus: Vec<usize>,
    /// Requests in flight on a connection, at least 1.
    pub pipeline: usize,
    /// Time before the measured window.
    pub warmup: Duration,
    /// Where it is given, the warm-up goes on until the load is steady, for so long at most; `warmup` is then the least
    /// that it lasts.
    pub steady_within: Option<Duration>,
    /// When the run ends.
    pub extent: Extent,
    /// After this long without an answer a request is given up, and a connection attempt too.
    pub timeout: Duration,
    /// Which responses are valid.
    pub expect: Expectation,
    /// Whether one connection apart, with a thread of its own, is to see what a lone client sees.
    pub canary: bool,
    /// The CPUs of the server, where the caller knows them; for the record only.
    pub server_cpus: Option<Vec<usize>>,
}

impl LoadPlan {
    /// A closed-loop plan with the defaults of `covet-bench run`: 64 connections for ten seconds after one second
    /// of warm-up, on the CPUs given.
    pub fn closed(url: TargetUrl, cpus: Vec<usize>) -> Self {
        Self {
            url,
            request: RequestOptions::default(),
            mix: Vec::new(),
            scenario: false,
            loop_model: LoopModel::Closed,
            arrivals: Arrivals::Constant,
            stages: Vec::new(),
            seed: 1,
            think: None,
            requests_per_connection: None,
            connection_rate: None,
            reach: Reach::default(),
            tls: TlsOptions::default(),
            connections: 64,
            cpus,
            pipeline: 1,
            warmup: Duration::from_secs(1),
            steady_within: None,
            extent: Extent { duration: Some(Duration::from_secs(10)), requests: None },
            timeout: Duration::from_secs(2),
            expect: Expectation { status: None, same_length: true },
            canary: false,
            server_cpus: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), LoadError> {
        let invalid = |what: &'static str| Err(LoadError::Plan(what));
        if self.cpus.is_empty() {
            return invalid("a run needs at least one generator thread");
        }
        if self.connections < self.cpus.len() {
            return invalid(
                "a run needs at least one connection for each generator thread: raise -c or lower -t",
            );
        }
        if self.pipeline == 0 {
            return invalid("a pipeline of 0 sends nothing: write --pipeline 1 or more");
        }
        if self.timeout.is_zero() {
            return invalid("a timeout of 0 fails every request: write --timeout 1ms or more");
        }
        if self.extent.duration.is_none_or(|duration| duration.is_zero()) && self.extent.requests.is_none() {
            return invalid("a run needs an end: give a duration above 0 or a number of requests");
        }
        if self.extent.requests == Some(0) {
            return invalid("a run of 0 requests measures nothing: write --requests 1 or more");
        }
        if self.scenario && self.mix.is_empty() {
            return invalid("a scenario needs a step");
        }
        if self.requests_per_connection == Some(0) {
            return invalid("a connection without a request loads nothing: write 1 or more");
        }
        if self.connection_rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return invalid("the rate of new connections must be above 0");
        }
        if self.is_paced() && self.pipeline > 1 {
            return invalid("think time and sessions are of one request at a time: leave --pipeline out");
        }
        if self.url.is_web_socket() && (!self.mix.is_empty() || self.scenario) {
            return invalid(
                "a message to a WebSocket is all there is of a request: leave sessions and mixes out",
            );
        }
        if self.url.is_web_socket() && self.request.method != Method::GET {
            return invalid("a WebSocket is asked for with GET: leave --method out");
        }
        if self.loop_model == LoopModel::Closed
            && (self.arrivals != Arrivals::Constant || !self.stages.is_empty())
        {
            return invalid("arrivals and stages are of an open loop: give a --rate as well");
        }
        if matches!(self.loop_model, LoopModel::Open { .. }) && self.think.is_some() {
            return invalid(
                "think time is of a closed loop, or within sessions: leave --rate out, or give a --session",
            );
        }
        if self.steady_within.is_some()
            && (!self.stages.is_empty() || matches!(self.arrivals, Arrivals::Trace(_)))
        {
            return invalid("a load that changes by plan is never steady: give the --warmup a length");
        }
        match self.loop_model {
            LoopModel::PartlyOpen { requests: 0, .. } => invalid("a session needs a request"),
            LoopModel::Open { rate } | LoopModel::PartlyOpen { rate, .. }
                if !(rate > 0.0 && rate.is_finite()) =>
            {
                invalid("the rate must be above 0")
            }
            _ => Ok(()),
        }
    }

    /// Whether connections wait by themselves between requests.
    pub(super) fn is_paced(&self) -> bool {
        self.scenario || self.think.is_some() || matches!(self.loop_model, LoopModel::PartlyOpen { .. })
    }

    /// When requests, or sessions, are due; `None` in a closed loop.
    pub(super) fn timetable(&self) -> Option<Timetable> {
        let (LoopModel::Open { rate } | LoopModel::PartlyOpen { rate, .. }) = self.loop_model else {
            return None;
        };
        let profile = match self.stages[..] {
            [] => Profile::constant(rate),
            ref stages => Profile::stages(stages, self.warmup),
        };
        Some(Timetable { arrivals: self.arrivals.clone(), profile, hold: self.warmup, seed: self.seed })
    }
}

/// Why a run gave no record.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The plan contradicts itself.
    #[error("{0}")]
    Plan(&'static str),
    /// The URL cannot be loaded.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The request cannot be sent as asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The CPUs cannot be used.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The host's name has no address.
    #[error("cannot resolve `{host}`: check the name, or write an address")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No connection could be opened at the start.
    #[error("cannot connect to {address}: start the server, or check its address and port")]
    Connect {
        /// Where to.
        address: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// TLS cannot be set up as asked.
    #[error(transparent)]
    Tls(#[from] covet_http::tls::Error),
    /// A connection was opened at the start, and no TLS session on it.
    #[error("no TLS session with {address}")]
    Handshake {
        /// Where to.
        address: String,
        /// What was wrong, and what to do.
        source: io::Error,
    },
    /// A connection was opened at the start, and the server does not speak the protocol of the URL on it.
    #[error("{address} does not agree to the protocol: check the path, and that this is a server of it")]
    Upgrade {
        /// Where to.
        address: String,
        /// What it answered.
        source: io::Error,
    },
    /// An address to connect from is not one of this machine.
    #[error("cannot connect from {local}: write an address of this machine, as `ip address` lists them")]
    Bind {
        /// The address.
        local: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The host has no address of the family of those to connect from.
    #[error("`{host}` has no address that {local} can connect to: write addresses of one family")]
    Family {
        /// The host.
        host: String,
        /// The address to connect from.
        local: IpAddr,
    },
    /// Every local port is taken by a connection to this address, open or lately closed.
    #[error(
        "no local port is left for a connection to {address}: wait a minute, widen net.ipv4.ip_local_port_range, \
         lower -c, or connect from several addresses with --bind"
    )]
    LocalPorts {
        /// Where to.
        address: String,
    },
    /// The limit on open files is too low for the connections.
    #[error(
        "{connections} connections need {needed} open files, and the limit is {limit}: run `ulimit -n {needed}` \
         first, or lower -c"
    )]
    OpenFiles {
        /// Connections asked for.
        connections: usize,
        /// Descriptors needed.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The runtime did not start.
    #[error("cannot start the generator's cores")]
    Start(#[from] covet_runtime::StartError),
    /// A generator thread did not start.
    #[error("cannot start a generator thread")]
    Thread(#[source] io::Error),
    /// A generator core ended without its record.
    #[error("a generator core ended early; its panic is above")]
    CoreLost,
}
