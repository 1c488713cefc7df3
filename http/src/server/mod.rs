//! The HTTP/1.1 server: where the codec meets the runtime.
//!
//! [`serve`] accepts on one core and runs each connection as a task of that core. Bytes are decoded where the kernel
//! put them; the answers to a pipelined batch leave in one send; an idle connection owns no buffer.
//!
//! ```no_run
//! use std::rc::Rc;
//! use covet_http::{Response, server, service_fn};
//! use covet_runtime::{Runtime, net::TcpListener};
//!
//! let runtime = Runtime::builder().handle_signals(true).start(|_core| async {
//!     let listener = TcpListener::bind(([0, 0, 0, 0], 8080).into()).expect("port 8080 is free");
//!     let service = Rc::new(service_fn(|_request| async { Response::new("Hello, World!") }));
//!     server::serve(listener, service, server::Config::default()).await;
//! })?;
//! runtime.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod admission;
mod arrivals;
mod calling;
mod config;
mod connection;
mod counts;
mod ending;
#[cfg(feature = "tls")]
mod handover;
#[cfg(feature = "tls")]
mod handshake;
mod incoming;
mod link;
mod listener;
mod output;
mod overload;
mod prelude;
mod problem;
mod progress;
mod redirect;
mod refusal;
mod release;
#[cfg(feature = "tls")]
mod secure;
mod shedding;
mod switch;
mod transport;
mod upgraded;
mod waiting;

pub use accept::serve;
pub use admission::{Admission, AdmissionLimits};
pub use config::{Config, Timeouts};
pub use counts::{Counts, Event};
pub use listener::Listener;
pub use overload::Overload;
pub use redirect::RedirectToHttps;
