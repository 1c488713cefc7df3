//! Sockets inherited from systemd's like, and handed over from one process to the next under load.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

mod alone;

use std::future::Future;
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, PermissionDenied, TimedOut, UnexpectedEof};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use alone::alone;
use covet_runtime::net::{ListenOptions, PerCoreListener, TcpStream, activation, handover};
use covet_runtime::{CoreSet, Runtime, shutdown, spawn, time};

const PATH: &str = "COVET_TEST_HANDOVER";

fn fresh_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("covet-{name}-{}", std::process::id()))
}

/// Answers four bytes with the number of this process, a little later, so that there is always something in flight.
async fn answer(stream: TcpStream) {
    let mut request = Vec::with_capacity(4);
    while request.len() < 4 {
        match stream.recv().await {
            Ok(bytes) if !bytes.is_empty() => request.extend_from_slice(&bytes),
            _ => return,
        }
    }
    time::sleep(Duration::from_millis(1)).await;
    let _ = stream.write_all(std::process::id().to_le_bytes().to_vec()).await.0;
}

async fn serve(listener: covet_runtime::net::TcpListener) {
    let mut requested = std::pin::pin!(shutdown::requested());
    loop {
        let accepted = std::future::poll_fn(|cx| {
            if requested.as_mut().poll(cx).is_ready() {
                return std::task::Poll::Ready(None);
            }
            listener.poll_accept(cx).map(Some)
        });
        match accepted.await {
            Some(stream) => spawn(answer(stream.unwrap())).detach(),
            None => break,
        }
    }
    // As if this task came late: connections are accepted meanwhile, and nobody takes them.
    time::sleep(Duration::from_millis(20)).await;
    for stream in listener.retire().await {
        spawn(answer(stream)).detach();
    }
}

/// The whole life of one process of the service.
fn live(path: &Path) {
    let (cores, options) = (CoreSet::all(), ListenOptions::default());
    let before = handover::take(path).unwrap();
    let listeners = match &before {
        Some(before) => {
            PerCoreListener::from_sockets(before.sockets("answers").unwrap(), &options, &cores).unwrap()
        }
        None => PerCoreListener::bind(([127, 0, 0, 1], 0).into(), &options, &cores).unwrap(),
    };
    let own = listeners.clone();
    let runtime = Runtime::builder()
        .cores(cores)
        .start(move |core| {
            let listener = own.listener(&core).unwrap();
            serve(listener)
        })
        .unwrap();
    if let Some(before) = before {
        before.serving().unwrap();
    }
    let address = listeners.local_addr();
    let handle = runtime.shutdown_handle();
    let sockets =
        move || Ok(listeners.sockets()?.into_iter().map(|socket| ("answers".to_owned(), socket)).collect());
    let offer =
        handover::Offer::start(path, sockets, move || handle.shutdown(Duration::from_secs(60))).unwrap();
    println!("serving at {address}");
    runtime.join().unwrap();
    drop(offer);
}

/// Not a test: one process of the service, when started as such.
#[test]
fn a_process_of_the_service() {
    if let Some(path) = std::env::var_os(PATH) {
        live(Path::new(&path));
    }
}

struct Process {
    child: Child,
    address: SocketAddr,
}

fn start_process(path: &Path) -> Process {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["a_process_of_the_service", "--exact", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("the process ended before it served").unwrap();
        if let Some((_, address)) = line.split_once("serving at ") {
            break address.parse().unwrap();
        }
    };
    // Its last lines must not block it.
    thread::spawn(move || lines.for_each(drop));
    Process { child, address }
}

/// Asks again and again on new connections; every answer's process, and every failure, is reported.
fn client(
    address: SocketAddr,
    stop: &AtomicBool,
    answers: &mpsc::Sender<u32>,
    failures: &Mutex<Vec<String>>,
) {
    while !stop.load(Ordering::Relaxed) {
        let ask = || {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.write_all(b"who?")?;
            let mut process = [0; 4];
            stream.read_exact(&mut process)?;
            std::io::Result::Ok(u32::from_le_bytes(process))
        };
        match ask() {
            Ok(process) => answers.send(process).unwrap(),
            Err(error) => failures.lock().unwrap().push(error.to_string()),
        }
    }
}

