//! Which core gets a connection: by CPU of arrival, balanced, and with as many sockets as cores or not.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use covet_runtime::net::{ListenOptions, PerCoreListener, Steering, TcpListener, TcpStream};
use covet_runtime::{CoreSet, Runtime, block_on, shutdown, spawn, time};
use rustix::thread::{CpuSet, sched_setaffinity};

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn options(steering: Steering) -> ListenOptions {
    ListenOptions { steering, ..ListenOptions::default() }
}

/// Tells each client the index of the core that serves it, then holds the connection until the client ends it.
fn tell_the_core(listeners: PerCoreListener, cores: CoreSet) -> Runtime {
    Runtime::builder()
        .cores(cores)
        .start(move |core| {
            let listeners = listeners.listeners(&core).unwrap();
            let index = core.index() as u8;
            async move {
                for listener in listeners {
                    spawn(async move {
                        while let Ok(stream) = listener.accept().await {
                            spawn(tell(stream, index)).detach();
                        }
                    })
                    .detach();
                }
                shutdown::requested().await;
            }
        })
        .unwrap()
}

async fn tell(stream: TcpStream, index: u8) {
    if stream.write_all(vec![index]).await.0.is_ok() {
        let _ = stream.recv().await;
    }
}

fn connect(address: SocketAddr) -> (std::net::TcpStream, usize) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut index = [0];
    stream.read_exact(&mut index).unwrap();
    (stream, usize::from(index[0]))
}

/// Ends a connection, and waits until the server has ended it too.
fn disconnect(mut stream: std::net::TcpStream) {
    stream.write_all(b"x").unwrap();
    let _ = stream.read(&mut [0]);
}

#[test]
fn clients_of_a_cpu_arrive_on_its_core() {
    let cores = CoreSet::all();
    let cpus = cores.resolve().unwrap();
    let listeners = PerCoreListener::bind(local(), &options(Steering::ByCpu), &cores).unwrap();
    let address = listeners.local_addr();
    let runtime = tell_the_core(listeners, cores);
    for (index, cpu) in cpus.into_iter().enumerate() {
        let client = thread::spawn(move || {
            let mut mask = CpuSet::new();
            mask.set(cpu);
            sched_setaffinity(None, &mask).unwrap();
            (0..20).map(|_| connect(address).1).collect::<Vec<_>>()
        });
        assert_eq!(client.join().unwrap(), [index; 20]);
    }
    drop(runtime);
}

#[test]
fn balance_is_restored_after_a_skew() {
    let cores = CoreSet::all();
    let count = cores.resolve().unwrap().len();
    if count < 2 {
        return;
    }
    let listeners = PerCoreListener::bind(local(), &options(Steering::Balanced), &cores).unwrap();
    let address = listeners.local_addr();
    let runtime = tell_the_core(listeners, cores);
    let mut open: Vec<_> = (0..100 * count).map(|_| connect(address)).collect();
    // All but the first core lose their connections.
    let (kept, ended): (Vec<_>, Vec<_>) = open.drain(..).partition(|(_, core)| *core == 0);
    ended.into_iter().for_each(|(stream, _)| disconnect(stream));
    let skew = kept.len();
    assert!(skew > 60, "{skew} of {} on the first core: it was not balanced before", 100 * count);
    let mut loads = vec![0; count];
    let later: Vec<_> = (0..60).map(|_| connect(address)).collect();
    later.iter().for_each(|(_, core)| loads[*core] += 1);
    // The kernel alone would have sent half of them there.
    assert!(loads[0] <= 6, "the loaded core still got {} of 60: {loads:?}", loads[0]);
    drop((kept, later, runtime));
}

#[test]
fn fewer_and_more_sockets_than_cores_all_serve() {
    let cores = CoreSet::all();
    let count = cores.resolve().unwrap().len();
    for sockets in [1, count + 1, 2 * count + 1] {
        // At an address where nobody else takes the port when it becomes free.
        let first = std_listener(([127, 0, 0, 32], 0).into());
        let address = first.local_addr().unwrap();
        let mut group = vec![first.into()];
        group.extend((1..sockets).map(|_| std_listener(address).into()));
        let listeners = PerCoreListener::from_sockets(group, &options(Steering::Hash), &cores).unwrap();
        assert_eq!(listeners.sockets().unwrap().len(), sockets);
        let handle = listeners.clone();
        let runtime = tell_the_core(listeners, cores.clone());
        // If one of the sockets had nobody to accept from it, some of these would wait for ever.
        let clients: Vec<_> = (0..40 * sockets).map(|_| connect(address)).collect();
        drop((clients, runtime));
        assert!(handle.sockets().unwrap().is_empty(), "a socket listens though its core has ended");
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}

fn std_listener(address: SocketAddr) -> std::net::TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(256).unwrap();
    socket.into()
}

