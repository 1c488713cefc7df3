//! `covet-bench worker`: a generator under a master of Locust.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::exit::{Advice, Advise, Exit};
use super::keep::Keep;
use super::load_args::{LoadArgs, WarmUp};
use super::output::{OutputFormat, write_out};
use super::run::explain;
use super::values;
use crate::load::{Beside, LiveLoad, LoadPlan, NoProgress, Progress};
use crate::locust::{Drive, DriveError, LinkError, Observe, drive};
use crate::record::{LoopModel, RunRecord};

/// The port on which a master of Locust expects its workers.
const MASTER_PORT: u16 = 5557;

/// Options of `covet-bench worker`.
#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("connections", |arg| arg.hide(true)),
    mut_arg("duration", |arg| arg.hide(true)),
    mut_arg("requests", |arg| arg.hide(true)),
    mut_arg("rate", |arg| arg.hide(true)),
    mut_arg("arrivals", |arg| arg.hide(true)),
    mut_arg("stages", |arg| arg.hide(true)),
    mut_arg("session", |arg| arg.hide(true)),
    mut_arg("warmup", |arg| arg.hide(true))
)]
pub struct WorkerArgs {
    /// What to load: a URL, or a path such as /plaintext on the host that the master's web page names
    #[arg(default_value = "/")]
    pub url: String,
    /// The master (`locust --master`), with the port for workers where it is not 5557
    #[arg(long, value_name = "HOST[:PORT]", value_parser = master)]
    pub master: (String, u16),
    /// The load of a user, who is a connection in a closed loop; how many there are is the master's affair.
    #[command(flatten)]
    pub load: LoadArgs,
    /// The name of the requests on the master's page [default: the path]
    #[arg(long)]
    pub name: Option<String>,
    /// Give up when nothing was heard of the master for this long
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    pub patience: Duration,
    /// Keep the record of each test as a bundle in this folder, as test-1, test-2, ..., for `merge`
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Form of the record of each test on standard output
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output_format: OutputFormat,
}

fn master(text: &str) -> Result<(String, u16), String> {
    let bad =
        || format!("`{text}` is not a host and a port: write example.org, example.org:5557 or [::1]:5557");
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address without brackets.
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => (text, MASTER_PORT),
        Some((host, port)) if !text.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
        _ => (text, MASTER_PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // Names, addresses, and the zone of an address.
    let known = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || port == 0 || !host.chars().all(known) {
        return Err(bad());
    }
    Ok((host.to_owned(), port))
}

/// Does what the master says until it quits.
///
/// # Errors
/// When an argument makes no sense, or the master cannot be reached or is gone.
pub fn worker(args: WorkerArgs) -> anyhow::Result<Exit> {
    let example = args.plan(Some("http://localhost"))?;
    refuse_masters_affairs(&args)?;
    LiveLoad::check(&example).map_err(|error| explain(error.into()))?;
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, ended.clone()).context("signals cannot be heard")?;
    }
    let path = example.url.target().split('?').next().unwrap_or("/").to_owned();
    let host = String::from_utf8_lossy(rustix::system::uname().nodename().to_bytes()).into_owned();
    let worker = format!("{host}_covet-bench_{}", std::process::id());
    let how = Drive {
        host: &args.master.0,
        port: args.master.1,
        worker: &worker,
        method: example.request.method.as_str(),
        name: args.name.as_deref().unwrap_or(&path),
        patience: args.patience,
        ended: &ended,
    };
    let mut tests = Tests { args: &args, keep: None, number: 0, exit: Cell::new(Exit::Success) };
    drive(how, &mut tests).map_err(advise)?;
    Ok(tests.exit.get())
}

fn advise(error: DriveError) -> anyhow::Error {
    let remedy = match &error {
        DriveError::Silent(..) => {
            "Start `locust --master` there, or check --master: it wants the port for workers, 5557 unless \
             --master-bind-port says otherwise"
        }
        DriveError::Link(LinkError::NoMaster(..)) => {
            "--master wants the port for workers, 5557 unless --master-bind-port says otherwise, and not the web page's"
        }
        DriveError::Link(_) | DriveError::Message(_) => "Check that the master is Locust 2",
        DriveError::Record(_) => "Check the folder of --out",
    };
    let failed: Result<(), _> = Err(error);
    failed.advise("the worker ends", remedy).expect_err("it is an error")
}

