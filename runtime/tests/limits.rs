//! Limits and refusals of the system, each in a process of its own.

mod alone;
mod filter;

use std::os::fd::AsRawFd;
use std::time::Duration;

use alone::alone;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{Builder, DriverChoice, StartError, block_on, time};
use filter::refuse;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn lower(resource: Resource, to: u64) {
    let limit = Rlimit { current: Some(to), maximum: getrlimit(resource).maximum };
    setrlimit(resource, limit).expect("a limit may be lowered");
}

/// The lowest number that no descriptor has.
fn next_descriptor() -> u64 {
    let file = std::fs::File::open("/proc/self/stat").expect("a descriptor is left");
    file.as_raw_fd() as u64
}

#[test]
fn accept_reports_that_descriptors_have_run_out_and_goes_on_when_there_are_some() {
    alone("accept_reports_that_descriptors_have_run_out_and_goes_on_when_there_are_some", || {
        block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let address = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..10).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let before = getrlimit(Resource::Nofile);
            lower(Resource::Nofile, next_descriptor() + 3);
            let mut accepted = Vec::new();
            let error = loop {
                match listener.accept().await {
                    Ok(stream) => accepted.push(stream),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert_eq!(accepted.len(), 3);
            // Nothing has changed, and nothing spins: the error comes once per call.
            assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(libc::EMFILE));
            assert!(TcpStream::connect(address).await.is_err());
            drop(accepted);
            time::sleep(Duration::from_millis(10)).await;
            let mut rest = vec![listener.accept().await.unwrap()];
            setrlimit(Resource::Nofile, before).unwrap();
            while rest.len() < clients.len() - 3 {
                match time::timeout(Duration::from_secs(5), listener.accept()).await.unwrap() {
                    Ok(stream) => rest.push(stream),
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
                }
            }
        })
        .unwrap();
    });
}

#[test]
fn a_start_without_descriptors_names_the_limit() {
    alone("a_start_without_descriptors_names_the_limit", || {
        let before = getrlimit(Resource::Nofile);
        // The eventfd and its copy, then the ring: each may be the one that is too many.
        for left in 0..3 {
            let limit = next_descriptor() + left;
            lower(Resource::Nofile, limit);
            let error = block_on(async {}).unwrap_err();
            assert!(matches!(error, StartError::Descriptors { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&limit.to_string()) && text.contains("ulimit -n"), "{text}");
            setrlimit(Resource::Nofile, before).unwrap();
        }
        block_on(async {}).unwrap();
    });
}

#[test]
fn a_start_without_lockable_memory_works_or_names_the_limit() {
    alone("a_start_without_lockable_memory_works_or_names_the_limit", || {
        setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        if rustix::process::geteuid().is_root() {
            // Root may lock what it likes. SAFETY: a plain system call; this process runs this test only.
            assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        }
        // Which memory counts against the limit differs between kernels.
        match block_on(async { 7 }) {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => {
                let text = error.to_string();
                assert!(matches!(error, StartError::Memory { .. }), "{error:?}");
                assert!(text.contains("RLIMIT_MEMLOCK is 0") && text.contains("ulimit -l"), "{text}");
            }
        }
    });
}

/// Without the way down to epoll.
fn ring() -> Builder {
    Builder::default().driver(DriverChoice::IoUring)
}

#[test]
fn a_refusal_by_policy_says_what_to_do() {
    alone("a_refusal_by_policy_says_what_to_do", || {
        refuse(libc::SYS_io_uring_setup, libc::EPERM);
        let error = ring().start(|_| async {}).unwrap_err();
        assert!(matches!(error, StartError::RingRefused { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("seccomp") && text.contains("allows io_uring_setup"), "{text}");
    });
}

#[test]
fn a_hidden_system_call_says_what_hides_it() {
    alone("a_hidden_system_call_says_what_hides_it", || {
        refuse(libc::SYS_io_uring_setup, libc::ENOSYS);
        let error = ring().block_on(async {}).unwrap_err();
        assert!(matches!(error, StartError::RingRefused { .. }), "{error:?}");
        assert!(error.to_string().contains("CONFIG_IO_URING"), "{error}");
    });
}
