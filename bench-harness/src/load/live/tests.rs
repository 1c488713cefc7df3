use super::*;
use covet_runtime::CoreSet;

use crate::load::{NoProgress, TargetUrl};
use crate::target::null::{self, NullOptions};

fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if holds() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn users_come_and_go_and_no_request_is_lost() {
    let null = null::embed(CoreSet::list([0]), NullOptions::default()).unwrap();
    let url = TargetUrl::parse(&format!("http://{}/", null.address())).unwrap();
    let cpu = *crate::load::allowed_cpus().last().unwrap();
    let mut load = LiveLoad::start(&LoadPlan::closed(url, vec![cpu]), &NoProgress).unwrap();
    let mut parts = Vec::new();
    for users in [3, 17, 5, 0, 8] {
        load.set_users(users);
        assert!(within(Duration::from_secs(20), || load.users() == users), "{users}: {}", load.users());
        thread::sleep(Duration::from_millis(300));
        parts.extend(load.parts(&NoProgress).unwrap());
    }
    let (last, record) = load.finish(Duration::from_secs(20), &NoProgress).unwrap();
    parts.extend(last);
    assert_eq!(record.conditions.connections, 17);
    assert_eq!((record.failed, record.in_flight_at_end), (0, 0), "{}", record.to_text());
    assert_eq!(record.sent, record.completed);
    assert!(record.completed > 100, "{}", record.to_text());
    assert_eq!(parts.iter().map(|part| part.completed).sum::<u64>(), record.completed);
    assert_eq!(parts.iter().map(|part| part.response.len()).sum::<u64>(), record.completed);
    assert!(parts.windows(2).all(|two| two[0].second <= two[1].second));
    assert_eq!(record.errors.total(), 0, "{:?}", record.errors.first);
    assert_eq!(record.reconnects, 0);
}

#[test]
fn users_that_think_leave_at_once() {
    let null = null::embed(CoreSet::list([0]), NullOptions::default()).unwrap();
    let url = TargetUrl::parse(&format!("http://{}/", null.address())).unwrap();
    let cpu = *crate::load::allowed_cpus().last().unwrap();
    let think = Some(crate::clock::Delay::Constant(Duration::from_secs(600)));
    let plan = LoadPlan { think, ..LoadPlan::closed(url, vec![cpu]) };
    let load = LiveLoad::start(&plan, &NoProgress).unwrap();
    load.set_users(4);
    assert!(within(Duration::from_secs(20), || load.users() == 4));
    load.set_users(1);
    assert!(within(Duration::from_secs(20), || load.users() == 1));
    let begun = Instant::now();
    load.finish(Duration::from_secs(500), &NoProgress).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(100), "{:?}", begun.elapsed());
}
