//! Tasks that can't outlive the code that started them, and gates.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use covet_runtime::sync::{CancellationToken, Gate, OnFailure, Scope, ScopeOptions, scope};
use covet_runtime::{JoinError, block_on, spawn, time, yield_now};

type Failing = Result<(), &'static str>;

struct Dropped(Rc<Cell<usize>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Starts tasks that never end by themselves.
fn waiters(scope: &Scope<&'static str>, count: usize, drops: &Rc<Cell<usize>>) {
    for _ in 0..count {
        let guard = Dropped(drops.clone());
        scope.spawn(async move {
            let _guard = guard;
            pending::<Failing>().await
        });
    }
}

#[covet_runtime::test]
async fn the_scope_waits_for_all_it_started() {
    let ended = Rc::new(Cell::new(0));
    let borrowed = String::from("the body may borrow");
    let length = scope(async |scope| {
        for n in 0..10 {
            let (inner, ended) = (scope.clone(), ended.clone());
            scope.spawn(async move {
                for _ in 0..n {
                    yield_now().await;
                }
                // A task may start its siblings.
                inner.spawn(async move {
                    yield_now().await;
                    ended.set(ended.get() + 1);
                    Ok(())
                });
                Ok(())
            });
        }
        Ok::<_, &str>(borrowed.len())
    })
    .await;
    assert_eq!((length, ended.get()), (Ok(19), 10));
}

#[covet_runtime::test]
async fn outputs_are_awaited_or_not() {
    let outcome = scope(async |scope| {
        let wanted = scope.spawn(async {
            yield_now().await;
            Ok(20)
        });
        drop(scope.spawn(async { Ok("nobody wants it") }));
        Ok::<_, &str>(wanted.await.map(|n| n + 1))
    });
    assert_eq!(outcome.await, Ok(Some(21)));
}

#[covet_runtime::test]
async fn an_error_of_a_task_ends_the_body_and_the_siblings() {
    let drops = Rc::new(Cell::new(0));
    let outcome: Failing = scope(async |scope| {
        waiters(scope, 5, &drops);
        let token = scope.token().clone();
        scope.spawn(async move {
            yield_now().await;
            assert!(!token.is_cancelled());
            Err::<(), _>("no such host")
        });
        let _guard = Dropped(drops.clone());
        pending().await
    })
    .await;
    assert_eq!((outcome, drops.get()), (Err("no such host"), 6), "all were dropped when the scope ended");
}

#[covet_runtime::test]
async fn an_error_of_the_body_ends_the_tasks() {
    let drops = Rc::new(Cell::new(0));
    let kept = Rc::new(RefCell::new(None));
    let outcome: Failing = scope(async |scope| {
        waiters(scope, 5, &drops);
        yield_now().await;
        kept.replace(Some(scope.clone()));
        Err("the body's")
    })
    .await;
    assert_eq!((outcome, drops.get()), (Err("the body's"), 5));
    // What is started in a scope that is over is dropped.
    let guard = Dropped(drops.clone());
    let scope = kept.take().expect("the body put it there");
    let late = scope.spawn(async move {
        drop(guard);
        Ok(())
    });
    assert_eq!((late.await, drops.get(), scope.running()), (None, 6, 0));
}

#[covet_runtime::test]
async fn a_panic_ends_the_scope_and_goes_on_with_its_payload() {
    let drops = Rc::new(Cell::new(0));
    let count = drops.clone();
    let owner = spawn(async move {
        scope(async |scope| {
            waiters(scope, 3, &count);
            scope.spawn(async {
                yield_now().await;
                panic!("in a task of a scope, on purpose");
                #[expect(unreachable_code, reason = "it gives the type")]
                Ok(())
            });
            pending::<Failing>().await
        })
        .await
    });
    let error = owner.await.unwrap_err();
    assert_eq!(error.to_string(), "the task panicked: in a task of a scope, on purpose");
    assert_eq!(drops.get(), 3);

    let owner = spawn(scope(async |_: &Scope<()>| -> Result<(), ()> { panic!("in the body, on purpose") }));
    assert_eq!(owner.await.unwrap_err().to_string(), "the task panicked: in the body, on purpose");
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("a destructor, on purpose");
    }
}

#[covet_runtime::test]
async fn panicking_destructors_are_counted_and_stop_nobody() {
    let drops = Rc::new(Cell::new(0));
    // One that panics while its task is cancelled: the scope has its error already, and ends all the same.
    let outcome: Failing = scope(async |scope| {
        scope.spawn(async {
            let _bad = PanicsWhenDropped;
            pending::<Failing>().await
        });
        waiters(scope, 2, &drops);
        yield_now().await;
        Err("the first failure")
    })
    .await;
    assert_eq!((outcome, drops.get()), (Err("the first failure"), 2));
    // One that panics when its task ends well is a failure of that task.
    let count = drops.clone();
    let owner = spawn(scope(async move |scope| {
        waiters(scope, 2, &count);
        let bad = PanicsWhenDropped;
        scope.spawn(std::future::poll_fn(move |_| {
            let _held = &bad;
            std::task::Poll::Ready(Ok(()))
        }));
        pending::<Failing>().await
    }));
    assert_eq!(owner.await.unwrap_err().to_string(), "the task panicked: a destructor, on purpose");
    assert_eq!(drops.get(), 4);
}

#[covet_runtime::test]
async fn a_dropped_scope_drops_its_tasks_within_two_turns() {
    let drops = Rc::new(Cell::new(0));
    let count = drops.clone();
    let owner = spawn(async move {
        scope(async |scope| {
            waiters(scope, 20, &count);
            let _guard = Dropped(count.clone());
            pending::<Failing>().await
        })
        .await
    });
    yield_now().await;
    yield_now().await;
    owner.cancel();
    assert!(owner.await.is_err());
    assert!(drops.get() >= 1, "the body goes at once");
    yield_now().await;
    yield_now().await;
    assert_eq!(drops.get(), 21);
}

