//! Workers under a real master of Locust: its web page drives them, and nobody's counts differ.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

mod disturbed;
mod folder;
mod nobody;
mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use disturbed::{expect_status, expect_told};
use folder::Folder;
use nobody::nobody;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use server::{Server, covet_bench};

/// How long a hang lasts. Locust alone takes seconds of CPU time to start, of which a busy machine has few.
const PATIENCE: Duration = Duration::from_secs(300);

/// Users that a master can name; what they do is the workers' affair.
const USERS: &str = "from locust import User, task\n\n\nclass Connections(User):\n    @task\n    def nothing(self):\n        pass\n";

/// Where scripts/install-test-tools puts Locust.
fn locust() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = root.join("target/test-tools/bin/locust");
    assert!(program.exists(), "{} is missing: run scripts/install-test-tools", program.display());
    program
}

/// A folder with the users' file, whose log of the master is shown where a test fails.
struct Desk(Folder);

impl Desk {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        fs::write(folder.0.join("users.py"), USERS).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path(name)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("master.log")).unwrap_or_default());
        }
    }
}

/// A process that does not outlive the test, and the file that it writes to.
struct Running(Child, Option<PathBuf>);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id() as i32).unwrap(), signal).unwrap();
    }

    /// Waits for its end; returns its status and what it wrote to its file and to a piped standard error.
    fn end(mut self) -> (i32, String, String) {
        let end = Instant::now() + PATIENCE;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the process does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let out = self.1.as_ref().map_or_else(String::new, |path| fs::read_to_string(path).unwrap());
        let mut err = String::new();
        self.0.stderr.take().map(|mut pipe| pipe.read_to_string(&mut err).unwrap());
        (self.0.wait().unwrap().code().unwrap_or(-1), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.try_wait();
        let _ = self.0.kill();
        let _ = self.0.wait();
        if std::thread::panicking() {
            let mut said = String::new();
            self.0.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said));
            eprintln!("process {}, ended {ended:?} by itself:\n{said}", self.0.id());
        }
    }
}

/// Ports that nobody listens on, for programs that cannot say which they were given.
///
/// They are below those that the kernel gives to connections: a load makes many, and a worker that looks for its master
/// on such a port could even meet itself.
fn free_ports() -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + (std::process::id() % 1_000) as u16 * 16;
    let mut free = std::iter::repeat_with(|| base + NEXT.fetch_add(1, Ordering::Relaxed) % 16)
        .filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let mut port = || free.next().expect("it has no end");
    (port(), port())
}

