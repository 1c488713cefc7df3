//! Tasks that hold their core are reported, by name and place.

mod alone;

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::{Builder, CoreSet, Runtime, StallReport, block_on, spawn, spawn_named, time, yield_now};

const LIMIT: Duration = Duration::from_millis(60);
/// Long enough for any machine under any load; who waits so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the detector has told of the guilty. On a loaded machine it may itself wait for a CPU, and until then they go
/// on.
type Told = Arc<AtomicBool>;

fn watched() -> (Builder, Receiver<StallReport>, Told) {
    let (send, reports) = channel();
    let told = Told::default();
    let heard = told.clone();
    let builder = Runtime::builder().stall_limit(LIMIT).on_stall(move |report| {
        let _ = send.send(report.clone());
        if report.frames.iter().any(|frame| frame.contains("guilty_of")) {
            heard.store(true, Ordering::SeqCst);
        }
    });
    (builder, reports, told)
}

#[inline(never)]
fn guilty_of_spinning(told: &Told) -> u64 {
    let began = Instant::now();
    let mut sum = 0;
    while goes_on(began, told) {
        sum = black_box(sum + 1);
    }
    sum
}

#[inline(never)]
fn guilty_of_sleeping(told: &Told) -> u64 {
    let began = Instant::now();
    while goes_on(began, told) {
        std::thread::sleep(Duration::from_millis(300));
    }
    black_box(7)
}

fn goes_on(began: Instant, told: &Told) -> bool {
    let lasted = began.elapsed();
    lasted < 5 * LIMIT || lasted < PATIENCE && !told.load(Ordering::SeqCst)
}

/// The report for the task that was spawned in this line of this file; on a loaded machine there may be others.
fn report_for(reports: &Receiver<StallReport>, line: u32) -> StallReport {
    loop {
        let report = reports.recv_timeout(PATIENCE).expect("the stall is reported");
        if report.spawned_at.is_some_and(|at| at.file().ends_with("stalls.rs") && at.line() == line) {
            assert!(report.lasted >= LIMIT, "{report}");
            return report;
        }
    }
}

fn assert_names(report: &StallReport, function: &str) {
    let place = report.frames.iter().position(|frame| frame.contains(function));
    let text = report.to_string();
    assert!(place.is_some(), "{function} is not in\n{text}");
    assert!(text.contains("stalls.rs") && text.contains("has been held for"), "{text}");
    let deeper = &report.frames[place.unwrap_or(0)..];
    assert!(deeper.len() < 20, "the frames of the loop are left out:\n{text}");
}

#[test]
fn a_task_that_computes_is_reported_with_a_backtrace() {
    let (builder, reports, told) = watched();
    let mut line = 0;
    builder
        .block_on(async {
            spawn(async { yield_now().await }).await.unwrap();
            line = line!() + 1;
            spawn_named("sums", async move { guilty_of_spinning(&told) }).await.unwrap();
        })
        .unwrap();
    let report = report_for(&reports, line);
    assert_names(&report, "guilty_of_spinning");
    assert_eq!(report.task.as_deref(), Some("sums"));
}

#[test]
fn a_task_that_blocks_is_reported_with_a_backtrace() {
    let (builder, reports, told) = watched();
    let line = line!() + 6;
    let runtime = builder
        .cores(CoreSet::count(1))
        .start(move |_| {
            let told = told.clone();
            // Not the main future: the report tells which task it is.
            async move { spawn(async move { guilty_of_sleeping(&told) }).await.map(drop).unwrap() }
        })
        .unwrap();
    runtime.join().unwrap();
    let report = report_for(&reports, line);
    assert_names(&report, "guilty_of_sleeping");
    assert!(report.cpu.is_some());
    // It slept, for at least as long as it was held, on a core that was its own.
    assert!(report.frames.iter().any(|frame| frame.contains("sleep")), "{report}");
}

/// Whether all of the program's file is mapped at once, which the loader never does.
fn program_is_mapped_whole() -> bool {
    let program = std::env::current_exe().expect("a program that runs");
    let length = program.metadata().expect("its file").len();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a file of every process");
    let path = program.display().to_string();
    maps.lines().filter(|line| line.ends_with(&path)).any(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let at = |text| u64::from_str_radix(text, 16).ok();
        let size = range.and_then(|(start, end)| Some(at(end)? - at(start)?));
        size.expect("a range of addresses") >= length
    })
}

