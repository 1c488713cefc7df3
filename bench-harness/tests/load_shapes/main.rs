//! Loads of other shapes than the plain ones, as servers see them.

mod arrivals;
mod clocks;
mod embedded;
#[path = "../load_servers/mod.rs"]
mod load_servers;
mod paced;
mod reach;
mod requests;
mod scenario;
mod seen;

use covet_bench::load::{LoadPlan, NoProgress, TargetUrl, run};
use covet_bench::record::RunRecord;
use load_servers::{Server, assert_accounts_close};

fn measure(plan: &LoadPlan) -> RunRecord {
    let record = run(plan, &NoProgress).expect("the run begins");
    assert_accounts_close(&record);
    record
}

fn url(server: &Server, path: &str) -> TargetUrl {
    let base = server.url().to_string();
    TargetUrl::parse(&format!("{}{path}", base.trim_end_matches("/path"))).expect("a URL")
}
