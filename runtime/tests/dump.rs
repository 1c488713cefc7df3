//! What a dump says of tasks.

use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use covet_runtime::inspect::{CoreDump, Primitive, TaskDump, TaskState, WaitsFor, dump_tasks};
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::sync::{CancellationToken, Mutex, Notify, Semaphore, mpsc as channels, oneshot};
use covet_runtime::{
    Core, CoreSet, Runtime, TaskBuilder, TaskGroup, shutdown, spawn, spawn_named, time, yield_now,
};

fn named<'a>(dump: &'a CoreDump, name: &str) -> &'a TaskDump {
    let found = dump.tasks.iter().find(|task| task.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no task {name:?} in:\n{dump}"))
}

#[covet_runtime::test]
async fn names_places_states_and_counts() {
    let line = line!() + 1;
    let three = spawn_named("three polls", async {
        yield_now().await;
        yield_now().await;
        pending::<()>().await;
    });
    let formatted = spawn_named(format!("number {}", 7), pending::<()>());
    let plain = spawn(pending::<()>());
    for _ in 0..5 {
        yield_now().await;
    }
    let ready = spawn_named("ready", async {});
    let dump = dump_tasks();
    let task = named(&dump, "three polls");
    assert_eq!((task.polls, task.state, task.group.as_str()), (3, TaskState::Waiting, "serving"));
    assert_eq!((task.spawned_at.file(), task.spawned_at.line()), (file!(), line));
    assert_eq!((named(&dump, "ready").state, named(&dump, "ready").polls), (TaskState::Ready, 0));
    assert_eq!(named(&dump, "number 7").waits_for, []);
    assert_eq!(dump.tasks.iter().filter(|task| task.state == TaskState::Running).count(), 1, "{dump}");
    assert_eq!(dump.tasks.len(), 5, "the main task is one of them");
    let text = dump.to_string();
    assert!(text.starts_with("core 0: 5 tasks: 1 running, 1 ready, 3 waiting\n"), "{text}");
    assert!(text.contains("waiting  \"three polls\" (runtime/tests/dump.rs:"), "{text}");
    drop((three, formatted, plain));
    ready.await.unwrap();
    assert_eq!(dump_tasks().tasks.len(), 4, "what has ended is gone");
}

#[covet_runtime::test]
async fn where_tasks_wait_on_the_kernel() {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = listener.accept().await.unwrap();
    spawn_named("accept", async move { listener.accept().await.map(drop) }).detach();
    spawn_named("recv", async move { time::timeout(Duration::from_secs(60), server.recv()).await.map(drop) })
        .detach();
    spawn_named("sleep", time::sleep(Duration::from_secs(3600))).detach();
    spawn_named("shutdown", shutdown::requested()).detach();
    for _ in 0..3 {
        yield_now().await;
    }
    let dump = dump_tasks();
    assert!(
        matches!(named(&dump, "accept").waits_for[..], [WaitsFor::Accept { descriptor }] if descriptor > 2)
    );
    let recv = &named(&dump, "recv").waits_for;
    assert!(
        recv.iter().any(|wait| matches!(wait, WaitsFor::Recv { descriptor } if *descriptor > 2)),
        "{dump}"
    );
    let within = |wait: &WaitsFor, most| {
        let most = Duration::from_secs(most);
        matches!(wait, WaitsFor::Timer { left } if *left <= most && *left > most / 2)
    };
    assert!(recv.len() == 2 && recv.iter().any(|wait| within(wait, 60)), "{dump}");
    assert!(within(&named(&dump, "sleep").waits_for[0], 3600), "{dump}");
    assert_eq!(named(&dump, "shutdown").waits_for, [WaitsFor::Shutdown]);
    assert!(dump.to_string().contains(": accept on fd "), "{dump}");
    drop(client);
}

#[covet_runtime::test]
async fn where_tasks_wait_for_each_other() {
    let lock = Rc::new(Mutex::new(()));
    let held = lock.lock().await;
    let turn = lock.clone();
    let lock_line = line!() + 1;
    spawn_named("lock", async move { drop(turn.lock().await) }).detach();
    let notify = Rc::new(Notify::new());
    let told = notify.clone();
    spawn_named("notified", async move { told.notified().await }).detach();
    let token = CancellationToken::new();
    let child = token.child_token();
    spawn_named("cancelled", async move { child.cancelled().await }).detach();
    let (sender, receiver) = oneshot::channel::<()>();
    spawn_named("oneshot", receiver).detach();
    let (send, mut receive) = channels::bounded::<()>(1);
    spawn_named("channel", async move { receive.recv().await }).detach();
    let slow = spawn_named("slow", pending::<()>());
    spawn_named("joiner", slow).detach();
    for _ in 0..3 {
        yield_now().await;
    }
    let dump = dump_tasks();
    let [WaitsFor::Primitive { what: Primitive::Semaphore, at: Some(at) }] =
        named(&dump, "lock").waits_for[..]
    else {
        panic!("{dump}");
    };
    assert_eq!((at.file(), at.line()), (file!(), lock_line));
    for (name, primitive) in [
        ("notified", Primitive::Notify),
        ("cancelled", Primitive::Event),
        ("oneshot", Primitive::Channel),
        ("channel", Primitive::Channel),
    ] {
        let waits = &named(&dump, name).waits_for;
        assert!(
            matches!(waits[..], [WaitsFor::Primitive { what, .. }] if what == primitive),
            "{name}: {waits:?}"
        );
    }
    let joiner = &named(&dump, "joiner").waits_for;
    assert!(matches!(&joiner[..], [WaitsFor::Task { name: Some(name), .. }] if name == "slow"), "{joiner:?}");
    assert!(dump.to_string().contains("a semaphore or lock at runtime/tests/dump.rs:"), "{dump}");
    drop((held, sender, send));
}