#[test]
fn what_a_backtrace_takes_is_given_back() {
    let (builder, reports, told) = watched();
    let line = line!() + 1;
    builder.block_on(async { guilty_of_spinning(&told) }).unwrap();
    assert_names(&report_for(&reports, line), "guilty_of_spinning");
    // Other tests have theirs.
    let end = Instant::now() + Duration::from_secs(60);
    while program_is_mapped_whole() {
        assert!(Instant::now() < end, "the program's debug information stays in memory");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_main_future_is_known_by_the_place_that_started_it() {
    let (builder, reports, told) = watched();
    let line = line!() + 1;
    builder.block_on(async { guilty_of_spinning(&told) }).unwrap();
    assert_names(&report_for(&reports, line), "guilty_of_spinning");
}

#[test]
fn a_destructor_is_reported_with_its_task() {
    struct Slow(Told);
    impl Drop for Slow {
        fn drop(&mut self) {
            guilty_of_spinning(&self.0);
        }
    }
    let (builder, reports, told) = watched();
    let mut line = 0;
    builder
        .block_on(async {
            line = line!() + 1;
            spawn(async { Slow(told) }).detach();
            yield_now().await;
            yield_now().await;
        })
        .unwrap();
    assert_names(&report_for(&reports, line), "guilty_of_spinning");
}

#[test]
fn who_yields_and_who_waits_is_not_reported() {
    let (builder, reports, _) = watched();
    let longest = builder
        .block_on(async {
            let end = Instant::now() + 5 * LIMIT;
            let busy = spawn(async move {
                let mut longest = Duration::ZERO;
                while Instant::now() < end {
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_millis(1) {
                        std::hint::spin_loop();
                    }
                    longest = longest.max(began.elapsed());
                    yield_now().await;
                }
                longest
            });
            let longest = busy.await.unwrap();
            time::sleep(5 * LIMIT).await;
            longest
        })
        .unwrap();
    // When the machine is overloaded the kernel stalls the core, and the report says so.
    let blamed: Vec<_> =
        reports.try_iter().filter(|report| report.waited_for_cpu < report.lasted / 2).collect();
    // What is below the kernel may stop its CPUs too, which only the polls themselves can see.
    assert!(blamed.is_empty() || longest >= LIMIT / 2, "no poll took longer than {longest:?}: {blamed:?}");
}

#[test]
fn a_core_that_is_kept_from_its_cpu_is_not_blamed() {
    let (send, reports) = channel();
    let over = Told::default();
    let (reported, end) = (over.clone(), Instant::now() + PATIENCE);
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .stall_limit(LIMIT)
        .on_stall(move |report| {
            reported.store(true, Ordering::SeqCst);
            let _ = send.send(report.clone());
        })
        .start(move |_| {
            let over = over.clone();
            async move {
                // On the core's CPU, as it inherits the mask.
                let ended = over.clone();
                let rival = std::thread::spawn(move || while !ended.load(Ordering::SeqCst) {});
                let parameters = libc::sched_param { sched_priority: 0 };
                // SAFETY: a plain system call that reads its argument; it changes this thread only.
                let changed = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
                assert_eq!(changed, 0, "{}", std::io::Error::last_os_error());
                while !over.load(Ordering::SeqCst) && Instant::now() < end {
                    yield_now().await;
                }
                over.store(true, Ordering::SeqCst);
                rival.join().unwrap();
            }
        })
        .unwrap();
    runtime.join().unwrap();
    let report = reports.try_recv().expect("a core that does not get on is reported");
    assert!(report.lasted >= LIMIT && report.waited_for_cpu > report.lasted / 2, "{report}");
    assert!(report.waited_for_cpu <= report.lasted, "{report}");
}

#[test]
fn a_stall_is_reported_again_only_when_it_lasts_ten_times_longer() {
    let (builder, reports, told) = watched();
    let mut line = 0;
    builder
        .block_on(async {
            line = line!() + 1;
            spawn(async move { guilty_of_spinning(&told) }).await.unwrap();
        })
        .unwrap();
    let ours: Vec<_> = reports
        .try_iter()
        .filter(|report| report.spawned_at.is_some_and(|at| at.line() == line))
        .map(|report| report.lasted)
        .collect();
    assert!(!ours.is_empty());
    assert!(ours.windows(2).all(|pair| pair[1] >= 9 * pair[0]), "{ours:?}");
}

#[test]
fn without_a_listener_and_a_log_a_stall_is_printed() {
    const MARK: &str = "COVET_TEST_STALLS";
    if std::env::var_os(MARK).is_some() {
        // Until its parent, who reads the report, has ended it.
        let builder = Runtime::builder().stall_limit(LIMIT);
        let never = Told::default();
        return builder
            .block_on(async { drop(spawn(async move { guilty_of_spinning(&never) }).await) })
            .unwrap();
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["without_a_listener_and_a_log_a_stall_is_printed", "--exact", "--nocapture"])
        .env(MARK, "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !text.contains("guilty_of_spinning") {
        match lines.next() {
            Some(line) => text += &(line.unwrap() + "\n"),
            None => break,
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(text.contains("covet: a core has been held for") && text.contains("stalls.rs"), "{text}");
    assert!(text.contains("guilty_of_spinning"), "{text}");
}

#[test]
fn reports_are_bounded_and_count_what_they_leave_out() {
    let (send, reports) = channel();
    Runtime::builder()
        .stall_limit(Duration::from_millis(4))
        .on_stall(move |report| {
            let _ = send.send(report.clone());
        })
        .block_on(async {
            for _ in 0..30 {
                // On a loaded machine the detector may miss one of these, and not thirty.
                let end = Instant::now() + Duration::from_millis(12);
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
                yield_now().await;
            }
        })
        .unwrap();
    let count = reports.try_iter().count();
    assert!((1..=10).contains(&count), "{count} reports of 30 stalls");
}

#[test]
fn the_detector_is_one_thread_that_ends_with_its_runtime_or_none() {
    alone("the_detector_is_one_thread_that_ends_with_its_runtime_or_none", || {
        let detectors = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap();
            let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
            tasks
                .flatten()
                .filter_map(|task| name(task).ok())
                .filter(|name| name.trim() == "covet-watchdog")
                .count()
        };
        Runtime::builder().stall_limit(None).block_on(async { assert_eq!(detectors(), 0) }).unwrap();
        block_on(async {
            // A new thread names itself, in its own time.
            let end = Instant::now() + PATIENCE;
            while detectors() == 0 {
                assert!(Instant::now() < end, "no detector is started by default");
            }
        })
        .unwrap();
        // A thread that was joined may be listed for a moment longer.
        let none_is_left = || {
            let end = Instant::now() + PATIENCE;
            while detectors() > 0 {
                assert!(Instant::now() < end, "a detector outlived its runtime");
            }
        };
        none_is_left();
        let runtime =
            Runtime::builder().start(|_| async { time::sleep(Duration::from_millis(50)).await }).unwrap();
        assert!(detectors() <= 1);
        runtime.join().unwrap();
        none_is_left();
    });
}
