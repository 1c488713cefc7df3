//! Loads of other shapes than the plain ones, as servers see them.

mod arrivals;
mod clocks;
mod embedded;
#[path = "../folder/mod.rs"]
mod folder;
#[path = "../load_servers/mod.rs"]
mod load_servers;
mod paced;
mod reach;
mod requests;
mod scenario;
mod seen;

use covet_bench::load::TargetUrl;
use load_servers::Server;

fn url(server: &Server, path: &str) -> TargetUrl {
    let base = server.url().to_string();
    TargetUrl::parse(&format!("{}{path}", base.trim_end_matches("/path"))).expect("a URL")
}