/// Refuses options that say what the master does.
fn refuse_masters_affairs(args: &WorkerArgs) -> anyhow::Result<()> {
    let load = &args.load;
    let given = [
        (load.duration.is_some(), "--duration"),
        (load.requests.is_some(), "--requests"),
        (load.rate.is_some(), "--rate"),
        (load.arrivals != "constant", "--arrivals"),
        (load.stages.is_some(), "--stages"),
        (load.session.is_some(), "--session"),
        (load.connections != 64, "--connections"),
        (load.warmup != WarmUp::Fixed(Duration::from_secs(1)), "--warmup"),
    ];
    match given.iter().find(|(given, _)| *given) {
        None => Ok(()),
        Some((_, option)) => Err(Advice::error(
            Exit::Usage,
            format!("{option} is not a worker's: the master says how many users there are and how long"),
            "Leave it out, and use the master's --users, --spawn-rate and --run-time, or its web page",
        )),
    }
}

impl WorkerArgs {
    fn plan(&self, host: Option<&str>) -> anyhow::Result<LoadPlan> {
        let url = if !self.url.starts_with('/') {
            self.url.clone()
        } else if let Some(host) = host.filter(|host| !host.is_empty()) {
            format!("{}{}", host.trim_end_matches('/'), self.url)
        } else {
            return Err(Advice::error(
                Exit::Usage,
                format!("the master names no host for {}", self.url),
                "Give the master a --host, fill it in on its web page, or give the worker a whole URL",
            ));
        };
        Ok(LoadPlan { loop_model: LoopModel::Closed, ..self.load.plan(&url)? })
    }
}

/// The tests of a worker, and what becomes of their records.
struct Tests<'a> {
    args: &'a WorkerArgs,
    keep: Option<Beside<'static, Keep>>,
    number: usize,
    exit: Cell<Exit>,
}

impl Observe for Tests<'_> {
    fn plan(&mut self, host: Option<&str>) -> anyhow::Result<LoadPlan> {
        let plan = self.args.plan(host)?;
        self.number += 1;
        if let Some(out) = &self.args.out {
            self.keep = Some(Keep::begin(&out.join(format!("test-{}", self.number)), &NoProgress)?);
        }
        Ok(plan)
    }

    fn progress(&self) -> &dyn Progress {
        self.keep.as_ref().map_or(&NoProgress, |keep| keep)
    }

    fn record(&mut self, record: RunRecord) -> anyhow::Result<()> {
        if !record.is_valid() {
            self.exit.set(Exit::Invalid);
        }
        write_out(&match self.args.output_format {
            OutputFormat::Text => record.to_text() + "\n",
            // A line for each test.
            OutputFormat::Json => format!("{}\n", record.to_json()),
        })?;
        match self.keep.take() {
            Some(keep) => keep.into_witness().finish(&[record]),
            None => Ok(()),
        }
    }

    fn note(&self, line: &str) {
        eprintln!("covet-bench: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_has_a_host_and_mostly_no_port() {
        let known = [
            ("m", "m", 5557),
            ("m:1", "m", 1),
            ("10.0.0.1:7", "10.0.0.1", 7),
            ("[::1]", "::1", 5557),
            ("[::1]:9", "::1", 9),
            ("fe80::1:2", "fe80::1:2", 5557),
            ("[fe80::1%eth0]:7", "fe80::1%eth0", 7),
            ("my_master-0.büro", "my_master-0.büro", 5557),
        ];
        for (text, host, port) in known {
            assert_eq!(master(text), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":1", "m:", "m:x", "m:0", "m:70000", "http://m", "http://m:1", "m/x", "a b"] {
            assert!(master(text).is_err(), "{text}");
        }
    }
}
