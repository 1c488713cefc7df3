//! The options that shape a load, of all commands that make one.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use covet_http::Method;

use super::exit::{Advice, Advise, Exit};
use super::secure::SecureArgs;
use super::{scenario, values};
use crate::clock::{Arrivals, Delay, Stage, parse_stages};
use crate::load::{
    Body, Expectation, Extent, LoadPlan, Reach, RequestOptions, Target, TargetUrl, parse_cpus, parse_field,
    place,
};
use crate::record::LoopModel;

/// What a load is made of, beside its URL.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Connections, kept open
    #[arg(short = 'c', long, default_value_t = 64)]
    pub connections: usize,
    /// Generator threads, each pinned to a CPU of its own [default: one for each CPU of --cpus, as far as the control
    /// group's limit goes]
    #[arg(short = 't', long)]
    pub threads: Option<usize>,
    /// CPUs of the generator, such as 1,3-5 [default: those of this process, without the lower half when the
    /// server is on this machine]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,
    /// CPUs of the server, for the record
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// Measured time, after the warm-up [default: 10s, that of the stages or the trace, or no end with --requests]
    #[arg(short = 'd', long, value_parser = values::duration)]
    pub duration: Option<Duration>,
    /// Requests to measure, such as 1m; with --duration, whichever is reached first
    #[arg(short = 'n', long, value_parser = values::count)]
    pub requests: Option<f64>,
    /// Open loop: total requests per second, such as 50k; latency counts from the intended start
    #[arg(short = 'R', long, value_parser = values::rate)]
    pub rate: Option<f64>,
    /// Open loop: how requests arrive: constant, poisson, uniform, bursty:100 or trace:FILE (a time in seconds per line)
    #[arg(long, value_name = "PROCESS", default_value = "constant")]
    pub arrivals: String,
    /// Open loop: how the rate changes, such as 10s:1k,30s:1k..10k,5s:..0 (hold, go between, go on to)
    #[arg(long, value_name = "STAGES")]
    pub stages: Option<String>,
    /// Partly open loop: sessions of this many requests arrive at --rate; each request follows the answer before it
    #[arg(long, value_name = "REQUESTS")]
    pub session: Option<u64>,
    /// Wait after each answer, such as 5ms, exp:5ms or uniform:1ms..9ms
    #[arg(long, value_name = "DELAY", value_parser = delay)]
    pub think: Option<Delay>,
    /// What the random arrivals, think times and requests begin with
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1)]
    pub pipeline: usize,
    /// Close and open each connection again after so many requests
    #[arg(long, value_name = "COUNT")]
    pub requests_per_connection: Option<u64>,
    /// Open at most so many connections per second
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    pub connection_rate: Option<f64>,
    /// Time before the measured window, not recorded; `auto` goes on until the load is steady, for 30 s at most, or for as
    /// long as `auto:2m` says
    #[arg(long, default_value = "1s", value_parser = WarmUp::parse)]
    pub warmup: WarmUp,
    /// A request without an answer for this long counts as timed out
    #[arg(short = 'T', long, default_value = "2s", value_parser = values::duration)]
    pub timeout: Duration,
    /// Request method [default: GET, or POST where there is a body]
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// Request field, as 'Name: value'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = parse_field)]
    pub headers: Vec<(String, String)>,
    /// Request body
    #[arg(long, default_value = "", conflicts_with_all = ["body_file", "body_lines"])]
    pub body: String,
    /// File with the request body
    #[arg(long, value_name = "FILE", conflicts_with = "body_lines")]
    pub body_file: Option<PathBuf>,
    /// File with a request body on each line, sent in turn
    #[arg(long, value_name = "FILE")]
    pub body_lines: Option<PathBuf>,
    /// File with a URL of the same server on each line, after its weight where it has one: `3 http://host/path`
    #[arg(long, value_name = "FILE")]
    pub urls: Option<PathBuf>,
    /// File with a session, whose requests follow one another on a connection: docs/bench/load.md has the form
    #[arg(long, value_name = "FILE", conflicts_with_all = ["urls", "body", "body_file", "body_lines", "method", "session"])]
    pub scenario: Option<PathBuf>,
    /// Fill in {{seq}}, {{random:1..1000}}, {{hex:16}}, {{uuid}} and {{line:FILE}} in URLs, fields and bodies
    #[arg(long)]
    pub template: bool,
    /// Connect to this Unix socket instead of the URL's host
    #[arg(long, value_name = "PATH", conflicts_with_all = ["connect_to", "bind"])]
    pub unix_socket: Option<PathBuf>,
    /// Connect to this host and port instead of the URL's
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub connect_to: Option<(String, u16)>,
    /// Connect from these addresses of this machine, in turn
    #[arg(long, value_name = "IP,...", value_delimiter = ',')]
    pub bind: Vec<IpAddr>,
    /// The one status that is valid [default: any 2xx]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..1000))]
    pub expect_status: Option<u16>,
    /// Accept bodies whose length differs from the first one's, and of a WebSocket messages that are not what was sent
    #[arg(long)]
    pub no_validate_length: bool,
    /// TLS.
    #[command(flatten)]
    pub secure: SecureArgs,
}

