//! Where `covet-bench serve` listens, and how it takes over from the process before.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use covet_runtime::CoreSet;
use covet_runtime::net::activation;
use covet_runtime::net::handover::{self, Offer, Predecessor};

use crate::target::listen::Listening;
use crate::target::sockets::{Place, Sockets};

/// How long the requests of the process before may take to finish.
const FINISH: Duration = Duration::from_secs(30);

/// Options of `covet-bench serve` about its sockets.
#[derive(Debug, Clone, Args)]
pub struct SocketArgs {
    /// Address to listen on; port 0 lets the kernel choose, and the address is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Listen on a Unix socket at this path instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["listen", "systemd"])]
    pub unix: Option<PathBuf>,
    /// Listen on the sockets that systemd has opened (LISTEN_FDS) instead
    #[arg(long, conflicts_with = "listen")]
    pub systemd: bool,
    /// Take over from the server that offers its sockets at this path, if there is one, and offer them there to the
    /// next: a restart that loses no request
    #[arg(long, value_name = "PATH", conflicts_with = "redirect")]
    pub handover: Option<PathBuf>,
}

/// Sockets that are open, and who had them before.
pub struct Opened {
    /// The sockets.
    pub sockets: Sockets,
    before: Option<Predecessor>,
    handover: Option<PathBuf>,
    is_systemd: bool,
}

/// What ends with the server: its offer, and the paths that it leaves to nobody.
pub struct Standing {
    _offer: Option<Offer>,
    paths: Vec<PathBuf>,
    handed_over: Arc<AtomicBool>,
}

impl SocketArgs {
    /// Opens the sockets, or takes them over.
    ///
    /// # Errors
    /// When they can't be opened, or the process before breaks off.
    pub fn open(&self, cores: &CoreSet) -> anyhow::Result<Opened> {
        let before = self.handover.as_deref().map(handover::take).transpose()?.flatten();
        let sockets = match (&before, &self.unix) {
            (Some(before), _) => Sockets::succeed(before, cores)?,
            (None, Some(path)) => Sockets::open(&Place::Unix(path.clone()), cores)?,
            (None, None) if self.systemd => Sockets::open(&Place::Systemd, cores)?,
            (None, None) => Sockets::open(&Place::Tcp(self.listen), cores)?,
        };
        Ok(Opened { sockets, before, handover: self.handover.clone(), is_systemd: self.systemd })
    }
}

impl Opened {
    /// Tells everybody who wants to know that the server accepts connections: the process before, which then shuts down,
    /// systemd, and whoever comes next.
    ///
    /// # Errors
    /// When the sockets can't be offered to a successor.
    pub fn serving(self, service: &Listening) -> anyhow::Result<Standing> {
        let handed_over = Arc::new(AtomicBool::new(false));
        if let Some(before) = self.before
            && let Err(error) = before.serving()
        {
            eprintln!("note: the server before does not hear that it is relieved: {error}");
        }
        activation::notify("READY=1").context("cannot tell systemd that the server is ready")?;
        // The paths of systemd's sockets are systemd's.
        let paths = if self.is_systemd { Vec::new() } else { self.sockets.paths() };
        let offer = match self.handover {
            None => None,
            Some(path) => {
                let (sockets, shutdown, taken) =
                    (self.sockets, service.shutdown_handle(), handed_over.clone());
                let end = move || {
                    taken.store(true, Ordering::SeqCst);
                    shutdown.shutdown(FINISH);
                };
                Some(Offer::start(path, move || sockets.to_hand_over(), end)?)
            }
        };
        Ok(Standing { _offer: offer, paths, handed_over })
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if !self.handed_over.load(Ordering::SeqCst) {
            for path in &self.paths {
                // Who has removed it already has done so on purpose.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}
