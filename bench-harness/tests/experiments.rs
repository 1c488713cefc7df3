//! What is made of several runs, and the instrument's checks of itself, as their users meet them.

mod disturbed;
mod folder;
mod null;
mod schema;

use std::net::TcpListener;
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use covet_bench::experiment::Bench;
use covet_http::server::{Config, serve};
use covet_router::Router;
use disturbed::{expect_status, in_three_tries};
use folder::Folder;
use null::Null;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_covet-bench");

fn bench(arguments: &[&str]) -> Output {
    Command::new(BENCH).args(arguments).output().expect("the binary runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_server_that_is_much_slower_is_found_worse() {
    let (fast, slow) = (Null::start(&["--delay", "4ms"]), Null::start(&["--delay", "24ms"]));
    // With three pairs one run that loses half of its window to something else leaves the interval open (t = 4.3 on two
    // degrees of freedom); with six it does not.
    let sides = ["ab", "--a", &fast.url, "--b", &slow.url, "--pairs", "6", "--output-format", "json"];
    let folder = Folder::new("ab");
    let path = folder.path("ab.html");
    let load = ["-c", "4", "-d", "400ms", "--warmup", "50ms", "--html", &path];
    let output = bench(&[&sides[..], &load].concat());
    let page = std::fs::read_to_string(&path).expect("the page is written");
    for part in ["Shift of each percentile", "Latency by percentile", "is slower", "Finding", "Guards"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.len() < 300_000 && !page.contains("<script"), "{}", page.len());
    let result = json(&output);
    schema::check("ab-1", &result);
    let median = result["shift"].as_array().expect("a list").iter().find(|point| point["q"] == 0.5);
    assert!(median.expect("the runs bear it")["ratio"].as_f64() > Some(1.5), "{median:?}");
    let rate = &result["comparisons"][0];
    assert_eq!((&rate["metric"], &rate["finding"]), (&"rate".into(), &"worse".into()), "{rate}");
    let ratio = rate["ratio"]["estimate"].as_f64().expect("a number");
    assert!((0.04..0.8).contains(&ratio), "{ratio}");
    assert_eq!(result["a"].as_array().map(Vec::len), Some(6));
    expect_status(&output, 99);
}

#[test]
fn two_services_of_this_process_are_compared() {
    async fn quick() -> &'static str {
        "ok"
    }
    async fn slow() -> &'static str {
        covet_runtime::time::sleep(Duration::from_millis(30)).await;
        "ok"
    }
    let bench = Bench::new("/").pairs(2).connections(4).duration(Duration::from_millis(300));
    let outcome = bench
        .warmup(Duration::from_millis(50))
        .compare(
            |listener| serve(listener, Rc::new(Router::new().get("/", quick)), Config::default()),
            |listener| serve(listener, Rc::new(Router::new().get("/", slow)), Config::default()),
        )
        .expect("both serve");
    // Two pairs bear no narrow interval; how much slower is no question of chance.
    let ratio = outcome.comparisons[0].ratio.estimate;
    assert!(ratio < 0.7, "{outcome}");
    assert_eq!((outcome.pairs.a.len(), outcome.pairs.b.len()), (2, 2));
    assert!(outcome.pairs.b.iter().all(|run| run.errors.total() == 0), "{outcome}");
    let told = outcome.to_string();
    assert!(told.contains("2 pairs of runs, closed loop, 4 connections, depth 1, HTTP/1.1"), "{told}");
    assert!(outcome.finding("rate").is_some() && outcome.to_string().contains("rate   x0."), "{outcome}");
}

#[test]
fn a_server_against_itself_shows_what_the_machine_makes_of_nothing() {
    let null = Null::start(&["--delay", "5ms"]);
    let output = bench(&[
        "ab", "--a", &null.url, "--aa", "--pairs", "2", "-c", "4", "-d", "300ms", "--warmup", "50ms",
    ]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("over http://") && text.contains("between equals"), "{text}");
    assert!(text.contains("\n  closed loop, 4 connections, depth 1, "), "{text}");
    expect_status(&output, 0);
}