#[test]
fn misuse_is_named() {
    block_on(async {
        let error = TcpListener::bind_with(local(), &options(Steering::ByCpu)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("PerCoreListener"), "{error}");
    })
    .unwrap();
    let cores = CoreSet::count(1);
    let hash = options(Steering::Hash);
    assert!(PerCoreListener::from_sockets(vec![], &hash, &cores).is_err());
    let two = vec![std_listener(local()).into(), std_listener(local()).into()];
    let error = PerCoreListener::from_sockets(two, &hash, &cores).unwrap_err();
    assert!(error.to_string().contains("one address"), "{error}");
    let idle = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let error = PerCoreListener::from_sockets(vec![idle.into()], &hash, &cores).unwrap_err();
    assert!(error.to_string().contains("does not listen"), "{error}");

    let listeners = PerCoreListener::bind(local(), &hash, &cores).unwrap();
    let (say, said) = mpsc::channel();
    Runtime::builder()
        .cores(cores)
        .start(move |core| {
            drop(listeners.listener(&core).unwrap());
            say.send(listeners.listener(&core).unwrap_err().to_string()).unwrap();
            async {}
        })
        .unwrap()
        .join()
        .unwrap();
    assert!(said.recv().unwrap().contains("taken and dropped"));
}

#[test]
fn a_socket_that_does_not_wait_serves_as_well() {
    // Others may have set O_NONBLOCK on a socket that they pass on.
    let socket = std_listener(local());
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    block_on(async {
        let listener = TcpListener::from_socket(socket.into()).unwrap();
        for round in 0..3 {
            let client = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20 * round));
                std::net::TcpStream::connect(address).unwrap()
            });
            time::timeout(Duration::from_secs(20), listener.accept()).await.unwrap().unwrap();
            drop(client.join().unwrap());
        }
    })
    .unwrap();
}

#[test]
fn a_retired_listener_gives_its_connections_back() {
    block_on(async {
        for early in [0, 1, 7] {
            let socket = std_listener(local());
            let address = socket.local_addr().unwrap();
            let listener = TcpListener::from_socket(socket.try_clone().unwrap().into()).unwrap();
            let clients: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let mut served = Vec::new();
            for _ in 0..early {
                served.push(listener.accept().await.unwrap());
            }
            let late: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            if early == 7 {
                time::sleep(Duration::from_millis(20)).await;
            }
            served.extend(listener.retire().await);
            // The rest is in the backlog, which belongs to whoever holds the socket, or on its way there: a client knows
            // of its connection first.
            socket.set_nonblocking(true).unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            let mut left = 0;
            while served.len() + left < 40 && Instant::now() < end {
                match socket.accept() {
                    Ok(_) => left += 1,
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
            left += std::iter::from_fn(|| socket.accept().ok()).count();
            assert_eq!(served.len() + left, 40, "{} were accepted", served.len());
            drop((clients, late));
        }
    })
    .unwrap();
}

#[test]
fn what_was_handed_over_and_not_taken_comes_back_when_its_core_retires() {
    const CLIENTS: usize = 30;
    let cores = CoreSet::count(2);
    if cores.resolve().is_err() {
        return;
    }
    let listeners = PerCoreListener::from_sockets(
        vec![std_listener(local()).into()],
        &options(Steering::Balanced),
        &cores,
    )
    .unwrap();
    let address = listeners.local_addr();
    let (send, counts) = mpsc::channel();
    let runtime = Runtime::builder()
        .cores(cores)
        .start(move |core| {
            let (listener, send) = (listeners.listener(&core).unwrap(), send.clone());
            async move {
                if core.index() == 1 {
                    // It takes part, and takes nothing.
                    send.send((1, 0)).unwrap();
                    while !RETIRE.load(Ordering::Acquire) && !shutdown::is_requested() {
                        time::sleep(Duration::from_millis(1)).await;
                    }
                    let back = listener.retire().await;
                    send.send((1, back.len())).unwrap();
                    return shutdown::requested().await;
                }
                let mut kept = Vec::new();
                while let Some(accepted) = shutdown::run_until_requested(listener.accept()).await {
                    kept.push(accepted.unwrap());
                    send.send((0, 1)).unwrap();
                }
            }
        })
        .unwrap();
    assert_eq!(counts.recv_timeout(Duration::from_secs(20)).expect("it starts"), (1, 0));
    let clients: Vec<_> = (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let mut arrived = [0; 2];
    while arrived.iter().sum::<usize>() < CLIENTS {
        let (core, count) = counts.recv_timeout(Duration::from_secs(20)).expect("none is lost");
        arrived[core] += count;
        // By now the other has been given some.
        RETIRE.store(arrived[0] >= 6, Ordering::Release);
    }
    assert!(arrived[1] > 0, "{arrived:?}");
    runtime.shutdown(Duration::from_secs(5));
    runtime.join().unwrap();
    drop(clients);
}

static RETIRE: AtomicBool = AtomicBool::new(false);
