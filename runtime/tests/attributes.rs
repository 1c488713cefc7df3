//! `#[covet_runtime::main]` and `#[covet_runtime::test]`, as a program uses them.

use std::cell::RefCell;
use std::io;
use std::process::{Command, ExitCode, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use covet_runtime::{Core, CoreSet, shutdown, spawn, yield_now};

#[covet_runtime::test]
async fn a_test_runs_on_a_core() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let task = seen.clone();
    let handle = spawn(async move { task.borrow_mut().push("a task") });
    yield_now().await;
    handle.await.unwrap();
    assert_eq!(*seen.borrow(), ["a task"]);
}

#[covet_runtime::test]
async fn a_test_may_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
    let number: u8 = "7".parse()?;
    assert_eq!(spawn(async move { number }).await?, 7);
    Ok(())
}

#[should_panic(expected = "seen by the test harness")]
#[covet_runtime::test]
async fn a_panic_fails_the_test() {
    yield_now().await;
    panic!("seen by the test harness");
}

#[covet_runtime::test(cores = 1)]
async fn a_test_may_take_its_core(core: Core) {
    assert_eq!((core.index(), core.count()), (0, 1));
    assert!(core.cpu().is_some());
}

#[covet_runtime::test(cores = "all")]
#[should_panic(expected = "on one of its cores")]
async fn an_error_on_a_core_fails_the_test() -> Result<(), String> {
    Err("on purpose".into())
}

#[covet_runtime::test(cores = "all")]
#[should_panic(expected = "index zero, on purpose")]
async fn a_panic_on_a_core_fails_the_test(core: Core) {
    assert_ne!(core.index(), 0, "index zero, on purpose");
}

#[covet_runtime::test(cores = "all")]
#[should_panic(expected = "while others wait")]
async fn a_failure_on_a_core_ends_the_test_on_all(core: Core) {
    spawn(std::future::pending::<()>()).detach();
    yield_now().await;
    if core.index() > 0 {
        std::future::pending::<()>().await;
    }
    panic!("while others wait");
}

#[covet_runtime::test(cores = "all")]
#[should_panic(expected = "on one of its cores")]
async fn an_error_on_a_core_ends_the_test_on_all(core: Core) -> Result<(), String> {
    spawn(std::future::pending::<()>()).detach();
    yield_now().await;
    if core.index() == 0 { Err("on purpose".into()) } else { std::future::pending().await }
}

/// Programs of which a test starts this binary again to see them end; chosen by an environment variable.
mod programs {
    use super::*;

    #[covet_runtime::main]
    pub(super) async fn plain() -> Result<(), io::Error> {
        println!("runs once");
        spawn(async {}).await.map_err(io::Error::other)
    }

    #[covet_runtime::main]
    pub(super) async fn fails() -> Result<(), String> {
        yield_now().await;
        Err("no such port".into())
    }

    static STARTED: AtomicUsize = AtomicUsize::new(0);

    #[covet_runtime::main(cores = "all", signals = true)]
    pub(super) async fn until_a_signal(core: Core) {
        println!("core {}", core.index());
        if STARTED.fetch_add(1, Ordering::SeqCst) + 1 == core.count() {
            // SAFETY: a plain system call.
            assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGTERM) }, 0);
        }
        shutdown::requested().await;
        println!("ended");
    }

    #[covet_runtime::main(cores = "all")]
    pub(super) async fn one_fails(core: Core) -> Result<(), String> {
        yield_now().await;
        println!("core {}", core.index());
        if core.index() == 0 { Err("core 0 has no disk".into()) } else { Ok(()) }
    }

    #[covet_runtime::main(cores = "1023")]
    pub(super) async fn no_such_core() {}
}

const PROGRAM: &str = "COVET_TEST_PROGRAM";

#[test]
fn program() -> ExitCode {
    use std::process::Termination;
    let Ok(program) = std::env::var(PROGRAM) else { return ExitCode::SUCCESS };
    let code = match program.as_str() {
        "plain" => programs::plain().report(),
        "fails" => programs::fails().report(),
        "until_a_signal" => programs::until_a_signal(),
        "one_fails" => programs::one_fails(),
        "no_such_core" => programs::no_such_core(),
        other => panic!("there is no program {other}"),
    };
    // What the harness makes of it would say nothing of the code.
    println!("ends with {code:?}");
    code
}

fn run(program: &str) -> (String, Output) {
    let output = Command::new(std::env::current_exe().expect("a running test has a path"))
        .args(["program", "--exact", "--nocapture", "--test-threads=1"])
        .env(PROGRAM, program)
        .output()
        .expect("this binary can be started again");
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    (text, output)
}

#[test]
fn programs_end_as_their_mains_do() {
    let cores = CoreSet::all().resolve().unwrap().len();

    let (text, output) = run("plain");
    assert!(output.status.success() && text.matches("runs once").count() == 1, "{text}");

    let (text, output) = run("fails");
    assert!(!output.status.success() && text.contains("Error: \"no such port\""), "{text}");

    let (text, output) = run("until_a_signal");
    assert!(output.status.success() && text.matches("ended").count() == cores, "{text}");

    let (text, output) = run("one_fails");
    assert!(!output.status.success() && text.contains("Error: \"core 0 has no disk\""), "{text}");
    assert_eq!(text.matches("core 0\n").count(), 1, "{text}");

    let (text, output) = run("no_such_core");
    assert!(!output.status.success() && text.contains("core 1023 can't be used"), "{text}");
}
