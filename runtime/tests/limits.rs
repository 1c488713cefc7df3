//! Limits and refusals of the system, each in a process of its own.

mod alone;
mod filter;

use std::os::fd::AsRawFd;
use std::time::Duration;

use alone::alone;
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::{Builder, CoreSet, DriverChoice, DriverKind, Runtime, StartError, block_on, time};
use filter::refuse;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Long enough for any machine under any load; who waits so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

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
            // As soon as the driver has closed them.
            let first = time::timeout(PATIENCE, async {
                loop {
                    match listener.accept().await {
                        Ok(stream) => break stream,
                        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
                    }
                    time::sleep(Duration::from_millis(1)).await;
                }
            });
            let mut rest = vec![first.await.unwrap()];
            setrlimit(Resource::Nofile, before).unwrap();
            while rest.len() < clients.len() - 3 {
                match time::timeout(PATIENCE, listener.accept()).await.unwrap() {
                    Ok(stream) => rest.push(stream),
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EMFILE)),
                }
            }
        })
        .unwrap();
    });
}

#[test]
fn a_slow_acceptor_leaves_connections_in_the_backlog_and_loses_none() {
    alone("a_slow_acceptor_leaves_connections_in_the_backlog_and_loses_none", || {
        const CLIENTS: usize = 1400;
        let maximum = getrlimit(Resource::Nofile).maximum;
        let enough = Rlimit { current: Some(maximum.map_or(4096, |most| most.min(4096))), maximum };
        setrlimit(Resource::Nofile, enough).unwrap();
        block_on(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let address = listener.local_addr().unwrap();
            let mut clients = vec![std::net::TcpStream::connect(address).unwrap()];
            // From now on the kernel accepts by itself.
            drop(listener.accept().await.unwrap());
            for _ in 1..CLIENTS {
                clients.push(std::net::TcpStream::connect(address).unwrap());
                if clients.len() % 100 == 0 {
                    time::sleep(Duration::from_millis(1)).await;
                }
            }
            time::sleep(Duration::from_millis(50)).await;
            let held = std::fs::read_dir("/proc/self/fd").unwrap().count() - clients.len();
            // What was accepted before the kernel heard of the end comes as well.
            assert!(held < 1024 + 200, "{held} descriptors are held for nobody");
            for _ in 1..CLIENTS {
                time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
            }
        })
        .unwrap();
    });
}

