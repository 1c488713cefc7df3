//! A core that has nothing to do is idle, and waits for no disk, as monitoring sees it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::time::Duration;

use covet_runtime::{CoreSet, DriverChoice, Runtime, time};

/// Tasks of the whole machine that wait for I/O, proc_stat(5).
fn blocked() -> usize {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let line = stat.lines().find_map(|line| line.strip_prefix("procs_blocked ")).unwrap();
    line.trim().parse().unwrap()
}

/// The fewest of them in two seconds.
fn fewest_blocked() -> usize {
    let looks = (0..100).map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        blocked()
    });
    looks.min().unwrap()
}

/// The release's first two numbers.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn sleeping_cores_wait_for_no_disk() {
    // Four runtimes of a core, for other programs of the machine may wait for disks: not four, and not all the time.
    let runtimes: Vec<_> = (0..4)
        .map(|_| {
            Runtime::builder()
                .cores(CoreSet::count(1))
                .driver(DriverChoice::IoUring)
                .start(|_| async {
                    let _listener =
                        covet_runtime::net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                    time::sleep(Duration::from_secs(600)).await;
                })
                .unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let fewest = fewest_blocked();
    for runtime in runtimes {
        runtime.shutdown(Duration::from_millis(10));
        runtime.join().unwrap();
    }
    // Those that wait all the same when the cores are gone are others.
    let others = if fewest < 4 { 0 } else { fewest_blocked() };
    if kernel() >= (6, 15) {
        assert!(fewest - others.min(fewest) < 4, "{fewest} tasks waited for I/O throughout, then {others}");
    } else {
        eprintln!("Linux {:?}: sleeping cores may count as waiting ({fewest} did)", kernel());
    }
}