#[test]
fn generations_of_processes_lose_no_connection() {
    let path = fresh_path("generations");
    let mut present = start_process(&path);
    let address = present.address;
    let stop = Arc::new(AtomicBool::new(false));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let (tell, answers) = mpsc::channel();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, failures, tell) = (stop.clone(), failures.clone(), tell.clone());
            thread::spawn(move || client(address, &stop, &tell, &failures))
        })
        .collect();
    drop(tell);
    let mut total = 0;
    for _ in 0..4 {
        let mut from_present = 0;
        while from_present < 200 {
            let process = answers.recv_timeout(Duration::from_secs(60)).unwrap();
            from_present += usize::from(process == present.child.id());
            total += 1;
        }
        let next = start_process(&path);
        assert_eq!(next.address, address);
        let ended = present.child.wait().unwrap();
        assert!(ended.success(), "{ended}");
        present = next;
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    present.child.kill().unwrap();
    present.child.wait().unwrap();
    let _ = std::fs::remove_file(&path);
    let failures = failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} of more than {total} failed, the first: {}",
        failures.len(),
        failures[0]
    );
}

fn offered(path: &Path) -> (handover::Offer, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let sockets = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        Ok(vec![("a".to_owned(), listener.try_clone()?.into()), ("b".to_owned(), listener.into())])
    };
    let offer = handover::Offer::start(path, sockets, move || tell.send(()).unwrap()).unwrap();
    (offer, told)
}

#[test]
fn a_successor_that_breaks_off_changes_nothing() {
    let path = fresh_path("broken");
    assert!(handover::take(&path).unwrap().is_none());
    let (offer, told) = offered(&path);
    // It goes away with the sockets in hand.
    let first = handover::take(&path).unwrap().unwrap();
    assert_eq!(first.names().collect::<Vec<_>>(), ["a", "b"]);
    drop(first);
    // It says nothing at all.
    let silent = packet_socket();
    silent.connect(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    drop(silent);
    assert!(told.try_recv().is_err());
    let second = handover::take(&path).unwrap().unwrap();
    assert_eq!(second.sockets("a").unwrap().len(), 1);
    assert!(second.sockets("none").unwrap().is_empty());
    second.serving().unwrap();
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(offer);
    assert!(!path.exists());
}

#[test]
fn the_path_is_open_to_its_owner_only() {
    let path = fresh_path("mode");
    let (_offer, _told) = offered(&path);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Gives the calling thread, and no other, another user.
fn become_somebody_else() {
    const SOMEBODY: libc::uid_t = 65_534;
    // SAFETY: a plain system call; that of the C library would change every thread of the process.
    let changed = unsafe { libc::syscall(libc::SYS_setresuid, SOMEBODY, SOMEBODY, SOMEBODY) };
    assert_eq!(changed, 0);
}

#[test]
fn another_user_is_not_heard_and_not_taken_from() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can play another user; the rule itself has a test beside it.
        return;
    }
    let path = fresh_path("other");
    let (_offer, told) = offered(&path);
    let theirs = path.clone();
    let asked = std::thread::spawn(move || {
        become_somebody_else();
        handover::take(theirs).map(|found| found.is_some())
    });
    assert_eq!(asked.join().unwrap().unwrap_err().kind(), PermissionDenied);
    // Even where the path lets them in.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let theirs = path.clone();
    let asked = std::thread::spawn(move || {
        become_somebody_else();
        handover::take(theirs).map(|found| found.is_some())
    });
    // The other side hangs up without a word.
    let error = asked.join().unwrap().unwrap_err();
    assert!(matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset), "{error}");
    assert!(told.try_recv().is_err());
    handover::take(&path).unwrap().unwrap().serving().unwrap();
    told.recv_timeout(Duration::from_secs(20)).unwrap();

    // A socket of theirs, at a path that a privileged process asks at.
    let path = fresh_path("trap");
    let bound = path.clone();
    let (done, wait) = mpsc::channel::<()>();
    let (ready, is_ready) = mpsc::channel();
    let trap = std::thread::spawn(move || {
        let socket = packet_socket();
        socket.bind(&socket2::SockAddr::unix(&bound).unwrap()).unwrap();
        become_somebody_else();
        socket.listen(1).unwrap();
        ready.send(()).unwrap();
        let _ = wait.recv();
    });
    is_ready.recv().unwrap();
    let error = handover::take(&path).unwrap_err();
    assert!(error.to_string().contains("another user's"), "{error}");
    drop(done);
    trap.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

fn packet_socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap()
}

