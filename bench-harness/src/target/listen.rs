//! Starting a server on cores of this process.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, JoinFailure, Runtime, StartError};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, ipproto, socket, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
    /// The cores could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ListenError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
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
    /// When the address is taken or not ours, a core does not exist, or its ring cannot be made.
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
        raise_open_files();
        let cpus = cores.resolve()?;
        let address = claim(listen).map_err(|source| ListenError::new(listen, source))?;
        let (report, reports) = mpsc::channel();
        let serve = Arc::new(serve);
        let builder = Runtime::builder().cores(cores).thread_name(thread_name).handle_signals(true);
        let runtime = builder.start(move |_core| {
            let (report, serve) = (report.clone(), serve.clone());
            async move {
                // The receiver is gone only when another core has failed and all of them are about to end.
                match TcpListener::bind(address) {
                    Ok(listener) => {
                        let _ = report.send(Ok(()));
                        drop(report);
                        serve(listener).await;
                    }
                    Err(error) => drop(report.send(Err(error))),
                }
            }
        })?;
        for outcome in reports.iter().take(cpus.len()) {
            if let Err(source) = outcome {
                runtime.shutdown(Duration::ZERO);
                return Err(ListenError::new(address, source));
            }
        }
        Ok(Self { runtime, address, cpus })
    }

    /// Where it listens.
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

/// Binds and lets go of an address, which says whether a server is there and settles port 0.
///
/// The cores' own listeners share their port (`SO_REUSEPORT`), so they would join a server of the same user that
/// is there already, and neither would notice. It is not listened on: nobody must take it for the server.
fn claim(listen: SocketAddr) -> io::Result<SocketAddr> {
    let family = if listen.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let probe = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&probe, true)?;
    bind(&probe, &listen)?;
    SocketAddr::try_from(getsockname(&probe)?).map_err(io::Error::from)
}

fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Should it fail, the server has room for fewer connections, and says so when it is out of them.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}