fn master(folder: &Desk, port: u16, more: &[&str]) -> Running {
    let mut command = Command::new(locust());
    command.current_dir(&folder.0.0).args(["-f", "users.py", "--master", "--master-bind-host", "127.0.0.1"]);
    // What is under way when a test stops is answered first, however long that takes.
    command.args(["--master-bind-port", &port.to_string(), "--stop-timeout", "60"]).args(more);
    // What it says is shown where the test fails.
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.path("master.log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Running(command.spawn().unwrap(), None)
}

/// Three workers, whose records go into files: a pipe that nobody reads until the end has no room for the third, and a
/// worker that cannot write is deaf to its master.
fn workers(folder: &Desk, port: u16, more: impl Fn(usize) -> Vec<String>) -> Vec<Running> {
    let start = |number| {
        let master = format!("127.0.0.1:{port}");
        let mut command = covet_bench(&["worker", "--master", &master, "--output-format", "json"]);
        command.args(["--patience", "300s"]);
        let records = folder.0.0.join(format!("records-{number}"));
        command.args(more(number)).stdout(fs::File::create(&records).unwrap());
        Running(command.spawn().unwrap(), Some(records))
    };
    (1..=3).map(start).collect()
}

/// The master's web page, as a script uses it.
struct Page(u16);

impl Page {
    fn curl(&self, path: &str, data: Option<&str>) -> Option<Value> {
        let mut command = Command::new("curl");
        command.args(["-s", "--max-time", "120", &format!("http://127.0.0.1:{}{path}", self.0)]);
        if let Some(data) = data {
            command.args(["-d", data]);
        }
        serde_json::from_slice(&command.output().unwrap().stdout).ok()
    }

    fn swarm(&self, users: u64, server: &Server) {
        self.swarm_at(users, &format!("http://{}", server.address));
    }

    fn swarm_at(&self, users: u64, host: &str) {
        let data = format!("user_count={users}&spawn_rate={users}&host={host}");
        let answer = self.curl("/swarm", Some(&data)).expect("the master answers");
        assert_eq!(answer["success"], true, "{answer}");
    }

    fn stop(&self) {
        let answer = self.curl("/stop", None).or_else(|| self.curl("/stop", Some("")));
        assert_eq!(answer.expect("the master answers")["success"], true);
    }

    /// Waits until the master's statistics are as wished.
    fn wait(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < end {
            last = self.curl("/stats/requests", None);
            if last.as_ref().is_some_and(&holds) {
                return last.unwrap();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what}: {last:#?}");
    }

    fn wait_for_workers(&self) {
        self.wait("three workers are ready", |stats| {
            let workers = stats["workers"].as_array().map_or(&[][..], Vec::as_slice);
            workers.iter().filter(|worker| worker["state"] == "ready").count() == 3
        });
    }

    /// Waits until so many users run, and requests have been counted since there were `before`; returns how many.
    fn wait_for_users(&self, users: u64, before: u64) -> u64 {
        let stats = self.wait(&format!("{users} users run"), |stats| {
            let workers = stats["workers"].as_array().unwrap();
            let seen: u64 = workers.iter().filter_map(|worker| worker["user_count"].as_u64()).sum();
            stats["state"] == "running" && seen == users && total(stats, "num_requests") > before
        });
        total(&stats, "num_requests")
    }
}

fn total(stats: &Value, field: &str) -> u64 {
    let entries = stats["stats"].as_array().unwrap();
    let total = entries.iter().find(|entry| entry["name"] == "Aggregated").unwrap();
    total[field].as_u64().unwrap()
}

/// The records of a worker's tests: a line of JSON for each.
fn records(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn completed(record: &Value) -> u64 {
    let requests = &record["requests"];
    assert_eq!((&requests["failed"], &requests["in_flight_at_end"]), (&0.into(), &0.into()), "{requests}");
    requests["completed"].as_u64().unwrap()
}

#[test]
fn a_web_page_drives_three_workers_and_the_counts_agree() {
    let (folder, server) = (Desk::new("web"), Server::start());
    let (port, web) = free_ports();
    let web_port = web.to_string();
    let web_args = ["--web-host", "127.0.0.1", "--web-port", &web_port];
    let (page, first) = (Page(web), master(&folder, port, &web_args));
    let workers = workers(&folder, port, |number| {
        let out = folder.path(&format!("worker-{number}"));
        ["/plaintext", "--think", "20ms", "-o", &out].map(str::to_owned).to_vec()
    });
    page.wait_for_workers();
    page.swarm(6, &server);
    let mut seen = page.wait_for_users(6, 0);
    // More and fewer users, without beginning anew.
    for users in [30, 9] {
        page.swarm(users, &server);
        seen = page.wait_for_users(users, seen);
    }
    page.stop();
    let stats = page.wait("the test stops", |stats| stats["state"] == "stopped");
    assert_eq!(total(&stats, "num_failures"), 0);
    let counted = total(&stats, "num_requests");
    assert!(counted >= seen);
    page.wait_for_workers();

    // A second test ends because its master is lost; the workers find the next one, which knows nothing of it.
    page.swarm(3, &server);
    page.wait_for_users(3, 0);
    first.signal(Signal::KILL);
    let _ = first.end();
    let second = master(&folder, port, &web_args);
    page.wait_for_workers();
    page.swarm(12, &server);
    page.wait_for_users(12, 0);
    page.stop();
    let stats = page.wait("the last test stops", |stats| stats["state"] == "stopped");
    let counted_last = total(&stats, "num_requests");
    page.wait_for_workers();
    second.signal(Signal::TERM);

    let (mut sum, mut sum_last) = (0, 0);
    for worker in workers {
        let (status, out, err) = worker.end();
        expect_told(Some(status), 0, &out, &err);
        let [first, _, last] = &records(&out)[..] else { panic!("three tests: {out}") };
        sum += completed(first);
        sum_last += completed(last);
        assert_eq!(first["conditions"]["connections"], 10, "of 30 users");
    }
    assert_eq!((sum, sum_last), (counted, counted_last));

    let bundles: Vec<String> =
        (1..=3).map(|number| folder.path(&format!("worker-{number}/test-1"))).collect();
    let merged = folder.path("merged");
    let arguments =
        [&["merge"], &bundles.iter().map(String::as_str).collect::<Vec<_>>()[..], &["-o", &merged]];
    let output = covet_bench(&arguments.concat()).output().unwrap();
    expect_status(&output, 0);
    let result: Value =
        serde_json::from_str(&fs::read_to_string(folder.0.0.join("merged/result.json")).unwrap()).unwrap();
    assert_eq!(result["runs"][0]["requests"]["completed"], counted);
    assert_eq!(result["runs"][0]["conditions"]["connections"], 30);
}

/// The cell of a CSV file's `Aggregated` row in the column of this name.
fn cell(csv: &str, column: &str) -> u64 {
    let mut lines = csv.lines();
    let place = lines.next().unwrap().split(',').position(|name| name == column).unwrap();
    let row = lines.find(|line| line.split(',').nth(1) == Some("Aggregated")).unwrap();
    row.split(',').nth(place).unwrap().parse().unwrap()
}

/// A server that refuses so many requests, and answers none of those that follow.
fn refuses(requests: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, answered) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answered = answered.clone();
            std::thread::spawn(move || {
                // A head comes in one piece.
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    if answered.fetch_add(1, Ordering::Relaxed) < requests {
                        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_headless_master_counts_failures_as_the_workers_do() {
    const REFUSED: u64 = 90;
    let (folder, server) = (Desk::new("headless"), refuses(REFUSED));
    let (port, _) = free_ports();
    // A master that quits takes in what reaches it within half a second. What happens here is long over by then, and told:
    // a worker reports every three seconds.
    let more = ["--headless", "--expect-workers", "3", "-u", "9", "-r", "9", "-t", "20s", "--csv", "out"];
    let workers = workers(&folder, port, |_| {
        let url = format!("http://{server}/nowhere");
        let name = "a page that is not there";
        [&url, "--think", "20ms", "--timeout", "300s", "--name", name].map(str::to_owned).to_vec()
    });
    let (status, ..) = master(&folder, port, &more).end();
    assert_eq!(status, 1, "Locust ends with 1 where requests failed");
    let mut failed = 0;
    for worker in workers {
        let (status, out, err) = worker.end();
        assert_eq!(status, 97, "a run without a valid response is none: {err}");
        let [record] = &records(&out)[..] else { panic!("one test: {out}") };
        assert_eq!(record["requests"]["completed"], 0);
        failed += record["requests"]["failed"].as_u64().unwrap();
    }
    assert_eq!(failed, REFUSED);
    let stats = fs::read_to_string(folder.path("out_stats.csv")).unwrap();
    assert_eq!((cell(&stats, "Request Count"), cell(&stats, "Failure Count")), (failed, failed), "{stats}");
    assert!(stats.contains("a page that is not there"), "{stats}");
    let failures = fs::read_to_string(folder.path("out_failures.csv")).unwrap();
    assert!(failures.contains("unexpected status"), "{failures}");
    assert!(
        failures.contains(&format!(",{failed},")) || failures.contains(&format!(",{failed}\n")),
        "{failures}"
    );
}

#[test]
fn a_host_that_no_worker_can_load_is_told_on_the_page_and_the_next_one_is_loaded() {
    let (folder, server) = (Desk::new("hosts"), Server::start());
    let (port, web) = free_ports();
    let web_port = web.to_string();
    let (page, master) =
        (Page(web), master(&folder, port, &["--web-host", "127.0.0.1", "--web-port", &web_port]));
    let workers = workers(&folder, port, |_| ["/plaintext", "--think", "20ms"].map(str::to_owned).to_vec());
    page.wait_for_workers();
    let hosts = [
        (
            format!("ws://{}", server.address),
            "users that come and go speak HTTP/1.1: write an http:// or https:// URL",
        ),
        (format!("htp://{}", server.address), "htp"),
        ("http://nobody.invalid".to_owned(), "nobody.invalid"),
    ];
    for (host, why) in hosts {
        page.swarm_at(3, &host);
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = page.curl("/exceptions", None).unwrap();
            let exceptions = answer["exceptions"].as_array().unwrap();
            let of_it = exceptions.iter().filter(|exception| {
                let text = exception["msg"].as_str().unwrap();
                text.starts_with("the test cannot begin: ") && text.contains(why) && !text.contains('\n')
            });
            // One for each worker, or one of all that says how often.
            if of_it.filter_map(|exception| exception["count"].as_u64()).sum::<u64>() >= 3 {
                break;
            }
            assert!(Instant::now() < end, "{host}: {answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
        page.stop();
        page.wait_for_workers();
    }
    // One that refuses connections may listen later: each attempt is a failure.
    page.swarm_at(3, &format!("http://{}", nobody()));
    page.wait("failures are told", |stats| total(stats, "num_failures") > 3);
    page.stop();
    page.wait_for_workers();
    page.swarm(3, &server);
    page.wait_for_users(3, 0);
    page.stop();
    page.wait_for_workers();
    master.signal(Signal::TERM);
    for worker in workers {
        let (status, out, err) = worker.end();
        assert!(err.matches("the test cannot begin").count() >= 3, "{err}");
        assert_eq!(status, 97, "a test without a valid response is none: {out}");
        let [refused, loaded] = &records(&out)[..] else {
            panic!("the tests that did not begin have no record: {out}")
        };
        assert!(refused["errors_total"].as_u64() > Some(0) && completed(loaded) > 0, "{out}");
    }
}

#[test]
fn a_worker_that_vanishes_is_missed_and_one_that_ends_leaves_its_users_to_the_others() {
    let (folder, server) = (Desk::new("vanishing"), Server::start());
    let (port, web) = free_ports();
    let web_port = web.to_string();
    let (page, master) =
        (Page(web), master(&folder, port, &["--web-host", "127.0.0.1", "--web-port", &web_port]));
    let mut workers =
        workers(&folder, port, |_| ["/plaintext", "--think", "20ms"].map(str::to_owned).to_vec());
    let mut next = || workers.pop().expect("there are three");
    page.wait_for_workers();
    page.swarm(9, &server);
    page.wait_for_users(9, 0);

    let vanishes = next();
    vanishes.signal(Signal::KILL);
    let _ = vanishes.end();
    let stats = page.wait("it is missed", |stats| {
        let workers = stats["workers"].as_array().unwrap();
        workers.iter().filter(|worker| worker["state"] == "missing").count() == 1
    });
    page.wait_for_users(6, total(&stats, "num_requests"));

    let (ends, stays) = (next(), next());
    ends.signal(Signal::TERM);
    let (status, out, err) = ends.end();
    expect_told(Some(status), 0, &out, &err);
    // What was under way had a quarter of a second, so some of it may be unanswered.
    assert!(records(&out)[0]["requests"]["completed"].as_u64() > Some(0), "{out}");
    page.wait_for_users(9, 0);
    page.stop();
    page.wait("the test stops", |stats| stats["state"] == "stopped");
    master.signal(Signal::TERM);
    let (status, out, err) = stays.end();
    expect_told(Some(status), 0, &out, &err);
    let [record] = &records(&out)[..] else { panic!("one test: {out}") };
    assert_eq!(record["conditions"]["connections"], 9, "those of the others as well");
}

#[test]
fn what_is_no_master_is_told_in_one_line() {
    let server = Server::start();
    let address = server.address.to_string();
    let ended = covet_bench(&["worker", "--master", &address]).output().unwrap();
    let line = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{line}");
    assert!(line.contains("is no master of Locust: the peer does not speak ZeroMQ"), "{line}");

    let (port, _) = free_ports();
    let nobody = format!("127.0.0.1:{port}");
    let ended = covet_bench(&["worker", "--master", &nobody, "--patience", "1s"]).output().unwrap();
    let line = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{line}");
    assert!(line.contains("nothing was heard of the master for 1s: cannot connect"), "{line}");

    let ended = covet_bench(&["worker", "--master", &nobody, "-d", "5s"]).output().unwrap();
    let line = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{line}");
    assert!(line.contains("--duration is not a worker's"), "{line}");
}
