//! `covet-bench slow-clients`: what clients that never finish cost the others.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::exit::{Advice, Exit};
use super::peers::split_cpus;
use super::values;
use crate::experiment::beside::{Beside, Side, Sides};
use crate::experiment::standstill::Standstill;
use crate::load::{
    self, Extent, LoadPlan, NoProgress, TargetUrl, allow_open_files, allowed_cpus, format_cpus,
};
use crate::quantity::time;
use crate::realtime;
use crate::record::LoopModel;
use crate::stats::{Interval, StatsError};
use crate::target::child::Child;
use crate::target::slow_clients::{Sink, SlowClients};

const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often each of the slow clients sends a byte.
const PAUSE: Duration = Duration::from_secs(1);
/// What begins before a slice, and is not counted.
const WARMUP: Duration = Duration::from_millis(50);
const SEED: u64 = 1;
/// Open files beside the connections: rings, pipes and the like.
const DESCRIPTORS: u64 = 64;

/// Options of `covet-bench slow-clients`.
#[derive(Debug, Clone, Args)]
pub struct SlowClientsArgs {
    /// Server to load; the reference service is started on a core of its own where there is none
    #[arg(long, value_parser = TargetUrl::parse)]
    pub url: Option<TargetUrl>,
    /// Slow clients: each sends a head of which a byte comes every second, without an end
    #[arg(long, default_value_t = 1000)]
    pub clients: usize,
    /// Connections of the load that is measured
    #[arg(short = 'c', long, default_value_t = 64)]
    pub connections: usize,
    /// Share of the server's capacity that the open loop asks for
    #[arg(long, default_value_t = 0.5, value_parser = |text: &str| values::between(text, 0.01, 1.0))]
    pub load: f64,
    /// Pairs of periods: one with the slow clients, one without, in blocks of ABBA or BAAB
    #[arg(long, default_value_t = 30)]
    pub pairs: usize,
    /// Slices of a period
    #[arg(long, default_value_t = 5)]
    pub slices: usize,
    /// Measured time of a slice
    #[arg(long, default_value = "100ms", value_parser = values::duration)]
    pub slice: Duration,
    /// A slice within which the machine itself stood still for so long is left out, on either side
    #[arg(long, default_value = "500us", value_parser = values::duration)]
    pub standstill: Duration,
    /// Percentile that is compared
    #[arg(long, default_value_t = 99.9, value_parser = |text: &str| values::between(text, 1.0, 99.999))]
    pub percentile: f64,
    /// By how much it may be longer with the slow clients
    #[arg(long, default_value = "10%", value_parser = values::percent)]
    pub within: f64,
}

/// What an interval says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Within,
    Beyond,
    CannotTell,
}

impl Finding {
    fn of(ratio: Option<&Interval>, limit: f64) -> Self {
        match ratio {
            Some(ratio) if ratio.upper <= limit => Self::Within,
            Some(ratio) if ratio.lower > limit => Self::Beyond,
            _ => Self::CannotTell,
        }
    }

    /// What is rare does not show in the median of the periods, but in all of them together, if there is enough of it.
    fn of_both(typical: Option<&Interval>, pooled: Option<&Interval>, limit: f64) -> Self {
        match Self::of(pooled, limit) {
            Self::Beyond => Self::Beyond,
            Self::Within | Self::CannotTell => Self::of(typical, limit),
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Within => Exit::Success,
            Self::Beyond => Exit::Refuted,
            Self::CannotTell => Exit::Inconclusive,
        }
    }
}