#[test]
fn a_scope_that_ends_with_its_core_drops_all() {
    let drops = Rc::new(Cell::new(0));
    let count = drops.clone();
    block_on(async {
        spawn(async move {
            scope(async |scope| {
                waiters(scope, 7, &count);
                pending::<Failing>().await
            })
            .await
        })
        .detach();
        yield_now().await;
        yield_now().await;
    })
    .unwrap();
    assert_eq!(drops.get(), 7);
}

#[covet_runtime::test]
async fn the_rest_may_be_asked_instead() {
    let tidied = Rc::new(Cell::new(0));
    let options = || ScopeOptions::new().on_failure(OnFailure::Ask);
    let outcome: Failing = options()
        .run(async |scope| {
            for _ in 0..3 {
                let (token, tidied) = (scope.token().clone(), tidied.clone());
                scope.spawn(async move {
                    token.cancelled().await;
                    yield_now().await;
                    tidied.set(tidied.get() + 1);
                    Err::<(), _>("a later failure is not told")
                });
            }
            scope.spawn(async { Err::<(), _>("the first") });
            scope.token().cancelled().await;
            Ok(())
        })
        .await;
    assert_eq!((outcome, tidied.get()), (Err("the first"), 3));
}

#[covet_runtime::test]
async fn the_rest_may_finish() {
    let finished = Rc::new(Cell::new(0));
    let outcome: Failing = ScopeOptions::new()
        .on_failure(OnFailure::Finish)
        .run(async |scope| {
            scope.spawn(async { Err::<(), _>("the first") });
            for _ in 0..3 {
                let (token, finished) = (scope.token().clone(), finished.clone());
                scope.spawn(async move {
                    time::sleep(Duration::from_millis(1)).await;
                    assert!(!token.is_cancelled());
                    finished.set(finished.get() + 1);
                    Ok(())
                });
            }
            Ok(())
        })
        .await;
    assert_eq!((outcome, finished.get()), (Err("the first"), 3));
}

#[covet_runtime::test]
async fn a_parent_token_reaches_into_nested_scopes() {
    let server = CancellationToken::new();
    let request = server.child_token();
    let owner = spawn(async move {
        ScopeOptions::new()
            .under(&request)
            .run(async |outer| {
                let token = outer.token().clone();
                let inner = outer.spawn(async move {
                    let scope = ScopeOptions::new().under(&token);
                    scope
                        .run(async |inner| {
                            inner.token().cancelled().await;
                            Ok("was told")
                        })
                        .await
                });
                Ok::<_, ()>(inner.await)
            })
            .await
    });
    yield_now().await;
    server.cancel();
    assert_eq!(owner.await, Ok(Ok(Some("was told"))));
}

#[test]
fn a_spawn_outside_a_core_leaves_the_scope_as_it_was() {
    let kept = block_on(scope(async |scope: &Scope<()>| Ok(scope.clone()))).unwrap().unwrap();
    let outside = catch_unwind(AssertUnwindSafe(|| drop(kept.spawn(async { Ok(()) }))));
    assert!(outside.is_err() && kept.running() == 0);
}

#[covet_runtime::test]
async fn a_panic_counts_though_the_body_ended_well() {
    let ended = spawn(ScopeOptions::new().on_failure(OnFailure::Finish).run(async |scope: &Scope<()>| {
        scope.spawn::<()>(async { panic!("in a task") });
        Ok(())
    }));
    assert_eq!(ended.await, Err(JoinError::Panicked("in a task".into())));
}

#[covet_runtime::test]
async fn a_scope_that_is_being_cancelled_takes_no_more_tasks() {
    struct Late(Scope<&'static str>);
    impl Drop for Late {
        fn drop(&mut self) {
            drop(self.0.spawn(pending::<Failing>()));
        }
    }
    let ended = scope(async |scope| {
        let late = Late(scope.clone());
        scope.spawn(async move {
            let _late = late;
            pending::<Failing>().await
        });
        yield_now().await;
        Err::<(), _>("the body's")
    });
    // A task that was started by the destructor of another would be waited for.
    let ended = time::timeout(Duration::from_secs(20), ended).await;
    assert_eq!(ended, Ok(Err("the body's")));
}

#[covet_runtime::test]
async fn a_scope_that_ended_well_takes_no_more_tasks() {
    let kept = scope(async |scope: &Scope<()>| Ok(scope.clone())).await.unwrap();
    let ran = Rc::new(Cell::new(false));
    let late = kept.spawn({
        let ran = ran.clone();
        async move {
            ran.set(true);
            Ok(())
        }
    });
    assert_eq!((late.await, kept.running(), ran.get()), (None, 0, false));
    assert!(kept.token().is_cancelled());
}

#[covet_runtime::test]
async fn a_gate_waits_for_those_inside() {
    let gate = Gate::new();
    let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
    assert_eq!(gate.inside(), 2);
    let closing = spawn(gate.close());
    // It is closed before anybody awaits it.
    assert!(gate.is_closed() && gate.enter().is_err());
    drop(first);
    yield_now().await;
    assert!(!closing.is_finished());
    drop(second);
    assert_eq!(closing.await, Ok(()));
    gate.close().await;

    let gate = Gate::new();
    let pass = gate.enter().unwrap();
    drop(gate.close());
    drop(pass);
    gate.close().await;
    assert!(gate.enter().is_err(), "a close that is given up leaves it closed");
}
