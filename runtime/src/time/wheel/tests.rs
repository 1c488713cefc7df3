use std::sync::{Arc, Mutex};

use super::*;

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Every idle connection has one.
#[test]
fn a_timer_is_small() {
    assert!(size_of::<Timer>() <= 48, "it has {} bytes", size_of::<Timer>());
}

#[test]
fn fires_at_its_time_and_not_before() {
    let start = Instant::now();
    for after in [0, 1, 63, 64, 65, 1_000, 65_536, 1 << 20, 1 << 30] {
        let mut wheel = Wheel::new(start);
        let mut fired = Vec::new();
        let key = wheel.insert(start + micros(after));
        if after > 2 {
            wheel.advance(start + micros(after - 2), &mut fired);
            assert!(!wheel.has_fired(key), "{after} µs fired early");
        }
        wheel.advance(start + micros(after + 2), &mut fired);
        assert!(wheel.has_fired(key), "{after} µs did not fire");
        assert!(wheel.is_empty());
    }
}

#[test]
fn next_look_is_never_after_the_deadline() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    wheel.insert(start + micros(5_000_000));
    let mut looks = 0;
    let mut fired = Vec::new();
    while let Some(look) = wheel.next_look() {
        assert!(look <= start + micros(5_000_002));
        wheel.advance(look, &mut fired);
        looks += 1;
        assert!(looks <= LEVELS);
    }
}

#[test]
fn a_deadline_moved_back_costs_no_move() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    let key = wheel.insert(start + micros(1_000));
    for n in 2..100 {
        wheel.reset(key, start + micros(1_000 * n));
    }
    let mut fired = Vec::new();
    wheel.advance(start + micros(50_000), &mut fired);
    assert!(!wheel.has_fired(key));
    wheel.advance(start + micros(99_002), &mut fired);
    assert!(wheel.has_fired(key));
    wheel.reset(key, start + micros(200_000));
    assert!(!wheel.has_fired(key));
    wheel.reset(key, start + micros(150_000));
    wheel.advance(start + micros(150_002), &mut fired);
    assert!(wheel.has_fired(key));
}

/// Notes when it is woken.
struct Noted(u64, Arc<Mutex<Vec<u64>>>);

impl std::task::Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[test]
fn however_late_the_look_is_they_fire_in_order() {
    let start = Instant::now();
    // The levels' slots begin at different times: somewhere in these, all timers sit in one.
    for before in (0..300_000).step_by(7_000) {
        for moved in [false, true] {
            let mut wheel = Wheel::new(start);
            wheel.advance(start + micros(before), &mut Vec::new());
            let order = Arc::new(Mutex::new(Vec::new()));
            let mut after = vec![30_000, 10_000, 20_000, 0, 15_000, 40, 90, 60, 10_090, 10_040];
            for &due in &after {
                let first = if moved { due / 2 } else { due };
                let key = wheel.insert(start + micros(before + first));
                wheel.reset(key, start + micros(before + due));
                let waker = Waker::from(Arc::new(Noted(due, order.clone())));
                assert!(!wheel.poll(key, &waker).0);
            }
            let mut fired = Vec::new();
            wheel.advance(start + micros(before + 1_000_000), &mut fired);
            fired.into_iter().for_each(Waker::wake);
            after.sort_unstable();
            assert_eq!(*order.lock().unwrap(), after, "from {before}, moved {moved}");
        }
    }
}

/// The wheel against a sorted list, over thousands of random operations.
#[test]
fn agrees_with_a_sorted_list() {
    let start = Instant::now();
    let mut wheel = Wheel::new(start);
    let mut model: Vec<(TimerKey, u64)> = Vec::new();
    let mut fired = Vec::new();
    let mut now = 0u64;
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..if cfg!(miri) { 500 } else { 20_000 } {
        match random(4) {
            0 => {
                let range = 1 << random(34);
                let due = now + random(range);
                model.push((wheel.insert(start + Duration::from_nanos(due)), due));
            }
            1 if !model.is_empty() => {
                let (key, _) = model.swap_remove(random(model.len() as u64) as usize);
                wheel.remove(key);
            }
            2 if !model.is_empty() => {
                let range = 1 << random(34);
                let due = now + random(range);
                let chosen = random(model.len() as u64) as usize;
                let entry = &mut model[chosen];
                wheel.reset(entry.0, start + Duration::from_nanos(due));
                entry.1 = due;
            }
            _ => {
                let range = 1 << random(30);
                now += random(range);
                wheel.advance(start + Duration::from_nanos(now), &mut fired);
            }
        }
        for &(key, due) in &model {
            let ticks = |nanos: u64| nanos >> TICK_SHIFT;
            if due > now {
                assert!(!wheel.has_fired(key), "early: due {due}, now {now}");
            } else if ticks(now) > ticks(due) + 1 {
                // A timer that was set into the past fires at the next look, not at once.
                if wheel.has_fired(key) {
                    continue;
                }
                wheel.advance(start + Duration::from_nanos(now), &mut fired);
                assert!(wheel.has_fired(key), "late: due {due}, now {now}");
            }
        }
        model.retain(|&(key, _)| {
            let gone = wheel.has_fired(key);
            if gone {
                wheel.remove(key);
            }
            !gone
        });
    }
}