#[covet_runtime::test]
async fn an_old_note_is_not_believed() {
    let permits = Rc::new(Semaphore::new(0));
    let granted = permits.clone();
    let task = spawn_named("moved on", async move {
        granted.acquire().await.unwrap().forget();
        pending::<()>().await;
    });
    yield_now().await;
    assert_eq!(named(&dump_tasks(), "moved on").waits_for.len(), 1);
    permits.add_permits(1);
    yield_now().await;
    yield_now().await;
    let dump = dump_tasks();
    assert_eq!(named(&dump, "moved on").waits_for, []);
    assert!(dump.to_string().contains("something that this core has no list of"), "{dump}");
    task.cancel();
}

#[covet_runtime::test]
async fn a_crowd_is_counted() {
    let tasks: Vec<_> = (0..1000).map(|_| spawn(pending::<()>())).collect();
    yield_now().await;
    let dump = dump_tasks();
    assert_eq!(dump.tasks.len(), 1001);
    let text = dump.to_string();
    assert!(text.contains("  and 992 more of (runtime/tests/dump.rs:"), "{text}");
    assert!(text.lines().count() < 15, "{text}");
    drop(tasks);
}

#[covet_runtime::test]
async fn builders_choose_the_group() {
    let group = TaskGroup::new("reindex");
    let task = TaskBuilder::new().name("job").group(&group).traced().spawn(async {
        yield_now().await;
        TaskGroup::current().name().to_string()
    });
    let dump = dump_tasks();
    assert_eq!(named(&dump, "job").group, "reindex");
    assert!(dump.to_string().contains("group \"reindex\""), "{dump}");
    assert_eq!(task.await.as_deref(), Ok("reindex"));
}

#[covet_runtime::test(cores = "all")]
async fn a_task_asks_about_all_cores(core: Core) {
    let here = spawn_named("here", pending::<()>());
    yield_now().await;
    let dump = core.dump_runtime().await;
    here.cancel();
    assert_eq!(dump.silent, []);
    assert!(dump.cores.iter().map(|core| core.core).eq(0..core.count()));
    let own = &dump.cores[core.index()];
    assert_eq!(own.cpu, core.cpu());
    named(own, "here");
    let asking =
        dump.cores.iter().flat_map(|core| &core.tasks).filter(|task| task.state == TaskState::Running);
    assert_eq!(asking.count(), 0, "{dump}");
}

#[test]
fn a_thread_asks_and_a_stuck_core_is_silent() {
    let (release, stuck) = mpsc::channel::<()>();
    let stuck = std::sync::Mutex::new(Some(stuck));
    let (tell, told) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(CoreSet::count(1))
        .stall_limit(None)
        .start(move |_| {
            let (stuck, tell) = (stuck.lock().unwrap().take(), tell.clone());
            async move {
                spawn_named("idle", pending::<()>()).detach();
                yield_now().await;
                tell.send(()).unwrap();
                shutdown::requested().await;
                tell.send(()).unwrap();
                // Holds the core, against the rules.
                let _ = stuck.map(|stuck| stuck.recv());
            }
        })
        .unwrap();
    told.recv().unwrap();
    let dump = runtime.dump_tasks(Duration::from_secs(60));
    assert_eq!((dump.cores.len(), dump.silent.len()), (1, 0));
    assert_eq!(named(&dump.cores[0], "idle").state, TaskState::Waiting);
    runtime.shutdown(Duration::from_millis(1));
    told.recv().unwrap();
    let dump = runtime.dump_tasks(Duration::from_millis(20));
    assert_eq!((dump.cores.len(), &dump.silent[..]), (0, &[0][..]));
    assert_eq!(dump.to_string(), "core 0 did not answer\n");
    release.send(()).unwrap();
    runtime.join().unwrap();
}

#[covet_runtime::test]
async fn a_dump_wakes_and_polls_nobody() {
    let mut polls = 0;
    let task = spawn_named(
        "counts",
        poll_fn(move |_| {
            polls += 1;
            if polls == 1 { Poll::<()>::Pending } else { panic!("polled again") }
        }),
    );
    yield_now().await;
    for _ in 0..10 {
        dump_tasks();
        yield_now().await;
    }
    assert!(!task.is_finished());
    assert_eq!(named(&dump_tasks(), "counts").polls, 1);
}
