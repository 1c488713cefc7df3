//! Arrivals of an open loop, as a server sees them.

use std::time::{Duration, Instant};

use covet_bench::clock::{Arrivals, Profile, Schedule, Stage, Timetable};
use covet_bench::load::LoadPlan;
use covet_bench::record::LoopModel;

use crate::folder::Folder;
use crate::load_servers::{OK, Server, held_up, measure};
use crate::seen::Seen;

#[test]
fn poisson_arrivals_come_at_the_rate_with_exponential_gaps() {
    let seen = Seen::default();
    let server = seen.server(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 500.0 },
        arrivals: Arrivals::Poisson,
        ..server.plan(64, 3000)
    };
    let record = measure(&plan);
    // The same seed makes the same arrivals on every machine, here up to the end of the window.
    let table = Timetable {
        arrivals: Arrivals::Poisson,
        profile: Profile::constant(500.0),
        hold: Duration::ZERO,
        seed: plan.seed,
    };
    let start = Instant::now();
    let expected = Schedule::new(start, &table, 0, 1).backlog(start + record.elapsed);
    assert!((1350..=1650).contains(&expected), "{expected}");
    let due = record.in_flight_at_start + record.sent + record.queued_at_end;
    // The core's clock at the end is up to a turn of its loop behind, and the window opens as much late.
    let held_up = (500.0 * held_up(&record).as_secs_f64()) as u64;
    assert!(due.abs_diff(expected) <= 20 + held_up, "{due} of {expected}: {}", record.to_text());
    let gaps = seen.gaps();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    // A machine that stands still makes one long gap and many short ones.
    let most = 2.5 + 3.0 * held_up as f64;
    let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
    assert!((0.9..most).contains(&(deviation / mean)), "variation {} of {most}", deviation / mean);
}

#[test]
fn a_trace_is_played_as_it_was_recorded() {
    let folder = Folder::new("trace");
    let path = folder.path("trace.txt");
    std::fs::write(&path, "# three at once, and one much later\n0.2\n0.2\n0.2\n0.9\n")
        .expect("a directory to write to");
    let arrivals = Arrivals::parse(&format!("trace:{path}")).expect("it is a trace");
    let seen = Seen::default();
    let server = seen.server(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 4.0 },
        arrivals,
        warmup: Duration::from_millis(100),
        ..server.plan(4, 1400)
    };
    let record = measure(&plan);
    assert_eq!((record.sent, record.completed, record.queued_at_end), (4, 4, 0), "{}", record.to_text());
    let gaps = seen.gaps();
    assert!(gaps[0] < 0.3 && gaps[1] < 0.3 && (0.3..1.1).contains(&gaps[2]), "{gaps:?}");
}

#[test]
fn bursts_come_at_once() {
    let seen = Seen::default();
    let server = seen.server(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 100.0 },
        arrivals: Arrivals::Bursty(25),
        warmup: Duration::from_millis(100),
        ..server.plan(30, 1050)
    };
    let record = measure(&plan);
    let due = record.sent + record.queued_at_end;
    assert_eq!(due % 25, 0, "{}", record.to_text());
    // Bursts at 0.25, 0.5, 0.75 and 1 s. A window from 0.1 to 1.15 s that opens late lacks some, and one that ends late has
    // more.
    let late =
        record.elapsed.saturating_sub(Duration::from_millis(1050)).max(held_up(&record)).as_millis() as u64;
    let fewer = late.saturating_sub(140).div_ceil(250).min(4);
    let more = late.saturating_sub(90).div_ceil(250);
    assert!((4 - fewer..=4 + more).contains(&(due / 25)), "{late} ms late: {}", record.to_text());
    let long = seen.gaps().iter().filter(|&&gap| gap > 0.1).count();
    assert!((2..=6).contains(&long), "{long} gaps between five bursts");
}

#[test]
fn stages_change_the_rate_within_a_run() {
    let server = Server::answering(OK);
    let stage = |from, to| Stage { length: Duration::from_secs(1), from, to };
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 400.0 },
        stages: vec![stage(100.0, 100.0), stage(100.0, 900.0), stage(900.0, 300.0)],
        warmup: Duration::from_millis(300),
        ..server.plan(32, 3000)
    };
    let record = measure(&plan);
    let due = record.sent + record.queued_at_end;
    // It ends at 300/s, and a window that ends late has more.
    let late = (record.elapsed.saturating_sub(Duration::from_secs(3)) + held_up(&record)).as_secs_f64();
    let more = (900.0 * late) as u64;
    assert!((1171..1230 + more).contains(&due), "{}", record.to_text());
    let completed: Vec<u64> = record.intervals.iter().map(|interval| interval.completed).collect();
    assert!(completed[0] < 150 && completed[1] > completed[0], "{completed:?}");
    assert!(record.to_text().contains("in stages 1s:100,1s:100..900,1s:900..300"), "{}", record.to_text());
}
