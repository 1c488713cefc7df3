//! Life under systemd: sockets that it opened for us (sd_listen_fds(3)), and what it wants to be told (sd_notify(3)).
//!
//! With a unit `web.socket` that says `ListenStream=80` and `FileDescriptorName=http`, the service's first process gets
//! a socket that listens already. Connections wait in it while the service starts, and restarts lose none.
//!
//! ```no_run
//! use covet_runtime::net::{ListenOptions, PerCoreListener, activation};
//! use covet_runtime::CoreSet;
//!
//! let cores = CoreSet::all();
//! let mut http = Vec::new();
//! for socket in activation::listenfds()? {
//!     if socket.name() == "http" {
//!         http.push(socket.into_tcp_listener()?);
//!     }
//! }
//! let listeners = if http.is_empty() {
//!     PerCoreListener::bind(([0, 0, 0, 0], 8080).into(), &ListenOptions::default(), &cores)?
//! } else {
//!     PerCoreListener::from_sockets(http, &ListenOptions::default(), &cores)?
//! };
//! activation::notify("READY=1")?;
//! # drop(listeners);
//! # Ok::<(), std::io::Error>(())
//! ```

mod listenfds;
mod notify;

pub use listenfds::{InheritedFd, listenfds};
pub use notify::{notify, watchdog_interval};
