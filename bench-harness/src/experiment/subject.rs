//! The server that is judged or watched, however it came to run.

use std::fs;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{ServerCommand, link};
use crate::load::{LoadPlan, TargetUrl, format_cpus, parse_cpus};
use crate::target::accounting;
use crate::target::child::Child;

const START_PATIENCE: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(3);
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// A server, before it runs or as it was found.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Covet's reference service, in a process of its own.
    Reference {
        /// What is asked of it, such as `/plaintext`.
        path: String,
        /// Its cores.
        cpus: Vec<usize>,
        /// Arguments of `covet-bench serve` beside where it listens and its cores.
        arguments: Vec<String>,
    },
    /// What a command starts.
    Command {
        /// The command.
        server: ServerCommand,
        /// Where it then listens, and what is asked of it.
        url: TargetUrl,
    },
    /// One that runs already.
    Running {
        /// Where it listens, and what is asked of it.
        url: TargetUrl,
        /// Its process, where it is known and on this machine.
        pid: Option<u32>,
    },
}

impl Subject {
    /// One that runs already: reachable, and its process found where it is on this machine.
    ///
    /// # Errors
    /// When nothing accepts connections there, or the process does not exist.
    pub fn running(url: TargetUrl, pid: Option<u32>) -> anyhow::Result<Subject> {
        let addresses = url.resolve().with_context(|| format!("cannot resolve `{}`", url.host()))?;
        reach(&url, &addresses)?;
        if let Some(pid) = pid {
            accounting::cpu_time(pid).with_context(|| format!("there is no process {pid} to watch"))?;
        }
        let local = addresses.iter().all(is_ours);
        let found = || local.then(|| accounting::listening_on(url.port())).flatten();
        Ok(Subject::Running { pid: pid.or_else(found), url })
    }

    /// The same, confined to these CPUs where it is started here; an empty list says nothing.
    pub fn on(mut self, list: &[usize]) -> Subject {
        if list.is_empty() {
            return self;
        }
        match &mut self {
            Subject::Reference { cpus, .. } => *cpus = list.to_vec(),
            Subject::Command { server, .. } => {
                server.command = server.command.replace("{cpus}", &format_cpus(list));
                server.cpus = Some(list.to_vec());
            }
            Subject::Running { .. } => {}
        }
        self
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        let ours = |addresses: Vec<SocketAddr>| addresses.iter().all(is_ours);
        match self {
            Subject::Reference { .. } | Subject::Running { pid: Some(_), .. } => true,
            Subject::Command { .. } => true,
            Subject::Running { url, pid: None } => url.resolve().is_ok_and(ours),
        }
    }

    /// Bits per second of the link to it, where it is on another machine and the kernel knows.
    pub fn link(&self) -> Option<f64> {
        match self {
            Subject::Running { url, .. } if !self.is_local() => {
                link::speed_to(url.resolve().ok()?.first()?.ip())
            }
            _ => None,
        }
    }

    /// Whether it can be started anew for each run.
    pub fn restarts(&self) -> bool {
        !matches!(self, Subject::Running { .. })
    }

    /// The CPUs that it may use, where its process is known.
    pub fn cpus(&self) -> Option<Vec<usize>> {
        match self {
            Subject::Reference { cpus, .. } => Some(cpus.clone()),
            Subject::Command { server, .. } => server.cpus.clone(),
            Subject::Running { pid, .. } => {
                let status = fs::read_to_string(format!("/proc/{}/status", (*pid)?)).ok()?;
                let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
                parse_cpus(list.trim()).ok()
            }
        }
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match self {
            Subject::Reference { path, arguments, .. } if arguments.is_empty() => {
                format!("Covet's reference service, GET {path}")
            }
            Subject::Reference { path, arguments, .. } => {
                format!("Covet's reference service with {}, GET {path}", arguments.join(" "))
            }
            Subject::Command { server, url } => format!("`{}`, GET {url}", server.command),
            Subject::Running { url, pid: Some(pid) } => format!("process {pid}, GET {url}"),
            Subject::Running { url, pid: None } => format!("GET {url}"),
        }
    }

    /// Whether it is spoken to over TLS.
    pub fn is_secure(&self) -> bool {
        match self {
            Subject::Reference { arguments, .. } => is_secure(arguments),
            Subject::Command { url, .. } | Subject::Running { url, .. } => url.is_secure(),
        }
    }

