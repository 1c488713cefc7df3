//! Two services of one program, compared while they serve.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use covet_runtime::CoreSet;
use covet_runtime::net::TcpListener;

use super::ab::{self, Comparison, Finding, Pairs, Side};
use crate::load::{Extent, LoadPlan, NoProgress, TargetUrl, allowed_cpus};
use crate::record::LoopModel;
use crate::target::embedded::Embedded;

/// A benchmark of two services in this process: the change beside what it changes.
///
/// Both run on the lower half of the process's CPUs, and the generator on the upper half; runs come in pairs, in blocks
/// of ABBA, so that what changes on the machine changes for both. `examples/two_services.rs` is a whole program.
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use covet_bench::experiment::Bench;
/// use covet_http::server::{Config, serve};
/// use covet_router::Router;
///
/// async fn old() -> &'static str { "hello" }
/// async fn new() -> String { "hello".to_owned() }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Six pairs of two seconds, if nothing is said; these are quick.
/// let bench = Bench::new("/").pairs(2).duration(Duration::from_millis(300)).warmup(Duration::from_millis(50));
/// let outcome = bench.compare(
///     |listener| serve(listener, Rc::new(Router::new().get("/", old)), Config::default()),
///     |listener| serve(listener, Rc::new(Router::new().get("/", new)), Config::default()),
/// )?;
/// println!("{outcome}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a benchmark does nothing until it compares"]
pub struct Bench {
    path: String,
    pairs: usize,
    margin: f64,
    seed: u64,
    connections: usize,
    rate: Option<f64>,
    warmup: Duration,
    duration: Duration,
    server: Vec<usize>,
    generator: Vec<usize>,
}

/// What the pairs of runs came to.
#[derive(Debug)]
pub struct Outcome {
    /// The runs.
    pub pairs: Pairs,
    /// The second service over the first, metric by metric.
    pub comparisons: Vec<Comparison>,
}

impl Bench {
    /// A benchmark of what both services answer at this path and query: six pairs of runs of two seconds on 64
    /// connections, in a closed loop, with a margin of 2 %.
    pub fn new(path: impl Into<String>) -> Self {
        let allowed = allowed_cpus();
        let half = allowed.len() / 2;
        Self {
            path: path.into(),
            pairs: 6,
            margin: 0.02,
            seed: 1,
            connections: 64,
            rate: None,
            warmup: Duration::from_millis(300),
            duration: Duration::from_secs(2),
            server: allowed[..half.max(1)].to_vec(),
            generator: allowed[half..].to_vec(),
        }
    }

    /// Pairs of runs, at least two.
    pub fn pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs.max(2);
        self
    }

    /// The difference that is none, such as 0.02.
    pub fn margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// Connections, over all generator cores.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// An open loop of so many requests per second, which compares latencies at equal load.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// The length of a run.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// The time before the measured part of a run.
    pub fn warmup(mut self, warmup: Duration) -> Self {
        self.warmup = warmup;
        self
    }

    /// Starts both services, with a listener on each of the server's cores, and compares the second with the first.
    ///
    /// # Errors
    /// When a service does not start, does not answer, or the runs bear no comparison.
    pub fn compare<A, FutA, B, FutB>(&self, a: A, b: B) -> anyhow::Result<Outcome>
    where
        A: Fn(TcpListener) -> FutA + Send + Sync + 'static,
        FutA: Future<Output = ()> + 'static,
        B: Fn(TcpListener) -> FutB + Send + Sync + 'static,
        FutB: Future<Output = ()> + 'static,
    {
        let first = self.serve("service-a", a)?;
        let second = self.serve("service-b", b)?;
        let (a, b) = (self.side(&first)?, self.side(&second)?);
        let pairs = ab::compare(&a, &b, self.pairs, self.seed, false, &NoProgress)?;
        let comparisons = pairs
            .metrics()
            .into_iter()
            .map(|metric| pairs.comparison(metric, self.margin))
            .collect::<Result<_, _>>()?;
        Ok(Outcome { pairs, comparisons })
    }

    fn serve<F, Fut>(&self, name: &str, serve: F) -> io::Result<Embedded>
    where
        F: Fn(TcpListener) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let cores = CoreSet::list(self.server.iter().copied());
        Embedded::start(cores, name, move |listener, _core| serve(listener))
    }

    fn side(&self, server: &Embedded) -> anyhow::Result<Side> {
        let url = TargetUrl::parse(&format!("http://{}{}", server.address(), self.path))?;
        let plan = LoadPlan {
            loop_model: self.rate.map_or(LoopModel::Closed, |rate| LoopModel::Open { rate }),
            connections: self.connections,
            warmup: self.warmup,
            extent: Extent { duration: Some(self.duration), requests: None },
            server_cpus: Some(self.server.clone()),
            ..LoadPlan::closed(url, self.generator.clone())
        };
        Ok(Side { plan, server: None })
    }
}

impl Outcome {
    /// What was found of a metric, such as `rate` or `p99`; `None` where the runs do not bear it.
    pub fn finding(&self, metric: &str) -> Option<Finding> {
        self.comparisons
            .iter()
            .find(|comparison| comparison.metric == metric)
            .map(|comparison| comparison.finding)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pairs.is_valid() {
            f.write_str("INVALID: a run failed its guards\n")?;
        }
        let runs = self.pairs.a.len();
        writeln!(f, "the second over the first: {runs} pairs of runs, {}", self.pairs.conditions())?;
        for comparison in &self.comparisons {
            let Comparison { metric, ratio, finding, .. } = comparison;
            let (estimate, lower, upper) = (ratio.estimate, ratio.lower, ratio.upper);
            writeln!(f, "{metric:<6} x{estimate:.4} [{lower:.4}, {upper:.4}]  {finding}")?;
        }
        Ok(())
    }
}