#[test]
fn a_start_without_descriptors_names_the_limit() {
    alone("a_start_without_descriptors_names_the_limit", || {
        let before = getrlimit(Resource::Nofile);
        // An eventfd, its copy, and what the driver needs for itself: each may be the one that is too many.
        let mut left = 0;
        loop {
            let limit = next_descriptor() + left;
            lower(Resource::Nofile, limit);
            let started = block_on(async {});
            setrlimit(Resource::Nofile, before).unwrap();
            let Err(error) = started else { break };
            assert!(matches!(error, StartError::Descriptors { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&limit.to_string()) && text.contains("ulimit -n"), "{text}");
            left += 1;
        }
        let least = match DriverKind::expected().unwrap().0 {
            DriverKind::IoUring => 3,
            DriverKind::Epoll => 2,
        };
        assert!((least..=4).contains(&left), "{left} descriptors were enough");
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
                // What a `main` prints that returns the error.
                assert_eq!(format!("{error:?}"), text);
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

/// What containers and old distributions allow: 64 KiB of locked memory.
#[test]
fn with_little_lockable_memory_it_starts_or_names_the_limit() {
    alone("with_little_lockable_memory_it_starts_or_names_the_limit", || {
        let little = Some(64 * 1024);
        setrlimit(Resource::Memlock, Rlimit { current: little, maximum: little }).unwrap();
        if rustix::process::geteuid().is_root() {
            // SAFETY: a plain system call; this process runs this test only.
            assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        }
        match Builder::default().driver(DriverChoice::IoUring).block_on(async { 7 }) {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => {
                let text = error.to_string();
                assert!(matches!(error, StartError::Memory { .. }), "{error:?}");
                assert!(text.contains("RLIMIT_MEMLOCK is 65536") && text.contains("ulimit -l"), "{text}");
            }
        }
        // It locks nothing.
        assert_eq!(Builder::default().driver(DriverChoice::Epoll).block_on(async { 8 }).unwrap(), 8);
    });
}

#[test]
fn with_256_descriptors_every_core_starts_and_serves() {
    alone("with_256_descriptors_every_core_starts_and_serves", || {
        lower(Resource::Nofile, 256);
        let runtime = Runtime::builder()
            .start(|_| async {
                let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
                let address = listener.local_addr().unwrap();
                let (mut clients, mut servers) = (Vec::new(), Vec::new());
                // The process shares its descriptors: cores run out together, and say so.
                let error = loop {
                    match TcpStream::connect(address).await {
                        Ok(client) => clients.push(client),
                        Err(error) => break error,
                    }
                    match listener.accept().await {
                        Ok(server) => servers.push(server),
                        Err(error) => break error,
                    }
                };
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                drop((clients, servers));
                // Closing goes through the driver.
                let end = std::time::Instant::now() + PATIENCE;
                while TcpStream::connect(address).await.is_err() {
                    assert!(std::time::Instant::now() < end, "descriptors do not come back");
                    time::sleep(Duration::from_millis(5)).await;
                }
            })
            .unwrap();
        runtime.join().unwrap();
    });
}

/// A process that has used them up before it starts its cores.
#[test]
fn with_256_descriptors_in_use_no_core_starts_and_the_limit_is_named() {
    alone("with_256_descriptors_in_use_no_core_starts_and_the_limit_is_named", || {
        lower(Resource::Nofile, 256);
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        assert!((200..256).contains(&taken.len()), "{} were free", taken.len());
        // None at all, and then a few, which are too few for the cores: whichever step fails, the limit is the reason.
        for _ in 0..3 {
            let error = Runtime::builder().start(|_| async {}).unwrap_err();
            assert!(matches!(error, StartError::Descriptors { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("RLIMIT_NOFILE is 256") && text.contains("ulimit -n 65536"), "{text}");
            taken.pop();
        }
        taken.clear();
        // What a failed start took is given back.
        Runtime::builder().start(|_| async {}).unwrap().join().unwrap();
    });
}

#[test]
fn a_core_outside_the_affinity_mask_is_refused_by_name() {
    alone("a_core_outside_the_affinity_mask_is_refused_by_name", || {
        let all = CoreSet::all().resolve().unwrap();
        let (&first, &last) = (all.first().unwrap(), all.last().unwrap());
        if first == last {
            return println!("one CPU only: nothing to leave out");
        }
        let mut mask = CpuSet::new();
        mask.set(first);
        // As taskset, and as a cpuset of the control group does to every process in it.
        sched_setaffinity(None, &mask).unwrap();
        let error = Runtime::builder().cores(CoreSet::list([last])).start(|_| async {}).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StartError::NoSuchCore { .. }), "{error:?}");
        assert!(
            text.contains(&format!("core {last}")) && text.contains(&format!("run on {first};")),
            "{text}"
        );
        assert!(text.contains("taskset, cpuset"), "{text}");
        assert!(Builder::default().cores(CoreSet::list([last])).block_on(async {}).is_err());
        let error = Runtime::builder().cores(CoreSet::count(all.len())).start(|_| async {}).unwrap_err();
        assert!(matches!(error, StartError::TooFewCores { available: 1, .. }), "{error:?}");
        // What is left works.
        Runtime::builder().start(|core| async move { assert_eq!(core.count(), 1) }).unwrap().join().unwrap();
    });
}

#[test]
fn no_core_at_all_is_no_runtime() {
    for none in [CoreSet::count(0), CoreSet::list([])] {
        let error = Runtime::builder().cores(none.clone()).start(|_| async {}).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StartError::CoreList { .. }), "{error:?}");
        assert!(text.contains("not valid") && text.contains("`all`, `physical`"), "{text}");
        assert!(Builder::default().cores(none).block_on(async {}).is_err());
    }
}
