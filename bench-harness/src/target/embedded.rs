//! Servers on cores of this process that come and go with a value.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use covet_runtime::net::TcpListener;
use covet_runtime::{CoreSet, Runtime};
use rustix::process::Pid;
use rustix::thread::gettid;

use crate::clock::wait_time_of;

/// A server within this process, without its signals; dropping it stops it.
#[derive(Debug)]
pub struct Embedded {
    runtime: Option<Runtime>,
    address: SocketAddr,
    threads: Vec<Pid>,
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
                let _ = report.send(listener.as_ref().map(|_| gettid()).map_err(io::Error::kind));
                drop(report);
                if let Ok(listener) = listener {
                    serve(listener, core).await;
                }
            }
        };
        let builder = Runtime::builder().cores(cores).thread_name(thread_name);
        let runtime = builder.start(start).map_err(io::Error::other)?;
        let mut embedded = Self { runtime: Some(runtime), address, threads: Vec::with_capacity(count) };
        for outcome in reports.iter().take(count) {
            embedded.threads.push(outcome?);
        }
        Ok(embedded)
    }

    /// For how long each of its cores was ready to run and waited for its CPU so far; without those of which the kernel
    /// does not tell.
    pub fn waits(&self) -> Vec<Duration> {
        self.threads.iter().filter_map(|&thread| wait_time_of(thread)).collect()
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use covet_runtime::CoreSet;
    use rustix::thread::{CpuSet, sched_setaffinity};

    use crate::load::allowed_cpus;
    use crate::target::null::{self, NullOptions};

    #[test]
    fn the_waits_of_its_cores_grow_while_others_have_their_cpu() {
        let cpu = allowed_cpus()[0];
        let null = null::embed(CoreSet::list([cpu]), NullOptions::default()).unwrap();
        let before = null.waits();
        assert_eq!(before.len(), 1);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut only = CpuSet::new();
                    only.set(cpu);
                    sched_setaffinity(None, &only).unwrap();
                    while !done.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let mut client = TcpStream::connect(null.address()).unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            let mut waited = Duration::ZERO;
            while waited < Duration::from_millis(5) && Instant::now() < end {
                client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
                assert_ne!(client.read(&mut [0; 200]).unwrap(), 0);
                waited = null.waits()[0] - before[0];
            }
            done.store(true, Ordering::Relaxed);
            assert!(waited >= Duration::from_millis(5), "{waited:?}");
        });
    }
}