    /// Starts it, or takes it as it runs.
    ///
    /// # Errors
    /// When it does not start, or nothing accepts connections there any more.
    pub fn start(&self) -> anyhow::Result<Standing> {
        match self {
            Subject::Reference { path, cpus, arguments } => {
                let executable = std::env::current_exe()?;
                let list = format_cpus(cpus);
                let command = |port| {
                    let mut command = Command::new(&executable);
                    let listen = format!("127.0.0.1:{port}");
                    command.args(["serve", "--listen", &listen, "--cores", &list]).args(arguments);
                    command
                };
                let child = Child::start(command, Some(cpus), START_PATIENCE)
                    .context("the reference service does not start")?;
                let scheme = if is_secure(arguments) { "https" } else { "http" };
                let url = TargetUrl::parse(&format!("{scheme}://{}{path}", child.address()))?;
                Ok(Standing { pid: Some(child.pid()), child: Some(child), url })
            }
            Subject::Command { server, url } => {
                let plan = LoadPlan::closed(url.clone(), vec![0]);
                let child = server.start(&plan)?;
                Ok(Standing { pid: Some(child.pid()), child: Some(child), url: url.clone() })
            }
            Subject::Running { url, pid } => {
                let addresses = url.resolve().with_context(|| format!("cannot resolve `{}`", url.host()))?;
                reach(url, &addresses)?;
                Ok(Standing { child: None, url: url.clone(), pid: *pid })
            }
        }
    }
}

/// Whether the reference service is started with a certificate of its own making.
fn is_secure(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "--tls-self-signed")
}

/// Whether an address is of this machine: the kernel then talks to it from itself.
fn is_ours(address: &SocketAddr) -> bool {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0; 8], 0)),
    };
    let source = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.local_addr()
    };
    address.ip().is_loopback() || source().is_ok_and(|source| source.ip() == address.ip())
}

fn reach(url: &TargetUrl, addresses: &[SocketAddr]) -> anyhow::Result<()> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some((error, address)),
        }
    }
    match last {
        Some((error, address)) => Err(error).with_context(|| {
            format!("cannot connect to {address}: start the server, or check the URL {url}")
        }),
        None => bail!("`{}` has no address", url.host()),
    }
}

/// A server that runs; dropping it ends what was started.
#[derive(Debug)]
pub struct Standing {
    child: Option<Child>,
    url: TargetUrl,
    pid: Option<u32>,
}

impl Standing {
    /// What is asked of it.
    pub fn url(&self) -> &TargetUrl {
        &self.url
    }

    /// Its process, where it is known.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Fails when it is gone: its process has ended, or nothing accepts connections any more.
    ///
    /// # Errors
    /// That it is gone, and how it ended where that is known.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.as_mut().and_then(Child::ended) {
            bail!("the server ended with {status} while it was measured: start it by hand to see why");
        }
        if let Some(pid) = self.pid {
            accounting::cpu_time(pid)
                .with_context(|| format!("the server, process {pid}, ended while it was measured"))?;
        }
        let addresses = self.url.resolve().context("the server's name is no longer known")?;
        reach(&self.url, &addresses).context("the server went away while it was measured")
    }

    /// Ends what was started.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    /// As [`Standing::stop`], of one that is to be replaced.
    ///
    /// # Errors
    /// As there.
    pub fn end(&mut self) -> anyhow::Result<()> {
        if let Some(child) = self.child.take() {
            child.stop(STOP_PATIENCE)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: SocketAddr) -> Subject {
        let url = TargetUrl::parse(&format!("http://{address}/")).unwrap();
        Subject::Running { url, pid: None }
    }

    #[test]
    fn an_address_of_this_machine_has_no_link_whatever_its_interface() {
        // No datagram is sent: the kernel only says from where it would be.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let own = match socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()) {
            Ok(own) => own,
            // Without a way out, every address of this machine is of the loopback interface.
            Err(_) => SocketAddr::from(([127, 0, 0, 2], 1)),
        };
        for address in [own, SocketAddr::from(([127, 0, 0, 1], 1)), "[::1]:1".parse().unwrap()] {
            assert!(at(address).is_local(), "{address}");
            assert_eq!(at(address).link(), None, "{address}");
        }
        let away = SocketAddr::from(([192, 0, 2, 1], 9));
        assert!(!at(away).is_local());
        assert_eq!(at(away).link(), link::speed_to(away.ip()));
    }
}
