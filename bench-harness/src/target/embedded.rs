//! Servers on cores of this process that come and go with a value.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};

/// A server within this process, without its signals; dropping it stops it.
#[derive(Debug)]
pub struct Embedded {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

impl Embedded {
    /// Runs `serve` on each core with a listener of its own, all on one free port of 127.0.0.1, and the core's number;
    /// returns once all of them accept.
    ///
    /// # Errors
    /// When a core does not exist or cannot be started, or there is no port.
    pub fn start<F, Fut>(cores: CoreSet, thread_name: &str, serve: F) -> io::Result<Self>
    where
        F: Fn(TcpListener, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let claim = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = claim.local_addr()?;
        drop(claim);
        let count = cores.resolve().map_err(io::Error::other)?.len();
        let (report, reports) = mpsc::channel();
        let serve = Arc::new(serve);
        let start = move |core: covet_runtime::Core| {
            let (report, serve, core) = (report.clone(), serve.clone(), core.index());
            async move {
                let listener = TcpListener::bind(address);
                // The receiver is gone only when another core has failed and all of them are about to end.
                let _ = report.send(listener.as_ref().map(drop).map_err(io::Error::kind));
                drop(report);
                if let Ok(listener) = listener {
                    serve(listener, core).await;
                }
            }
        };
        let builder = Runtime::builder().cores(cores).thread_name(thread_name);
        let runtime = builder.start(start).map_err(io::Error::other)?;
        let embedded = Self { runtime: Some(runtime), address };
        for outcome in reports.iter().take(count) {
            outcome?;
        }
        Ok(embedded)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown(Duration::ZERO);
            // How its cores ended is nobody's affair any more.
            let _ = runtime.join();
        }
    }
}