/// The time before the measured window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// So long.
    Fixed(Duration),
    /// Until the load is steady, and so long at most.
    UntilSteady(Duration),
}

impl WarmUp {
    /// The longest wait for a load to become steady, where none is given.
    const LONGEST: Duration = Duration::from_secs(30);

    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("auto") {
            Some("") => Ok(Self::UntilSteady(Self::LONGEST)),
            Some(rest) => match rest.strip_prefix(':') {
                Some(longest) => values::duration(longest).map(Self::UntilSteady),
                None => Err(format!("`{text}` is no warm-up: write 5s, auto or auto:2m")),
            },
            None => values::duration(text).map(Self::Fixed),
        }
    }

    fn least(self) -> Duration {
        match self {
            Self::Fixed(length) => length,
            Self::UntilSteady(_) => Duration::ZERO,
        }
    }

    fn longest(self) -> Option<Duration> {
        match self {
            Self::Fixed(_) => None,
            Self::UntilSteady(longest) => Some(longest),
        }
    }
}

fn delay(text: &str) -> Result<Delay, String> {
    Delay::parse(text, values::duration)
}

fn host_port(text: &str) -> Result<(String, u16), String> {
    let bad = || format!("`{text}` is not a host and a port: write example.org:8080 or [::1]:8080");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(bad)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() { Err(bad()) } else { Ok((host.to_owned(), port)) }
}

fn usage(error: impl std::fmt::Display) -> anyhow::Error {
    Advice::error(Exit::Usage, error.to_string(), "See --help")
}

impl LoadArgs {
    /// The plan of a run on `url`.
    ///
    /// # Errors
    /// With the exit status of a usage error, when an argument makes no sense or a file cannot be read.
    pub fn plan(&self, url: &str) -> anyhow::Result<LoadPlan> {
        let url = TargetUrl::parse(url).map_err(usage)?;
        let request = self.request(url.is_web_socket())?;
        let arrivals = Arrivals::parse(&self.arrivals);
        let arrivals = arrivals.advise_usage("--arrivals cannot be used", "See --help")?;
        let stages = match &self.stages {
            Some(text) => parse_stages(text, self.rate, values::duration, values::rate).map_err(usage)?,
            None => Vec::new(),
        };
        let duration = self.length(&arrivals, &stages);
        let rate = self.mean_rate(&arrivals, &stages);
        let mix = match (&self.urls, &self.scenario) {
            (Some(path), _) => mix(path, &request)?,
            (None, Some(path)) => scenario::read(path, &url, &request)?,
            (None, None) => Vec::new(),
        };
        let session = self.session.or(self.scenario.as_ref().map(|_| mix.len() as u64));
        let loop_model = match (rate, session) {
            // Without a rate, sessions follow one another.
            (None, Some(_)) if self.scenario.is_some() => LoopModel::Closed,
            (None, None) => LoopModel::Closed,
            (None, Some(_)) => return Err(usage("--session needs the --rate at which sessions arrive")),
            (Some(rate), None) => LoopModel::Open { rate },
            (Some(rate), Some(requests)) => LoopModel::PartlyOpen { rate, requests },
        };
        Ok(LoadPlan {
            request,
            mix,
            scenario: self.scenario.is_some(),
            loop_model,
            arrivals,
            stages,
            seed: self.seed,
            think: self.think,
            requests_per_connection: self.requests_per_connection,
            connection_rate: self.connection_rate,
            reach: Reach {
                unix_socket: self.unix_socket.clone(),
                connect_to: self.connect_to.clone(),
                local: self.bind.clone(),
            },
            tls: self.secure.options(),
            connections: self.connections,
            pipeline: self.pipeline,
            warmup: self.warmup.least(),
            steady_within: self.warmup.longest(),
            extent: Extent { duration, requests: self.requests.map(|requests| requests.round() as u64) },
            timeout: self.timeout,
            expect: Expectation { status: self.expect_status, same_length: !self.no_validate_length },
            server_cpus: self.cpu_list(&self.server_cpus)?,
            ..LoadPlan::closed(url.clone(), self.cpus(&url)?)
        })
    }

