//! `covet-bench slow-clients`: what clients that never finish cost the others.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::exit::{Advice, Exit};
use super::peers::split_cpus;
use super::values;
use crate::load::{self, Extent, LoadPlan, NoProgress, TargetUrl, allowed_cpus, format_cpus};
use crate::record::{LoopModel, RunRecord};
use crate::target::child::Child;
use crate::target::slow_clients::SlowClients;

const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Options of `covet-bench slow-clients`.
#[derive(Debug, Clone, Args)]
pub struct SlowClientsArgs {
    /// Slow clients: each sends a head of which a byte comes every second, without an end
    #[arg(long, default_value_t = 1000)]
    pub clients: usize,
    /// Connections of the load that is measured
    #[arg(short = 'c', long, default_value_t = 64)]
    pub connections: usize,
    /// Share of the server's capacity that the open loop asks for
    #[arg(long, default_value_t = 0.5, value_parser = |text: &str| values::between(text, 0.01, 1.0))]
    pub load: f64,
    /// Pairs of runs: one with the slow clients, one without, in alternating order
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Measured time of one run
    #[arg(short = 'd', long, default_value = "5s", value_parser = values::duration)]
    pub duration: Duration,
    /// Percentile that is compared
    #[arg(long, default_value_t = 99.9, value_parser = |text: &str| values::between(text, 1.0, 99.999))]
    pub percentile: f64,
}

/// Starts the reference service, finds its capacity, and measures an open loop with and without slow clients. Prints one
/// line: the ratio of the percentiles, as the median of the rounds' ratios.
///
/// # Errors
/// When there are fewer than two cores, or the server can't be started or loaded.
pub fn slow_clients(args: SlowClientsArgs) -> anyhow::Result<Exit> {
    if args.rounds == 0 || args.duration.is_zero() || args.clients == 0 {
        return Err(Advice::error(
            Exit::Usage,
            "nothing would be measured",
            "Ask for clients, a round and some time",
        ));
    }
    let (server_cpus, cpus) = split_cpus(allowed_cpus(), 1)?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let cores = format_cpus(&server_cpus);
    let server = Child::start(
        move |port| {
            let mut command = Command::new(program);
            command.args(["serve", "--cores", &cores, "--listen", &format!("127.0.0.1:{port}")]);
            command
        },
        Some(&server_cpus),
        START_PATIENCE,
    )?;
    let url = TargetUrl::parse(&format!("http://{}/plaintext", server.address()))?;
    let plan = |loop_model, duration| LoadPlan {
        loop_model,
        connections: args.connections,
        warmup: Duration::from_millis(500),
        extent: Extent { duration: Some(duration), requests: None },
        server_cpus: Some(server_cpus.clone()),
        ..LoadPlan::closed(url.clone(), cpus.clone())
    };
    let capacity = load::run(&plan(LoopModel::Closed, Duration::from_secs(2)), &NoProgress)?.rate();
    let open = plan(LoopModel::Open { rate: capacity * args.load }, args.duration);
    let quantile = args.percentile / 100.0;
    let mut pairs = Vec::new();
    for round in 0..args.rounds {
        // Whatever drifts meets both in turn.
        let (with, without) = if round % 2 == 0 {
            let without = measure(&open)?;
            (measure_beside(&open, server.address(), args.clients)?, without)
        } else {
            let with = measure_beside(&open, server.address(), args.clients)?;
            (with, measure(&open)?)
        };
        let micros = |record: &RunRecord| record.response.quantile(quantile).as_secs_f64() * 1e6;
        pairs.push((micros(&with), micros(&without)));
    }
    server.stop(STOP_PATIENCE)?;
    let ratios: Vec<f64> = pairs.iter().map(|(with, without)| with / without).collect();
    println!(
        "p{} with {} slow clients over without: {:.3} ({:.0} µs over {:.0} µs; rounds {}; open loop at {:.0}/s, {:.0} % of {:.0}/s)",
        args.percentile,
        args.clients,
        median(ratios.clone()),
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
        ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" "),
        capacity * args.load,
        args.load * 100.0,
        capacity,
    );
    Ok(Exit::Success)
}

fn measure(plan: &LoadPlan) -> anyhow::Result<RunRecord> {
    let record = load::run(plan, &NoProgress)?;
    let errors = record.errors.total();
    anyhow::ensure!(errors == 0, "{errors} requests failed: {:?}", record.errors);
    Ok(record)
}

fn measure_beside(plan: &LoadPlan, server: SocketAddr, clients: usize) -> anyhow::Result<RunRecord> {
    let slow = SlowClients::start(server, clients, Duration::from_secs(1))
        .context("cannot connect the slow clients (is `ulimit -n` above their number?)")?;
    let record = measure(plan)?;
    drop(slow);
    Ok(record)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
