use super::*;
use crate::clock::Random;

const MIB: f64 = 1_048_576.0;

/// Memory that moves in steps of pages, as that of a server under load does, and grows by `per_reading`.
fn series(seed: u64, per_reading: f64) -> Vec<f64> {
    let mut random = Random::new(seed, 0);
    let mut held: f64 = 0.0;
    (0..100)
        .map(|i| {
            held = 0.8 * held + (random.unit() - 0.5) * 64.0 * 4096.0;
            (50.0 * MIB + held + per_reading * f64::from(i)) / 4096.0
        })
        .map(|pages: f64| pages.round() * 4096.0)
        .collect()
}

fn findings(per_reading: f64, limit: f64) -> [usize; 3] {
    let mut counts = [0; 3];
    for seed in 0..200 {
        let growth = Growth::of(&series(seed, per_reading), Duration::from_secs(1), limit).unwrap();
        let at = match growth.finding {
            Finding::Leak => 0,
            Finding::NoLeak => 1,
            Finding::Undecided => 2,
        };
        counts[at] += 1;
    }
    counts
}

#[test]
fn a_leak_is_told_from_noise_and_noise_is_no_leak() {
    let limit = 10.0 * MIB;
    // 36 MiB an hour, beside noise of half a MiB.
    let [leak, none, _] = findings(10.0 * 1024.0 + 2048.0, limit);
    assert!(leak > 150 && none == 0, "{leak} leaks and {none} none");
    // No growth, by a limit that a hundred readings resolve; and one that they do not.
    let [leak, none, _] = findings(0.0, 60.0 * MIB);
    assert!(leak <= 4 && none > 150, "{leak} leaks and {none} none");
    let [leak, _, undecided] = findings(0.0, 0.1 * MIB);
    assert!(leak <= 14 && undecided > 100, "{leak} leaks, {undecided} undecided");
}

fn watched(body: impl FnOnce(&AtomicBool) -> Readings + Send + 'static) -> Watch {
    let watcher = RefCell::new(Some(Watcher::start(body)));
    Watch { pid: 1, warmup: Duration::ZERO, period: SHORTEST_PERIOD, watcher }
}

#[test]
fn a_panic_of_the_readings_ends_the_load_and_is_told() {
    let watch = watched(|_| panic!("no such field: {}", 7));
    let end = Instant::now() + Duration::from_secs(30);
    while watch.ends().is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(watch.ends().is_some());
    let error = watch.finish().err().expect("a panic is no reading");
    assert_eq!(error.to_string(), "the readings of the server's memory broke off: no such field: 7");
}

#[test]
fn readings_end_with_the_process_that_they_are_of() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let (pid, opens) = (child.id(), Instant::now());
    let (begins, begun) = std::sync::mpsc::channel();
    let watch = watched(move |stop| {
        begins.send(()).unwrap();
        super::watch(pid, opens, Duration::from_millis(5), stop)
    });
    begun.recv().unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(watch.ends(), None, "it runs still");
    child.kill().unwrap();
    child.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while watch.ends().is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    let readings = watch.finish().unwrap();
    assert!(readings.lost.is_some() && !readings.readings.is_empty() && readings.shared_pages_once);
}

#[test]
fn what_does_not_move_does_not_leak_and_a_few_readings_say_nothing() {
    let flat = Growth::of(&[5e6; 20], Duration::from_secs(1), 0.0).unwrap();
    assert_eq!((flat.finding, flat.per_hour), (Finding::NoLeak, 0.0));
    assert!(Growth::of(&[5e6; FEWEST - 1], Duration::from_secs(1), 0.0).is_none());
    let line: Vec<f64> = (0..20).map(|i| f64::from(i) * 1000.0).collect();
    let growth = Growth::of(&line, Duration::from_secs(1), 1e6).unwrap();
    assert_eq!(growth.finding, Finding::Leak);
    assert!((growth.per_hour - 3.6e6).abs() < 1.0, "{growth:?}");
}
