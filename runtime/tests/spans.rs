//! Tasks with a span of their own: a subscriber sees what happens inside, and nothing of those without.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use covet_runtime::{TaskBuilder, block_on, spawn, spawn_named, yield_now};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Notes what is entered, said and left, in order.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
    names: Arc<Mutex<Vec<String>>>,
}

thread_local! {
    static OPEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Log {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn name(&self, id: u64) -> String {
        self.names.lock().unwrap()[id as usize - 1].clone()
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(span.metadata().name().to_owned());
        span.record(&mut text);
        self.names.lock().unwrap().push(text.0);
        Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // Not what a core has to say about itself.
        if ![module_path!(), "covet_runtime::task::isolate"].contains(&event.metadata().target()) {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let inside = OPEN.with_borrow(|open| open.last().map(|&id| self.name(id)));
        self.note(format!("{} in {}", text.0.trim(), inside.unwrap_or_else(|| "none".into())));
    }

    fn enter(&self, span: &Id) {
        OPEN.with_borrow_mut(|open| open.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let left = OPEN.with_borrow_mut(Vec::pop);
        assert_eq!(left, Some(span.into_u64()), "spans are left in the order of entering");
    }
}

/// Says so when it is dropped.
struct Farewell(&'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        tracing::info!(dropped = self.0);
    }
}

#[test]
fn every_poll_and_the_end_of_a_traced_task_are_inside_its_span() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        block_on(async {
            let traced = TaskBuilder::new().name("job").traced().spawn(async {
                let _farewell = Farewell("job");
                tracing::info!(step = 1);
                yield_now().await;
                tracing::info!(step = 2);
            });
            let plain = spawn(async {
                tracing::info!(plain = 1);
                yield_now().await;
                tracing::info!(plain = 2);
            });
            traced.await.unwrap();
            plain.await.unwrap();
            tracing::info!(main = 1);
        })
        .unwrap();
    });
    let mut lines = log.take();
    let place = " name=\"job\" spawned=runtime/tests/spans.rs:";
    for line in &mut lines {
        if let Some((what, column)) = line.split_once(place) {
            assert!(column.split(':').all(|number| number.parse::<u32>().is_ok()), "{column}");
            *line = what.to_owned();
        }
    }
    // The two tasks take turns, and neither is seen in the other's span.
    let expected = [
        "step=1 in task",
        "plain=1 in none",
        "step=2 in task",
        "dropped=\"job\" in task",
        "plain=2 in none",
        "main=1 in none",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_span_of_ones_own_is_entered_also_where_a_task_is_cancelled() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        block_on(async {
            let span = tracing::info_span!("request", id = 7);
            let task = TaskBuilder::new().span(span).spawn(async {
                let _farewell = Farewell("request");
                std::future::pending::<()>().await;
            });
            yield_now().await;
            task.cancel();
            task.await.unwrap_err();
            let panicking = TaskBuilder::new().span(tracing::info_span!("broken")).spawn(async {
                let _farewell = Farewell("broken");
                panic!("on purpose");
            });
            panicking.await.unwrap_err();
            tracing::info!(main = 1);
        })
        .unwrap();
    });
    let lines = log.take();
    assert_eq!(lines[0], "dropped=\"request\" in request id=7");
    assert_eq!(lines[1], "dropped=\"broken\" in broken");
    // The panic's report comes from outside, once the span has been left.
    assert!(lines[2].contains("on purpose") && lines[2].ends_with(" in none"), "{lines:?}");
    assert_eq!(lines[3], "main=1 in none");
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn tasks_without_a_span_make_none() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        block_on(async {
            spawn(async {}).await.unwrap();
            spawn_named("named", async {}).await.unwrap();
        })
        .unwrap();
    });
    assert_eq!(log.names.lock().unwrap().as_slice(), [] as [&str; 0]);
}