/// Measures an open loop at a share of the server's capacity with and without slow clients, in short slices by turns, and
/// prints the ratio of the percentiles of both sides, with its interval.
///
/// Without them as many clients trickle to a socket that nobody reads, so that both sides have the same to do for the
/// clients' part.
///
/// # Errors
/// When there are fewer than two cores, or the server can't be started or loaded.
pub fn slow_clients(args: SlowClientsArgs) -> anyhow::Result<Exit> {
    if args.pairs == 0 || args.slices == 0 || args.slice.is_zero() || args.clients == 0 {
        return Err(Advice::error(
            Exit::Usage,
            "nothing would be measured",
            "Ask for clients, pairs, slices and some time",
        ));
    }
    if args.url.as_ref().is_some_and(TargetUrl::is_secure) {
        return Err(Advice::error(
            Exit::Usage,
            "the slow clients speak plain HTTP, so a server of HTTPS would not wait for them",
            "Give a URL that begins with http://",
        ));
    }
    // Either end of each slow client, where nobody reads them.
    let needed = 2 * args.clients as u64 + args.connections as u64 + DESCRIPTORS;
    if let Err(limit) = allow_open_files(needed) {
        return Err(Advice::error(
            Exit::Runtime,
            format!("{} slow clients need {needed} open files, and the limit is {limit}", args.clients),
            format!("Raise it first, for example with `ulimit -n {needed}`, or ask for fewer --clients"),
        ));
    }
    let (server_cpus, cpus) = split_cpus(allowed_cpus(), 1)?;
    // The server and the generator inherit it: nothing that the machine does besides is to come between. It takes the
    // same permission as to know when the machine stood still, of whose lack the output tells.
    let _ = realtime::go_first(realtime::MEASURED);
    let (server, url) = match args.url.clone() {
        Some(url) => (None, url),
        None => {
            let server = start(&server_cpus)?;
            let url = TargetUrl::parse(&format!("http://{}/plaintext", server.address()))?;
            (Some(server), url)
        }
    };
    let addresses = url.resolve().with_context(|| format!("cannot resolve `{}`", url.host()))?;
    let address = *addresses.first().context("the host has no address")?;
    let plan = |loop_model, warmup, duration| LoadPlan {
        loop_model,
        connections: args.connections,
        warmup,
        extent: Extent { duration: Some(duration), requests: None },
        server_cpus: Some(server_cpus.clone()),
        ..LoadPlan::closed(url.clone(), cpus.clone())
    };
    let closed = plan(LoopModel::Closed, Duration::from_millis(500), Duration::from_secs(2));
    let capacity = load::run(&closed, &NoProgress)?.rate();
    let rate = capacity * args.load;
    let beside = Beside {
        plan: plan(LoopModel::Open { rate }, WARMUP, args.slice),
        pairs: args.pairs,
        slices: args.slices,
        standstill: args.standstill,
        seed: SEED,
    };
    let watched: Vec<usize> = server_cpus.iter().chain(&cpus).copied().collect();
    let machine = Standstill::start(&watched);
    let sides = beside
        .measure(machine.as_ref().ok(), |with| company(with, address, args.clients, &cpus))
        .context("the slow clients, or the load beside them, did not come about")?;
    if let Some(server) = server {
        server.stop(STOP_PATIENCE)?;
    }
    let q = args.percentile / 100.0;
    let (typical, pooled) = (sides.typical_ratio(q, SEED), sides.pooled_ratio(q, SEED));
    let finding = Finding::of_both(typical.as_ref().ok(), pooled.as_ref().ok(), 1.0 + args.within);
    println!("{}", verdict(&args, &sides, &typical, finding));
    println!("{}", of_all(&sides, q, pooled.as_ref().ok()));
    println!("open loop at {rate:.0}/s, {:.0} % of {capacity:.0}/s", args.load * 100.0);
    match machine {
        Ok(_) => println!("{}", left_out(&args, &sides)),
        Err(error) => println!(
            "no slice is left out: the machine's own pauses are not known, as nothing may run before the load \
             (SCHED_FIFO: {error}; it takes CAP_SYS_NICE)"
        ),
    }
    Ok(finding.exit())
}

fn start(cpus: &[usize]) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let cores = format_cpus(cpus);
    let command = move |port| {
        let mut command = Command::new(&program);
        command.args(["serve", "--cores", &cores, "--listen", &format!("127.0.0.1:{port}")]);
        command
    };
    Ok(Child::start(command, Some(cpus), START_PATIENCE)?)
}