#[test]
fn nobody_waits_for_ever_for_one_that_is_silent() {
    // A successor that says nothing is in the way of the next for less time than that one waits.
    let path = fresh_path("silent");
    let (_offer, told) = offered(&path);
    let silent = packet_socket();
    silent.connect(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    // A predecessor that says nothing.
    let mute_path = fresh_path("mute");
    let mute = packet_socket();
    mute.bind(&socket2::SockAddr::unix(&mute_path).unwrap()).unwrap();
    mute.listen(1).unwrap();

    let (tell, outcomes) = mpsc::channel();
    for (name, path) in [("next", path), ("mute", mute_path.clone())] {
        let tell = tell.clone();
        thread::spawn(move || {
            let taken = handover::take(path).and_then(|found| found.unwrap().serving());
            tell.send((name, taken)).unwrap();
        });
    }
    for _ in 0..2 {
        let (name, taken) = outcomes.recv_timeout(Duration::from_secs(120)).expect("it gives up in time");
        match name {
            "next" => taken.unwrap(),
            _ => assert_eq!(taken.unwrap_err().kind(), TimedOut),
        }
    }
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    std::fs::remove_file(mute_path).unwrap();
}

#[test]
fn a_withdrawn_offer_ends_even_in_the_middle() {
    let path = fresh_path("withdrawn");
    let (offer, told) = offered(&path);
    let successor = handover::take(&path).unwrap().unwrap();
    let begun = Instant::now();
    drop(offer);
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited for the successor");
    assert!(told.recv().is_err(), "it was told though the offer was gone");
    assert!(successor.serving().is_err());
    assert!(handover::take(&path).unwrap().is_none());
}

#[test]
fn a_later_offer_takes_the_place_of_an_earlier() {
    let path = fresh_path("later");
    let (earlier, _told) = offered(&path);
    let (later, told) = offered(&path);
    drop(earlier);
    handover::take(&path).unwrap().unwrap().serving().unwrap();
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(later);
    assert!(!path.exists());
}

#[test]
fn sockets_that_systemd_opened_are_taken_once() {
    // Started by hand as systemd would: the descriptor at 3, and the process named by LISTEN_PID is the shell that
    // becomes it.
    if std::env::var_os("LISTEN_FDS").is_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = format!(
            "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec 3<&{}; exec \"$0\" \"$@\"",
            listener.as_raw_fd()
        );
        let duplicate = OwnedFd::from(listener);
        rustix::io::fcntl_setfd(&duplicate, rustix::io::FdFlags::empty()).unwrap();
        let output = Command::new("bash")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .args([
                "sockets_that_systemd_opened_are_taken_once",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("COVET_TEST_ADDRESS", address.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}\n{complaint}");
        return;
    }
    let mut inherited = activation::listenfds().unwrap();
    let only = inherited.pop().unwrap();
    assert!(inherited.is_empty() && activation::listenfds().unwrap().is_empty());
    assert_eq!(only.name(), "web");
    let socket = only.into_tcp_listener().unwrap();
    assert!(rustix::io::fcntl_getfd(&socket).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    let address: SocketAddr = std::env::var("COVET_TEST_ADDRESS").unwrap().parse().unwrap();
    let cores = CoreSet::count(1);
    let listeners = PerCoreListener::from_sockets(vec![socket], &ListenOptions::default(), &cores).unwrap();
    assert_eq!(listeners.local_addr(), address);
    let client = thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"who?").unwrap();
        let mut process = [0; 4];
        stream.read_exact(&mut process).unwrap();
        assert_eq!(u32::from_le_bytes(process), std::process::id());
    });
    let runtime =
        Runtime::builder().cores(cores).start(move |core| serve(listeners.listener(&core).unwrap())).unwrap();
    client.join().unwrap();
    runtime.shutdown(Duration::from_secs(10));
    runtime.join().unwrap();
}

#[test]
fn an_announced_descriptor_that_is_not_open_is_named() {
    alone("an_announced_descriptor_that_is_not_open_is_named", || {
        // SAFETY: this process runs this test only, and no other thread of it reads the environment now.
        unsafe {
            std::env::set_var("LISTEN_PID", std::process::id().to_string());
            std::env::set_var("LISTEN_FDS", "900");
        }
        let error = activation::listenfds().unwrap_err().to_string();
        assert!(error.contains("LISTEN_FDS announces descriptor"), "{error}");
    });
}
