//! Which driver a runtime runs on: the choice, the way down from io_uring, and what is said about it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod alone;
mod filter;

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use alone::alone;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{Builder, DriverChoice, DriverKind, Runtime, StartError, block_on, time};
use filter::refuse;

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the texts of warnings and errors.
struct Listener;

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{value:?} ").expect("a String takes all");
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        WARNINGS.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

fn listen() {
    tracing::subscriber::set_global_default(Listener).unwrap();
}

/// Removes the variable that the whole suite may be run with; this process runs one test only.
fn forget_the_variable() {
    // SAFETY: no other thread of this process reads the environment.
    unsafe { std::env::remove_var("COVET_DRIVER") };
}

fn set_the_variable(value: &str) {
    // SAFETY: as above.
    unsafe { std::env::set_var("COVET_DRIVER", value) };
}

/// Bytes go there and back, a timer fires, a task on another thread wakes the core.
async fn works() {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = listener.accept().await.unwrap();
    for _ in 0..10 {
        client.write_all("ping").await.0.unwrap();
        assert_eq!(&server.recv().await.unwrap()[..], b"ping");
        server.submit_send("pong").unwrap();
        assert_eq!(&client.recv().await.unwrap()[..], b"pong");
    }
    let silence = time::timeout(Duration::from_millis(5), client.recv()).await;
    assert!(silence.is_err());
}

#[test]
fn where_io_uring_is_refused_epoll_serves_and_says_why() {
    alone("where_io_uring_is_refused_epoll_serves_and_says_why", || {
        forget_the_variable();
        listen();
        assert_eq!(DriverKind::expected().unwrap(), (DriverKind::IoUring, None));
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        let (kind, why) = DriverKind::expected().unwrap();
        assert!(
            kind == DriverKind::Epoll && why.as_ref().is_some_and(|why| why.contains("seccomp")),
            "{why:?}"
        );
        for _ in 0..2 {
            let runtime = Runtime::builder()
                .start(|core| async move {
                    assert_eq!(core.driver(), Some(DriverKind::Epoll));
                    assert_eq!(DriverKind::current(), Some(DriverKind::Epoll));
                    works().await;
                })
                .unwrap();
            runtime.join().unwrap();
        }
        let warnings = WARNINGS.lock().unwrap();
        assert_eq!(warnings.len(), 1, "once, however many cores there are: {warnings:?}");
        for part in ["epoll", "seccomp", "allows io_uring_setup", "COVET_DRIVER=epoll"] {
            assert!(warnings[0].contains(part), "{warnings:?}");
        }
    });
}

#[test]
fn a_hidden_system_call_is_named_in_the_warning() {
    alone("a_hidden_system_call_is_named_in_the_warning", || {
        forget_the_variable();
        listen();
        refuse(libc::SYS_io_uring_setup, libc::ENOSYS);
        block_on(works()).unwrap();
        let warnings = WARNINGS.lock().unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("CONFIG_IO_URING"), "{warnings:?}");
    });
}

#[test]
fn without_a_log_the_way_down_is_said_on_standard_error() {
    const MARK: &str = "COVET_TEST_DRIVERS";
    if std::env::var_os(MARK).is_some() {
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        Runtime::builder().start(|_| works()).unwrap().join().unwrap();
        return block_on(works()).unwrap();
    }
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["without_a_log_the_way_down_is_said_on_standard_error", "--exact", "--nocapture"]);
    for (variable, lines) in [("auto", 1), ("epoll", 0)] {
        let output = program.env(MARK, "1").env("COVET_DRIVER", variable).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let said =
            text.lines().filter(|line| line.starts_with("covet: running on epoll")).collect::<Vec<_>>();
        assert_eq!(said.len(), lines, "{text}");
        assert!(said.iter().all(|line| line.contains("allows io_uring_setup")), "{text}");
    }
    // It runs where nobody reads that as well.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = program.env("COVET_DRIVER", "auto").stderr(writer).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{status}");
}

/// Profiles exist that let a ring be made and refuse its use.
fn falls_back_without(system_call: libc::c_long) {
    forget_the_variable();
    listen();
    refuse(system_call, libc::EPERM);
    block_on(works()).unwrap();
    assert_eq!(WARNINGS.lock().unwrap().len(), 1);
}

#[test]
fn a_ring_that_may_not_be_entered_is_no_ring() {
    alone("a_ring_that_may_not_be_entered_is_no_ring", || falls_back_without(libc::SYS_io_uring_enter));
}

#[test]
fn a_ring_without_buffers_is_no_ring() {
    alone("a_ring_without_buffers_is_no_ring", || falls_back_without(libc::SYS_io_uring_register));
}

#[test]
fn a_forced_io_uring_does_not_fall_back() {
    alone("a_forced_io_uring_does_not_fall_back", || {
        forget_the_variable();
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        let forced = || Builder::default().driver(DriverChoice::IoUring);
        for error in [forced().block_on(works()).unwrap_err(), forced().start(|_| works()).unwrap_err()] {
            assert!(matches!(error, StartError::RingRefused { .. }), "{error:?}");
        }
        set_the_variable("io_uring");
        let error = block_on(works()).unwrap_err();
        assert!(matches!(error, StartError::RingRefused { .. }), "{error:?}");
        // The builder's word counts more than the environment's.
        Builder::default().driver(DriverChoice::Epoll).block_on(works()).unwrap();
    });
}

#[test]
fn the_environment_chooses_where_the_builder_does_not() {
    alone("the_environment_chooses_where_the_builder_does_not", || {
        listen();
        set_the_variable("epoll");
        assert_eq!(block_on(async { DriverKind::current() }).unwrap(), Some(DriverKind::Epoll));
        assert!(WARNINGS.lock().unwrap().is_empty(), "a choice is no surprise");
        for value in ["", "auto"] {
            set_the_variable(value);
            block_on(works()).unwrap();
        }
        for value in ["EPOLL", "io-uring", "kqueue", " epoll"] {
            set_the_variable(value);
            let text = block_on(works()).unwrap_err().to_string();
            assert!(text.contains(value) && text.contains("`io_uring` or `epoll`"), "{text}");
        }
    });
}

#[test]
fn without_the_fine_wait_timers_still_fire() {
    alone("without_the_fine_wait_timers_still_fire", || {
        for answer in [libc::ENOSYS, libc::EPERM] {
            refuse(libc::SYS_epoll_pwait2, answer);
            Builder::default().driver(DriverChoice::Epoll).block_on(works()).unwrap();
        }
    });
}