#[test]
fn pairs_are_made_at_the_same_time_on_cpus_of_their_own() {
    let (fast, slow) = (Null::start(&["--delay", "4ms"]), Null::start(&["--delay", "24ms"]));
    let sides = ["ab", "--a", &fast.url, "--b", &slow.url, "--pairs", "2", "--simultaneous"];
    let load = ["-c", "4", "-d", "300ms", "--warmup", "50ms", "--output-format", "json"];
    let output = bench(&[&sides[..], &load, &["--cpus", "0"]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("two generator CPUs"), "{output:?}");
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let begun = std::time::Instant::now();
    let result = json(&bench(&[&sides[..], &load, &["--cpus", "0,1"]].concat()));
    let ratio = result["comparisons"][0]["ratio"]["estimate"].as_f64().expect("a number");
    assert!((0.04..0.8).contains(&ratio), "{ratio}");
    let cpus = |side: &str, run: usize| result[side][run]["conditions"]["generator_cpus"].clone();
    for run in 0..2 {
        assert_ne!(cpus("a", run), cpus("b", run));
    }
    assert_ne!(cpus("a", 0), cpus("a", 1), "the halves take turns");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_highest_rate_of_a_known_capacity_is_found() {
    // Four connections that each wait 10 ms take 400 requests per second at most.
    let null = Null::start(&["--delay", "10ms"]);
    let search = ["max", &null.url, "--slo", "p90<80ms,errors<1%", "--min", "50", "--max", "1600"];
    let load =
        ["--precision", "15%", "-c", "4", "-d", "500ms", "--warmup", "100ms", "--output-format", "json"];
    let rate = |output: &Output| json(output)["found"]["rate"].as_f64();
    // On a busy machine the objectives fail below the capacity; above it they cannot hold.
    let output = in_three_tries(
        || bench(&[&search[..], &load].concat()),
        |output| rate(output).is_some_and(|rate| rate > 200.0),
    );
    let result = json(&output);
    schema::check("max-1", &result);
    let found = &result["found"];
    assert!(found["rate"].as_f64().is_none_or(|rate| rate < 420.0), "{found}");
    assert!(found["rate"].as_f64().is_some_and(|rate| rate > 100.0) || found["valid"] == false, "{found}");
    assert!(found["fails_at"].as_f64().is_some_and(|rate| rate <= 1600.0), "{found}");
    let attempts = found["attempts"].as_array().expect("attempts");
    let beyond = |attempt: &&Value| attempt["rate"].as_f64().is_some_and(|rate| rate > 450.0);
    assert!(
        attempts.len() > 2 && attempts.iter().filter(beyond).all(|attempt| attempt["held"] == false),
        "{found}"
    );
    expect_status(&output, if found["rate"].is_null() { 99 } else { 0 });
}

#[test]
fn latency_is_shown_over_the_rate() {
    let null = Null::start(&["--delay", "2ms"]);
    let sweep = ["rate", &null.url, "--rates", "400,100,200", "-c", "8", "-d", "400ms", "--warmup", "50ms"];
    let output = bench(&[&sweep[..], &["--output-format", "json"]].concat());
    let result = json(&output);
    schema::check("rate-1", &result);
    let rates: Vec<f64> =
        result["steps"].as_array().expect("steps").iter().filter_map(|step| step["rate"].as_f64()).collect();
    assert_eq!(rates, [100.0, 200.0, 400.0]);
    let kept_up =
        result["steps"].as_array().expect("steps").iter().filter(|step| step["kept_up"] == true).count();
    let law = &result["scalability"];
    assert!(kept_up < 3 || law.is_null() || law["single"].as_f64().is_some_and(|one| one > 0.0), "{law}");
    expect_status(&output, 0);
}

#[test]
fn a_server_is_started_anew_for_each_run() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let command = format!("{BENCH} null --listen {address} --cores {{cpus}}");
    let url = format!("http://{address}/");
    let run = ["run", &url, "--repeats", "3", "--server-cmd", &command, "--server-cpus", "0"];
    let load = ["-c", "4", "-d", "300ms", "--warmup", "50ms", "--output-format", "json"];
    let output = bench(&[&run[..], &load].concat());
    let result = json(&output);
    assert_eq!(result["schema"], "covet-bench.series/1");
    assert_eq!(result["runs"].as_array().map(Vec::len), Some(3));
    schema::check("series-1", &result);
    let rate = &result["summary"]["rate"];
    let bound = |name: &str| rate[name].as_f64().expect("a number");
    assert!(bound("lower") < bound("estimate") && bound("estimate") < bound("upper"), "{rate}");
    expect_status(&output, 0);

    let taken = TcpListener::bind(address).expect("the server has ended");
    let output = bench(&[&run[..], &load].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("accepts connections on"), "{output:?}");
    drop(taken);
}

#[test]
fn probes_are_part_of_the_result() {
    let null = Null::start(&["--delay", "5ms"]);
    let run = ["run", &null.url, "-c", "4", "-d", "500ms", "--warmup", "50ms", "--probes", "on"];
    let output = bench(&[&run[..], &["--server-cpus", "0", "--output-format", "json"]].concat());
    let result = json(&output);
    let achieved = result["rate"].as_f64().expect("a rate");
    // On one CPU there is no other for the null responder.
    if let Some(ceiling) = result["probes"]["ceiling_rate"].as_f64() {
        assert!(ceiling > 2.0 * achieved, "{ceiling} {achieved}");
    }
    assert!(result["probes"]["canary"]["count"].as_u64().is_some_and(|count| count > 3), "{result:#}");
    assert!(result["platform"]["hiccups"]["count"].as_u64().is_some_and(|count| count > 50));
    let names: Vec<&str> = result["guards"]
        .as_array()
        .expect("guards")
        .iter()
        .filter_map(|guard| guard["name"].as_str())
        .collect();
    for name in ["ceiling", "doubling", "canary", "hiccups", "preemption", "throttling", "network", "workers"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn the_instrument_checks_itself() {
    fn capacities(result: &Value) -> Vec<(f64, bool)> {
        let findings = result["checks"]["ceiling"].as_array().expect("findings").iter();
        findings
            .filter(|finding| finding["what"].as_str().is_some_and(|what| what.ends_with(": capacity")))
            .filter_map(|finding| {
                let rate = finding["found"].as_str()?.strip_suffix("/s")?.parse().ok()?;
                Some((rate, finding["noise"].is_string()))
            })
            .collect()
    }
    let checks = ["selfcheck", "clock", "stats", "ceiling", "--short", "--output-format", "json"];
    let result = in_three_tries(
        || json(&bench(&checks)),
        |result| capacities(result).iter().all(|(rate, _)| (186.0..202.0).contains(rate)),
    );
    schema::check("selfcheck-1", &result);
    // Nothing makes the server faster than it is; what else runs here may make it slower, which is then said.
    let capacities = capacities(&result);
    let known = |&(rate, noise): &(f64, bool)| rate < 206.0 && (rate > 120.0 || noise);
    assert!(capacities.len() == 2 && capacities.iter().all(known), "{capacities:?}");
    for name in ["clock", "stats"] {
        let findings = result["checks"][name].as_array().expect("findings");
        assert!(findings.iter().all(|finding| finding["agrees"] == true), "{findings:?}");
    }
}

#[test]
fn what_else_runs_on_the_cpu_of_the_responder_is_not_held_against_the_instrument() {
    let cpu = covet_bench::load::allowed_cpus()[0];
    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut only = CpuSet::new();
                only.set(cpu);
                sched_setaffinity(None, &only).expect("it is one of ours");
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let cpu = cpu.to_string();
        let ask = ["selfcheck", "ceiling", "--short", "--server-cpus", &cpu, "--output-format", "json"];
        let output = bench(&ask);
        done.store(true, Ordering::Relaxed);
        output
    });
    let result = json(&output);
    assert!(matches!(output.status.code(), Some(0 | 98)), "{result:#}");
    let findings = result["checks"]["ceiling"].as_array().expect("findings");
    for finding in findings.iter().filter(|finding| finding["agrees"] == false) {
        let noise = finding["noise"].as_str().expect("the machine was busy");
        assert!(noise.contains(", the responder "), "{noise}");
    }
}

#[test]
fn a_frozen_server_is_seen_and_a_frozen_generator_says_so() {
    // A quarter of the time: 250 ms of three seconds, so p99 is 220 ms.
    let stall = || {
        let result = json(&bench(&["selfcheck", "co", "--short", "--output-format", "json"]));
        let findings = result["checks"]["co"].as_array().expect("findings");
        let found = |what: &str| {
            let finding = findings.iter().find(|finding| finding["what"] == what).expect("it was looked at");
            finding["found"].as_str().expect("words").to_owned()
        };
        assert_eq!(found("generator stopped for 700 ms"), "exit status 97");
        let p99 = found("stall: response p99");
        p99.strip_suffix(" ms").and_then(|ms| ms.parse().ok()).expect("milliseconds")
    };
    let agrees = |p99: &f64| (p99 - 220.0).abs() < 60.0;
    let p99 = in_three_tries(stall, agrees);
    assert!(agrees(&p99), "{p99}");
}

#[test]
fn other_tools_lines_are_translated() {
    let output = bench(&["compat", "wrk", "--dry-run", "--", "-t1", "-c8", "-d1s", "http://127.0.0.1:9/"]);
    assert_eq!(output.status.code(), Some(0));
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(line.starts_with("covet-bench run http://127.0.0.1:9/ -t 1 -c 8 -d 1s"), "{line}");
    let output = bench(&["compat", "wrk", "--", "-s", "x.lua", "http://127.0.0.1:9/"]);
    assert_eq!(output.status.code(), Some(2));
    let null = Null::start(&[]);
    let output = bench(&["compat", "ab", "--", "-k", "-n", "200", "-c", "4", &null.url]);
    expect_status(&output, 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("200 valid responses"), "{output:?}");
}

#[test]
fn bad_shapes_are_told_in_one_line() {
    let url = "http://127.0.0.1:9/";
    let cases: [(&[&str], &str); 11] = [
        (&["--arrivals", "odd", "-R", "5"], "not an arrival process"),
        (&["--arrivals", "trace:/nowhere"], "trace /nowhere cannot be read"),
        (&["--stages", "5s:x"], "is not a stage"),
        (&["--arrivals", "poisson"], "of an open loop"),
        (&["--session", "5"], "--session needs the --rate"),
        (&["--urls", "/nowhere"], "URLs /nowhere cannot be read"),
        (&["-H", "X: {{what}}", "--template"], "is not a field"),
        (&["--requests-per-connection", "0"], "without a request"),
        (&["--think", "5ms", "-R", "100"], "closed loop"),
        (&["--scenario", "/nowhere"], "scenario /nowhere cannot be read"),
        (&["--think", "5ms", "--pipeline", "2"], "one request at a time"),
    ];
    for (arguments, part) in cases {
        let output = bench(&[&["run", url][..], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part) && text.trim_end().lines().count() == 1, "{arguments:?}: {text}");
    }
    let output = bench(&["max", url, "--slo", "p99<1s", "-R", "5"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--rate does not go with"), "{output:?}");
}
