//! The load generator.
//!
//! A run has one pinned thread with a runtime of its own for each generator core, and its connections are split
//! over them; nothing is shared while it is measured. In a closed loop each connection keeps its slots full. In
//! an open loop each core has a schedule of intended times: a free connection takes the next due request, and a
//! request that finds none free keeps its time, so that a server that stalls cannot hide the wait.
//!
//! What ends a request badly is counted and the connection is opened again; a run never hangs on a server.

mod asked;
mod canary;
mod cgroup;
mod conduct;
mod connection;
mod dispatch;
mod embed;
mod extract;
mod generator;
mod in_flight;
mod job;
mod live;
mod observer;
mod open_files;
mod opening;
mod pauses;
mod placement;
mod plan;
mod progress;
mod protocol;
mod reader;
mod receiving;
mod request;
mod sending;
mod settling;
mod tally;
mod template;
mod timeouts;
mod times;
mod tls;
mod traffic;
mod transport;
mod url;
mod websocket;
mod worker;

pub use cgroup::quota;
pub use conduct::run;
pub use embed::LoadTest;
pub use extract::{Extraction, ExtractionError};
pub use live::{LiveLoad, LivePart};
pub(crate) use open_files::{allow_open_files, open_files_limit};
pub use placement::{PlacementError, allowed_cpus, format_cpus, parse_cpus, place};
pub use plan::{Expectation, Extent, LoadError, LoadPlan, Reach};
pub use progress::{Beside, NoProgress, Progress};
pub use request::{Body, RequestError, RequestOptions, parse_field};
pub use template::TemplateError;
pub use tls::TlsOptions;
pub use traffic::Target;
pub use url::{TargetUrl, UrlError};
pub(crate) use websocket::accept as websocket_accept;
