//! What `#[covet_runtime::main]` and `#[covet_runtime::test]` expand to calls of. Not meant to be called by hand.

use std::fmt;
use std::future::Future;
use std::io::{self, Write as _};
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Builder, Core, CoreSet, Runtime, ShutdownHandle, shutdown};
use crate::StartError;
use crate::sync_types::Arc;
use crate::time::TestClock;

/// The `cores` of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Cores {
    /// So many.
    Count(usize),
    /// What a `CoreSet` is parsed from.
    List(&'static str),
}

impl Cores {
    fn set(self) -> Result<CoreSet, StartError> {
        match self {
            Cores::Count(count) => Ok(CoreSet::count(count)),
            Cores::List(list) => list.parse(),
        }
    }
}

/// Runs the main future on the calling thread.
pub fn main_here<F: Future>(signals: bool, future: F) -> F::Output {
    match Builder::default().handle_signals(signals).block_on(future) {
        Ok(output) => output,
        Err(error) => {
            say(&error);
            std::process::exit(1);
        }
    }
}

/// Runs a main future on each of several cores.
pub fn main_on_cores<F, Fut>(cores: Cores, signals: bool, factory: F) -> ExitCode
where
    F: Fn(Core) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Termination> + 'static,
{
    let failed = Arc::new(AtomicBool::new(false));
    let runtime = cores.set().and_then(|cores| {
        Runtime::builder().cores(cores).handle_signals(signals).start(reporting(factory, failed.clone()))
    });
    let joined = match runtime {
        Ok(runtime) => runtime.join(),
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = &joined {
        say(error);
    }
    if joined.is_err() || failed.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Tells why the process fails. Where standard error has been closed, the exit status alone tells it.
fn say(error: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{error}");
}

/// A factory whose futures print what they fail with, as the standard library does for a `main`.
fn reporting<F, Fut>(
    factory: F,
    failed: Arc<AtomicBool>,
) -> impl Fn(Core) -> BoxedMain + Send + Sync + 'static
where
    F: Fn(Core) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Termination> + 'static,
{
    move |core| {
        let (future, failed) = (factory(core), failed.clone());
        Box::pin(async move {
            if future.await.report() != ExitCode::SUCCESS {
                failed.store(true, Ordering::Relaxed);
            }
        })
    }
}

type BoxedMain = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Runs a test's future on the calling thread.
///
/// # Panics
/// When no core can be started.
#[track_caller]
pub fn test_here<F: Future>(test_clock: bool, future: F) -> F::Output {
    let future = async move {
        if test_clock {
            TestClock::stop();
        }
        future.await
    };
    match Builder::default().block_on(future) {
        Ok(output) => output,
        Err(error) => panic!("no core for the test: {error}"),
    }
}

/// Ends the runtime when it is dropped: a test that has failed does not wait for the tasks that it has left, which may
/// have no end.
struct EndOfAll(Option<ShutdownHandle>);

impl Drop for EndOfAll {
    fn drop(&mut self) {
        if let Some(runtime) = &self.0 {
            runtime.shutdown(Duration::ZERO);
        }
    }
}

/// Runs a test's future on each of several cores.
///
/// # Panics
/// When a core can't be started, and when the test fails on one.
#[track_caller]
pub fn test_on_cores<F, Fut>(cores: Cores, test_clock: bool, factory: F)
where
    F: Fn(Core) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Termination> + 'static,
{
    let failed = Arc::new(AtomicBool::new(false));
    let factory = move |core| {
        if test_clock {
            TestClock::stop();
        }
        let test = factory(core);
        async move {
            let mut end = EndOfAll(Some(shutdown::handle()));
            let code = test.await.report();
            if code == ExitCode::SUCCESS {
                end.0 = None;
            }
            code
        }
    };
    let runtime = cores
        .set()
        .and_then(|cores| Runtime::builder().cores(cores).start(reporting(factory, failed.clone())));
    let joined = match runtime {
        Ok(runtime) => runtime.join(),
        Err(error) => panic!("no cores for the test: {error}"),
    };
    if let Err(error) = joined {
        panic!("{error}");
    }
    assert!(!failed.load(Ordering::Relaxed), "the test returned an error on one of its cores");
}
