//! What a stall looks like to a closed loop and to an open one.
//!
//!     cargo run --release -p covet-bench --example coordinated_omission -- docs/bench
//!
//! A server freezes for one second in every twelve. It is loaded for 24 seconds by each loop; the percentiles are
//! printed as Markdown, and drawn into DIRECTORY/coordinated-omission.svg. Takes about a minute.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use covet_bench::load::{self, Extent, LoadPlan, NoProgress, TargetUrl, allowed_cpus};
use covet_bench::record::{Hist, LoopModel, RunRecord};
use covet_bench::report::svg::latency::{Series, chart};
use covet_bench::report::{Curve, quantity, svg};
use covet_bench::target::listen::Listening;
use covet_bench::target::reference;
use covet_http::server::{Config, serve};
use covet_runtime::{CoreSet, spawn, time};

const CYCLE: Duration = Duration::from_secs(12);
const STALL: Duration = Duration::from_secs(1);
const RATE: f64 = 5000.0;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args().nth(1).context("name the directory that receives the chart")?;
    let closed = measure(LoopModel::Closed)?;
    let open = measure(LoopModel::Open { rate: RATE })?;
    // The short names are those of the curves.
    let clocks = [
        ("closed", "closed loop", &closed.response),
        ("sent", "open loop, since it was sent", &open.service),
        ("due", "open loop, since it was due", &open.response),
    ];
    println!("| Curve | Requests | p50 | p90 | p99 | p99.9 |\n|---|---:|---:|---:|---:|---:|");
    for (_, name, hist) in clocks {
        let at = |q| quantity::time(hist.quantile(q));
        let requests = quantity::grouped(hist.len() as f64);
        println!("| {name} | {requests} | {} | {} | {} | {} |", at(0.5), at(0.9), at(0.99), at(0.999));
    }
    let path = Path::new(&directory).join("coordinated-omission.svg");
    std::fs::write(&path, drawing(&clocks)?).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nchart: {}", path.display());
    Ok(())
}

/// Loads a server of its own, so that the stalls fall on the same seconds of each run.
fn measure(loop_model: LoopModel) -> anyhow::Result<RunRecord> {
    let cpus = allowed_cpus();
    let (server_cpu, generator_cpu) = (cpus[0], cpus[cpus.len() - 1]);
    let cores = CoreSet::list([server_cpu]);
    let server = Listening::start(([127, 0, 0, 1], 0).into(), cores, "stalls", |listener| {
        spawn(stall()).detach();
        serve(listener, Rc::new(reference::router()), Config::default())
    })?;
    let url = TargetUrl::parse(&format!("http://{}/plaintext", server.address()))?;
    let plan = LoadPlan {
        loop_model,
        extent: Extent { duration: Some(CYCLE * 2), requests: None },
        server_cpus: Some(vec![server_cpu]),
        ..LoadPlan::closed(url, vec![generator_cpu])
    };
    let record = load::run(&plan, &NoProgress)?;
    for guard in record.guards() {
        eprintln!("{:?} {}: {}", guard.outcome, guard.name, guard.detail);
    }
    Ok(record)
}

/// Holds the core, and with it every connection, once in a cycle.
async fn stall() {
    loop {
        time::sleep(CYCLE - STALL).await;
        std::thread::sleep(STALL);
    }
}

fn drawing(clocks: &[(&str, &str, &Hist)]) -> anyhow::Result<String> {
    let curves: Vec<Curve> = clocks.iter().map(|(name, _, hist)| Curve::of(*name, hist)).collect();
    let series: Vec<Series<'_>> = curves
        .iter()
        .map(|curve| Series { name: &curve.label, merged: curve, runs: &[], within: &[] })
        .collect();
    let label = "Latency by percentile of a server that stalls for one second in twelve";
    let drawn = chart(label, &series, svg::WIDE).context("nothing was measured")?;
    Ok(svg::standalone(&drawn))
}
