//! Deadlines in deadlines.

use std::cell::Cell;
use std::future::pending;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::time::{self, TestClock, deadline};
use covet_runtime::{spawn, yield_now};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn automatic() {
    TestClock::stop().set_auto_advance(true);
}

#[covet_runtime::test(clock = "test")]
async fn without_one_there_is_none() {
    assert_eq!((deadline::current(), deadline::time_left()), (None, None));
    assert_eq!(deadline::inherit(async { 7 }).await, Ok(7));
}

#[covet_runtime::test(clock = "test")]
async fn the_inner_one_fires_first_and_the_outer_goes_on() {
    automatic();
    let started = time::now();
    let outcome = deadline::within(seconds(10), async {
        let inner = deadline::within(seconds(3), pending::<()>()).named("inner").await.unwrap_err();
        assert_eq!(
            (inner.name(), inner.is_enclosing(), inner.at()),
            (Some("inner"), false, started + seconds(3))
        );
        assert_eq!(inner.to_string(), "the deadline, that of \"inner\", has passed");
        assert_eq!(deadline::time_left(), Some(seconds(7)), "the outer one is back");
        time::sleep(seconds(5)).await;
        8
    })
    .named("outer")
    .await;
    assert_eq!((outcome, time::now() - started), (Ok(8), seconds(8)));
    assert_eq!(deadline::current(), None);
}

#[covet_runtime::test(clock = "test")]
async fn an_inner_one_cannot_outlive_the_outer() {
    automatic();
    let started = time::now();
    let told = Rc::new(Cell::new(None));
    let seen = told.clone();
    let outer = deadline::within(seconds(5), async move {
        let inner = deadline::within(seconds(60), async {
            assert_eq!(deadline::time_left(), Some(seconds(5)), "what is left is the outer's");
            assert_eq!(deadline::current().and_then(|deadline| deadline.name()), Some("request"));
            time::sleep(seconds(30)).await;
        });
        seen.set(Some(inner.named("query").await));
        // What goes on after it is dropped at once by the outer scope.
        pending::<()>().await;
    });
    let expired = outer.named("request").await.unwrap_err();
    assert_eq!(time::now() - started, seconds(5));
    assert_eq!((expired.name(), expired.is_enclosing()), (Some("request"), false));
    let inner = told.take().expect("the inner scope has ended").unwrap_err();
    assert_eq!((inner.name(), inner.is_enclosing(), inner.at()), (Some("request"), true, expired.at()));
    assert_eq!(inner.to_string(), "an enclosing deadline, that of \"request\", has passed");
}

#[covet_runtime::test(clock = "test")]
async fn what_is_ready_wins_over_a_time_that_is_up() {
    assert_eq!(deadline::scope(time::now() - seconds(1), async { 7 }).await, Ok(7));
    let expired = deadline::scope(time::now() - seconds(1), pending::<()>()).await.unwrap_err();
    assert_eq!(expired.to_string(), "the deadline has passed");
}

#[covet_runtime::test(clock = "test")]
async fn tasks_between_polls_do_not_see_each_others_deadlines() {
    let under = |limit| {
        spawn(deadline::within(limit, async move {
            for _ in 0..10 {
                assert_eq!(deadline::time_left(), Some(limit));
                yield_now().await;
            }
        }))
    };
    let free = spawn(async {
        for _ in 0..10 {
            assert_eq!(deadline::current(), None);
            yield_now().await;
        }
    });
    let (long, short) = (under(seconds(9)), under(seconds(4)));
    assert_eq!((long.await, short.await, free.await), (Ok(Ok(())), Ok(Ok(())), Ok(())));
}

#[covet_runtime::test(clock = "test")]
async fn a_spawned_task_has_the_deadline_that_is_handed_on() {
    automatic();
    let (heir, other) = deadline::within(seconds(2), async {
        let heir = spawn(deadline::inherit(async {
            assert_eq!(deadline::time_left(), Some(seconds(2)));
            pending::<()>().await;
        }));
        (heir, spawn(async { deadline::current() }))
    })
    .named("request")
    .await
    .unwrap();
    assert_eq!(other.await, Ok(None));
    let expired = heir.await.unwrap().unwrap_err();
    assert_eq!(expired.name(), Some("request"));
}

#[covet_runtime::test(clock = "test")]
async fn a_panic_puts_the_outer_deadline_back() {
    let task =
        spawn(async { deadline::within(seconds(1), async { panic!("on purpose") }).await.unwrap_or(()) });
    assert!(task.await.is_err());
    assert_eq!(deadline::current(), None);
}

#[covet_runtime::test]
async fn a_time_that_is_up_is_an_error_of_io_as_well() {
    automatic();
    async fn limited() -> std::io::Result<()> {
        time::timeout(seconds(1), pending::<()>()).await?;
        Ok(())
    }
    async fn within() -> std::io::Result<()> {
        deadline::within(seconds(1), pending::<()>()).named("session").await?;
        Ok(())
    }
    let error = limited().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, "not finished within 1s"));
    let error = within().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("\"session\""), "{error}");
}