/// Slow clients of the server, or of nobody.
fn company(
    with: bool,
    server: SocketAddr,
    count: usize,
    cpus: &[usize],
) -> std::io::Result<(SlowClients, Option<Sink>)> {
    let sink = if with { None } else { Some(Sink::start()?) };
    let address = sink.as_ref().map_or(server, Sink::address);
    Ok((SlowClients::start(address, count, PAUSE, cpus)?, sink))
}

fn verdict(
    args: &SlowClientsArgs,
    sides: &Sides,
    ratio: &Result<Interval, StatsError>,
    finding: Finding,
) -> String {
    // As it was asked for, without the noise of its last bits.
    let percent = (args.within * 1e4).round() / 100.0;
    let finding = match finding {
        Finding::Within => format!("within {percent} %"),
        Finding::Beyond => format!("LONGER by more than {percent} %"),
        Finding::CannotTell => format!("cannot tell whether within {percent} %"),
    };
    let micros = |side: &Side| side.typical(args.percentile / 100.0).as_secs_f64() * 1e6;
    let figures = format!("{:.0} µs over {:.0} µs", micros(&sides.with), micros(&sides.without));
    let name = format!("p{} with {} slow clients over without", args.percentile, args.clients);
    match ratio {
        Ok(ratio) => format!(
            "{name}: {:.3}, 95 % interval {:.3} to {:.3} of {} pairs (medians of the periods, {figures}): {finding}",
            ratio.estimate, ratio.lower, ratio.upper, ratio.runs
        ),
        Err(StatsError::TooFewRuns { runs, needed }) => {
            format!("{name}: {figures}, of {runs} pairs, and an interval takes {needed}: {finding}")
        }
        Err(error) => format!("{name}: {figures}, without an interval ({error}): {finding}"),
    }
}

fn of_all(sides: &Sides, q: f64, ratio: Option<&Interval>) -> String {
    let micros = |side: &Side| side.quantile(q).as_secs_f64() * 1e6;
    let interval = ratio
        .map(|ratio| format!("{:.3}, interval {:.3} to {:.3}, ", ratio.estimate, ratio.lower, ratio.upper))
        .unwrap_or_default();
    format!(
        "of all requests together, which rests on the worst of the periods: {interval}{:.0} µs over {:.0} µs",
        micros(&sides.with),
        micros(&sides.without)
    )
}

fn left_out(args: &SlowClientsArgs, sides: &Sides) -> String {
    let side = |side: &Side| format!("{} of {}", side.kept, side.slices);
    format!(
        "slices in which the machine did not stand still for {} or more, which are those that count: {} with, {} without",
        time(args.standstill),
        side(&sides.with),
        side(&sides.without)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::LEVEL;

    #[test]
    fn an_interval_that_holds_the_limit_tells_nothing() {
        let interval = |lower, upper| Interval { estimate: lower, lower, upper, level: LEVEL, runs: 30 };
        for (ratio, finding, exit) in [
            (Some(interval(0.9, 1.1)), Finding::Within, Exit::Success),
            (Some(interval(0.9, 1.11)), Finding::CannotTell, Exit::Inconclusive),
            (Some(interval(1.1, 1.2)), Finding::CannotTell, Exit::Inconclusive),
            (Some(interval(1.11, 1.2)), Finding::Beyond, Exit::Refuted),
            (None, Finding::CannotTell, Exit::Inconclusive),
        ] {
            assert_eq!(Finding::of(ratio.as_ref(), 1.1), finding, "{ratio:?}");
            assert_eq!(finding.exit(), exit);
        }
        let (within, open, beyond) = (interval(0.9, 1.05), interval(0.5, 3.0), interval(1.2, 3.0));
        assert_eq!(Finding::of_both(Some(&within), Some(&open), 1.1), Finding::Within);
        assert_eq!(Finding::of_both(Some(&within), Some(&beyond), 1.1), Finding::Beyond);
        assert_eq!(Finding::of_both(Some(&open), Some(&within), 1.1), Finding::CannotTell);
    }
}