    fn request(&self, web_socket: bool) -> anyhow::Result<RequestOptions> {
        let body = match (&self.body_file, &self.body_lines) {
            (Some(path), _) => fs::read(path)
                .advise_usage(
                    format!("the body {} cannot be read", path.display()),
                    "Check its name and rights",
                )?
                .into(),
            (None, Some(path)) => Body::Lines(path.clone()),
            (None, None) => self.body.clone().into_bytes().into(),
        };
        let method = match &self.method {
            Some(name) => Method::from_bytes(name.as_bytes())
                .advise_usage(format!("`{name}` is not a method"), "Write a token such as GET or POST")?,
            // The body of a WebSocket is its message, after a GET.
            None if web_socket => Method::GET,
            None => body.usual_method(),
        };
        Ok(RequestOptions { method, fields: self.headers.clone(), body, template: self.template })
    }

    fn length(&self, arrivals: &Arrivals, stages: &[Stage]) -> Option<Duration> {
        let own = match arrivals {
            // The last arrival is to be answered within the window.
            Arrivals::Trace(trace) => Some(trace.length() + Duration::from_secs(1)),
            _ if !stages.is_empty() => Some(stages.iter().map(|stage| stage.length).sum()),
            _ => None,
        };
        self.duration.or_else(|| match self.requests {
            Some(_) => None,
            None => own.or(Some(Duration::from_secs(10))),
        })
    }

    /// The rate, or the mean of what is to follow.
    fn mean_rate(&self, arrivals: &Arrivals, stages: &[Stage]) -> Option<f64> {
        if let Arrivals::Trace(trace) = arrivals {
            return Some(trace.len() as f64 / trace.length().as_secs_f64().max(1e-9));
        }
        if stages.is_empty() {
            return self.rate;
        }
        let length: f64 = stages.iter().map(|stage| stage.length.as_secs_f64()).sum();
        let arrivals: f64 =
            stages.iter().map(|stage| stage.length.as_secs_f64() * (stage.from + stage.to) / 2.0).sum();
        Some(arrivals / length)
    }

    fn cpu_list(&self, text: &Option<String>) -> anyhow::Result<Option<Vec<usize>>> {
        text.as_deref().map(parse_cpus).transpose().map_err(usage)
    }

    fn cpus(&self, url: &TargetUrl) -> anyhow::Result<Vec<usize>> {
        // The resolver's own failure is told later, by the run.
        let local = self.unix_socket.is_some()
            || url
                .resolve()
                .is_ok_and(|addresses| addresses.iter().all(|address| address.ip().is_loopback()));
        let given = self.cpu_list(&self.cpus)?;
        let mut placed = place(given.as_deref(), self.threads, local).map_err(usage)?;
        if self.threads.is_none() {
            placed.truncate(self.connections.max(1));
        }
        Ok(placed)
    }
}

/// Reads a file of URLs, each after its weight.
fn mix(path: &Path, request: &RequestOptions) -> anyhow::Result<Vec<Target>> {
    let text = fs::read_to_string(path)
        .advise_usage(format!("the URLs {} cannot be read", path.display()), "Check its name and rights")?;
    let mut targets = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (weight, url) = match line.split_once(char::is_whitespace) {
            Some((weight, url)) => (weight.parse().ok(), url.trim()),
            None => (Some(1.0), line),
        };
        let at = format!("line {} of {}", index + 1, path.display());
        let weight = weight.ok_or_else(|| usage(format!("{at} is not a weight and a URL: `{line}`")))?;
        let url = TargetUrl::parse(url).map_err(|error| usage(format!("{at}: {error}")))?;
        targets.push(Target { weight, url, request: request.clone(), extract: Vec::new() });
    }
    if targets.is_empty() {
        return Err(usage(format!("{} has no URL", path.display())));
    }
    Ok(targets)
}

#[cfg(test)]
mod tests;
