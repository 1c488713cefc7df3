//! Starting a server on cores of this process.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use covet_http::server::Listener;
use covet_runtime::net::TcpListener;
use covet_runtime::stats::StatsHandle;
use covet_runtime::{Core, CoreSet, JoinFailure, Runtime, ShutdownHandle, StartError};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, ipproto, socket, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::sockets::Sockets;

/// Descriptors that a core needs beside its connections (ring, eventfd, listener), and the process beside its cores.
const DESCRIPTORS_PER_CORE: u64 = 8;
const DESCRIPTORS_OF_PROCESS: u64 = 16;

/// A running server: one listener on each of its cores, all on one address.
#[derive(Debug)]
pub struct Listening {
    runtime: Runtime,
    address: SocketAddr,
    cpus: Vec<usize>,
}

/// Why a server did not start. The message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken.
    #[error("{0} is in use: stop the server that listens there, or choose another address with --listen")]
    InUse(SocketAddr),
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: choose an address of this machine and a port that you may use")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The path cannot be listened at.
    #[error(
        "cannot listen at {}: name a path of at most 107 bytes in a folder that you may write to, where there is no file and \
         no other server",
        path.display()
    )]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Sockets can't be made, or taken over.
    #[error("cannot listen: {0}")]
    Sockets(#[source] io::Error),
    /// The process may open too few files for its cores, not to speak of connections.
    #[error(
        "{cores} core(s) need {needed} open files and some for connections, and the limit is {limit}: raise it first, \
         for example with `ulimit -n 65536`, or LimitNOFILE=65536 in the unit"
    )]
    OpenFiles {
        /// How many cores.
        cores: usize,
        /// What they need at least.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The cores could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ListenError {
    pub(super) fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            _ => Self::Listen { address, source },
        }
    }
}

impl Listening {
    /// Runs `serve` with a listener of its own on each core, and returns once all of them accept. SIGINT and
    /// SIGTERM begin the shutdown.
    ///
    /// Port 0 lets the kernel choose. The soft limit on open files is raised to the hard one.
    ///
    /// # Errors
    /// When the address is taken or not ours, a core does not exist, its ring cannot be made, or the hard limit on open
    /// files is too low.
    pub fn start<F, Fut>(
        listen: SocketAddr,
        cores: CoreSet,
        thread_name: &str,
        serve: F,
    ) -> Result<Self, ListenError>
    where
        F: Fn(TcpListener) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let cpus = cores.resolve()?;
        raise_open_files(cpus.len())?;
        let address = claim(listen).map_err(|source| ListenError::new(listen, source))?;
        let runtime = launch(cores, cpus.len(), thread_name, move |_| TcpListener::bind(address), serve)?
            .map_err(|source| ListenError::new(address, source))?;
        Ok(Self { runtime, address, cpus })
    }

    /// Runs `serve` on each core with what that core accepts from, and returns once all of them accept. SIGINT and
    /// SIGTERM begin the shutdown. The soft limit on open files is raised to the hard one.
    ///
    /// # Errors
    /// When a core does not exist, its ring cannot be made, or descriptors are short.
    pub fn start_on<F, Fut>(
        sockets: Sockets,
        cores: CoreSet,
        thread_name: &str,
        serve: F,
    ) -> Result<Self, ListenError>
    where
        F: Fn(Listener) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let cpus = cores.resolve()?;
        raise_open_files(cpus.len())?;
        let address = sockets.address();
        let runtime = launch(cores, cpus.len(), thread_name, move |core| sockets.listener(core), serve)?
            .map_err(ListenError::Sockets)?;
        let address = address.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        Ok(Self { runtime, address, cpus })
    }

    /// Where it can be told to shut down.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.runtime.shutdown_handle()
    }

    /// Where its cores can be asked what they have done.
    pub fn stats_handle(&self) -> StatsHandle {
        self.runtime.stats_handle()
    }

    /// Where it listens; port 0 if that is a Unix socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CPUs that it runs on.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// Waits until a signal has ended it and what was in flight is done.
    ///
    /// # Errors
    /// When a core failed.
    pub fn join(self) -> Result<(), JoinFailure> {
        self.runtime.join()
    }
}

/// Starts `count` cores that each make their listener and serve on it, and returns once all have made it; the error inside
/// is that of the first that could not.
fn launch<L, M, F, Fut>(
    cores: CoreSet,
    count: usize,
    thread_name: &str,
    make: M,
    serve: F,
) -> Result<io::Result<Runtime>, StartError>
where
    L: 'static,
    M: Fn(&Core) -> io::Result<L> + Send + Sync + 'static,
    F: Fn(L) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (report, reports) = mpsc::channel();
    let serve = Arc::new(serve);
    let builder = Runtime::builder().cores(cores).thread_name(thread_name).handle_signals(true);
    let runtime = builder.start(move |core| {
        let (report, serve, listener) = (report.clone(), serve.clone(), make(&core));
        async move {
            // The receiver is gone only when another core has failed and all of them are about to end.
            match listener {
                Ok(listener) => {
                    let _ = report.send(Ok(()));
                    drop(report);
                    serve(listener).await;
                }
                Err(error) => drop(report.send(Err(error))),
            }
        }
    })?;
    for outcome in reports.iter().take(count) {
        if let Err(source) = outcome {
            runtime.shutdown(Duration::ZERO);
            return Ok(Err(source));
        }
    }
    Ok(Ok(runtime))
}

/// Binds and lets go of an address, which says whether a server is there and settles port 0.
///
/// The cores' own listeners share their port (`SO_REUSEPORT`), so they would join a server of the same user that
/// is there already, and neither would notice. It is not listened on: nobody must take it for the server.
pub(super) fn claim(listen: SocketAddr) -> io::Result<SocketAddr> {
    let family = if listen.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let probe = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&probe, true)?;
    bind(&probe, &listen)?;
    SocketAddr::try_from(getsockname(&probe)?).map_err(io::Error::from)
}

/// Raises the soft limit on open files to the hard one.
///
/// # Errors
/// When the hard limit is below what so many cores need.
pub(super) fn raise_open_files(cores: usize) -> Result<(), ListenError> {
    let limit = getrlimit(Resource::Nofile);
    let needed = DESCRIPTORS_OF_PROCESS + cores as u64 * DESCRIPTORS_PER_CORE;
    if let Some(limit) = limit.maximum.filter(|&maximum| maximum < needed) {
        return Err(ListenError::OpenFiles { cores, needed, limit });
    }
    if limit.current != limit.maximum {
        // Should it fail, the server has room for fewer connections, and says so when it is out of them.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_tells_a_free_port_from_one_in_use() {
        let free = claim(([127, 0, 0, 1], 0).into()).expect("some port is free");
        assert_ne!(free.port(), 0);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = taken.local_addr().expect("it is bound");
        let error = claim(address).expect_err("it is in use");
        let text = ListenError::new(address, error).to_string();
        assert!(text.starts_with(&format!("{address} is in use: ")), "{text}");
    }

    #[test]
    fn an_address_of_another_machine_is_named() {
        let elsewhere: SocketAddr = ([192, 0, 2, 1], 8080).into();
        let error = claim(elsewhere).expect_err("it is for documentation only");
        assert!(ListenError::new(elsewhere, error).to_string().contains("192.0.2.1:8080"));
    }

    #[test]
    fn too_many_cores_for_the_limit_on_open_files_are_refused() {
        let ListenError::OpenFiles { cores, needed, limit } =
            raise_open_files(1 << 40).expect_err("no limit is that high")
        else {
            panic!("another error")
        };
        assert!(cores == 1 << 40 && needed > limit);
    }
}
