//! Loads of other shapes than the plain ones, as servers see them.

mod load_servers;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use covet_bench::clock::{Arrivals, Delay, Stage};
use covet_bench::load::{
    Body, Expectation, Extent, Extraction, LoadPlan, LoadTest, NoProgress, Reach, RequestOptions, Target,
    TargetUrl, run,
};
use covet_bench::record::{GuardOutcome, LoopModel, RunRecord};
use covet_http::Method;
use load_servers::{OK, Server, assert_accounts_close, last_cpu, read_requests};

fn measure(plan: &LoadPlan) -> RunRecord {
    let record = run(plan, &NoProgress).expect("the run begins");
    assert_accounts_close(&record);
    record
}

/// What a server notes about its requests.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(Instant, String)>>>);

impl Seen {
    /// A server that notes when each request came, and its head.
    fn server(&self, answer: &'static [u8]) -> Server {
        let seen = self.0.clone();
        Server::start(move |mut stream: TcpStream| {
            let mut received = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) else { return };
                received.extend_from_slice(&buffer[..count]);
                while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&received[..end]).into_owned();
                    received.drain(..end + 4);
                    let body = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                    let length: usize = body.map_or(0, |length| length.parse().expect("a number"));
                    while received.len() < length {
                        let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) else {
                            return;
                        };
                        received.extend_from_slice(&buffer[..count]);
                    }
                    let body: Vec<u8> = received.drain(..length).collect();
                    let text = format!("{head}\n{}", String::from_utf8_lossy(&body));
                    let closing = text.contains("Connection: close");
                    seen.lock().expect("no holder panics").push((Instant::now(), text));
                    if stream.write_all(answer).is_err() || closing {
                        return;
                    }
                }
            }
        })
    }

    fn texts(&self) -> Vec<String> {
        self.0.lock().expect("no holder panics").iter().map(|(_, text)| text.clone()).collect()
    }

    fn gaps(&self) -> Vec<f64> {
        let mut times: Vec<Instant> =
            self.0.lock().expect("no holder panics").iter().map(|(at, _)| *at).collect();
        times.sort();
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }
}

fn url(server: &Server, path: &str) -> TargetUrl {
    let base = server.url().to_string();
    TargetUrl::parse(&format!("{}{path}", base.trim_end_matches("/path"))).expect("a URL")
}

#[test]
fn poisson_arrivals_come_at_the_rate_with_exponential_gaps() {
    let seen = Seen::default();
    let server = seen.server(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 500.0 },
        arrivals: Arrivals::Poisson,
        ..server.plan(64, 3000)
    };
    let record = measure(&plan);
    // 1,500 are due, give or take 39; the same seed makes the same number on every machine.
    let due = record.sent + record.queued_at_end;
    assert!((1350..=1650).contains(&due), "{}", record.to_text());
    let gaps = seen.gaps();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
    assert!((0.7..2.5).contains(&(deviation / mean)), "variation {}", deviation / mean);
}

#[test]
fn a_trace_is_played_as_it_was_recorded() {
    let path = std::env::temp_dir().join(format!("covet-trace-{}.txt", std::process::id()));
    std::fs::write(&path, "# three at once, and one much later\n0.2\n0.2\n0.2\n0.9\n")
        .expect("a directory to write to");
    let arrivals = Arrivals::parse(&format!("trace:{}", path.display())).expect("it is a trace");
    std::fs::remove_file(&path).expect("it is there");
    let seen = Seen::default();
    let server = seen.server(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 4.0 },
        arrivals,
        warmup: Duration::from_millis(100),
        ..server.plan(4, 1400)
    };
    let record = measure(&plan);
    assert_eq!((record.sent, record.completed, record.queued_at_end), (4, 4, 0), "{}", record.to_text());
    let gaps = seen.gaps();
    assert!(gaps[0] < 0.3 && gaps[1] < 0.3 && (0.3..1.1).contains(&gaps[2]), "{gaps:?}");
}

#[test]
fn bursts_come_at_once() {
    let seen = Seen::default();
    let server = seen.server(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 100.0 },
        arrivals: Arrivals::Bursty(25),
        warmup: Duration::from_millis(100),
        ..server.plan(30, 1050)
    };
    let record = measure(&plan);
    assert_eq!(record.sent + record.queued_at_end, 100, "bursts of 25 at 0.25, 0.5, 0.75 and 1 s");
    let long = seen.gaps().iter().filter(|&&gap| gap > 0.1).count();
    assert!((2..=6).contains(&long), "{long} gaps between five bursts");
}

#[test]
fn stages_change_the_rate_within_a_run() {
    let server = Server::answering(OK);
    let stage = |from, to| Stage { length: Duration::from_secs(1), from, to };
    let plan = LoadPlan {
        loop_model: LoopModel::Open { rate: 400.0 },
        stages: vec![stage(100.0, 100.0), stage(100.0, 900.0), stage(900.0, 300.0)],
        warmup: Duration::from_millis(300),
        ..server.plan(32, 3000)
    };
    let record = measure(&plan);
    let due = record.sent + record.queued_at_end;
    assert!(due.abs_diff(1200) < 30, "{}", record.to_text());
    let completed: Vec<u64> = record.intervals.iter().map(|interval| interval.completed).collect();
    assert!(completed[0] < 200 && completed[1] > completed[0], "{completed:?}");
    assert!(record.to_text().contains("in stages 1s:100,1s:100..900,1s:900..300"), "{}", record.to_text());
}

#[test]
fn a_closed_loop_that_thinks_follows_littles_law_with_the_think_time() {
    let server = Server::answering(OK);
    let think = Duration::from_millis(20);
    let plan = LoadPlan { think: Some(Delay::Exponential(think)), ..server.plan(20, 2000) };
    let record = measure(&plan);
    let cycle = think.as_secs_f64() + record.response.mean() / 1e9;
    let ideal = 20.0 / cycle;
    assert!((record.rate() / ideal - 1.0).abs() < 0.15, "{} /s, ideal {ideal}", record.rate());
    assert_eq!(record.lateness.as_ref().expect("thinking has a time to go on").len(), record.sent);
    assert!((record.little_closure - 1.0).abs() < 0.1, "{}", record.to_text());
}

#[test]
fn sessions_arrive_at_the_rate_and_bring_their_requests() {
    let server = Server::answering(OK);
    let plan = LoadPlan {
        loop_model: LoopModel::PartlyOpen { rate: 100.0, requests: 5 },
        think: Some(Delay::Constant(Duration::from_millis(5))),
        ..server.plan(40, 2000)
    };
    let record = measure(&plan);
    assert!((600..=1010).contains(&record.sent), "200 sessions of 5: {}", record.to_text());
    assert!(record.errors.total() == 0 && record.queued_at_end == 0, "{}", record.to_text());
    assert!(
        record.to_text().contains("partly open loop of 100 sessions/s with 5 requests"),
        "{}",
        record.to_text()
    );
    let closure = record.guards().into_iter().find(|guard| guard.name == "closure").expect("it applies");
    assert_eq!(closure.outcome, GuardOutcome::Passed, "{closure:?}");
}

#[test]
fn connections_are_closed_after_their_number_of_requests() {
    let seen = Seen::default();
    let polite = seen.server(OK);
    let plan = LoadPlan {
        requests_per_connection: Some(4),
        extent: Extent { duration: None, requests: Some(200) },
        ..polite.plan(5, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (200, 0), "{}", record.to_text());
    assert!(polite.accepted() >= 50, "{}", polite.accepted());
    let closing = seen.texts().iter().filter(|text| text.contains("Connection: close")).count();
    assert!((46..=50).contains(&closing), "every fourth request of a connection ends it: {closing}");
    assert_eq!(record.reconnects, 0, "they were opened again by plan");
    assert!(record.connect.len() >= 50, "{}", record.connect.len());

    // A server that takes no notice.
    let stubborn = Server::answering(OK);
    let plan = LoadPlan { pipeline: 3, ..LoadPlan { connections: 2, ..plan.clone() } };
    let record = measure(&LoadPlan { url: stubborn.url(), ..plan });
    assert_eq!((record.completed, record.errors.total()), (200, 0), "{}", record.to_text());
    assert!(stubborn.accepted() >= 50, "{}", stubborn.accepted());
}

#[test]
fn new_connections_come_no_faster_than_asked() {
    let server = Server::answering(OK);
    let plan =
        LoadPlan { requests_per_connection: Some(1), connection_rate: Some(100.0), ..server.plan(10, 1500) };
    let record = measure(&plan);
    assert!((60..=155).contains(&record.opened), "{}", record.to_text());
    assert!(server.accepted() <= 175, "{}", server.accepted());
}

#[test]
fn a_mix_comes_by_its_weights_and_each_kind_keeps_its_length() {
    let seen = Seen::default();
    let server = seen.server(OK);
    let target = |weight, path: &str| Target {
        weight,
        url: url(&server, path),
        request: RequestOptions::default(),
        extract: Vec::new(),
    };
    let plan = LoadPlan {
        mix: vec![target(1.0, "/a"), target(4.0, "/b")],
        extent: Extent { duration: None, requests: Some(2000) },
        pipeline: 3,
        ..server.plan(4, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (2000, 0), "{}", record.to_text());
    let first = seen.texts().iter().filter(|text| text.starts_with("GET /a ")).count();
    assert!((320..=480).contains(&first), "{first} of 2000");
}

#[test]
fn lengths_are_compared_within_each_kind() {
    let server = Server::start(|mut stream| {
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) else { return };
            received.extend_from_slice(&buffer[..count]);
            while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                let long = received.starts_with(b"GET /long");
                received.drain(..end + 4);
                let body = if long { "a long answer" } else { "short" };
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
    });
    let target = |path: &str| Target {
        weight: 1.0,
        url: url(&server, path),
        request: RequestOptions::default(),
        extract: Vec::new(),
    };
    let plan = LoadPlan {
        mix: vec![target("/long"), target("/short")],
        extent: Extent { duration: None, requests: Some(500) },
        pipeline: 4,
        ..server.plan(2, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (500, 0), "{}", record.to_text());
}

#[test]
fn every_request_of_a_template_is_another() {
    let seen = Seen::default();
    let server = seen.server(OK);
    let request = RequestOptions {
        method: Method::POST,
        fields: vec![("X-Id".to_owned(), "{{uuid}}".to_owned())],
        body: Body::Bytes(b"{\"n\":{{seq}},\"r\":\"{{hex:{}}}\"}".to_vec().into()),
        template: true,
    };
    let refused = run(&LoadPlan { request: request.clone(), ..server.plan(2, 100) }, &NoProgress);
    assert!(refused.expect_err("hex:{} is no field").to_string().contains("is not a field"));
    let request =
        RequestOptions { body: Body::Bytes(b"n={{seq}}&r={{random:1..9}}".to_vec().into()), ..request };
    let plan = LoadPlan {
        url: url(&server, "/item/{{seq}}"),
        request,
        extent: Extent { duration: None, requests: Some(300) },
        pipeline: 2,
        ..server.plan(3, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (300, 0), "{}", record.to_text());
    let texts = seen.texts();
    let paths: HashSet<&str> = texts.iter().filter_map(|text| text.split(' ').nth(1)).collect();
    assert_eq!(paths.len(), 300, "each has a number of its own");
    for text in &texts {
        let number = text.split(' ').nth(1).and_then(|path| path.strip_prefix("/item/")).expect("a path");
        assert!(text.contains(&format!("\nn={number}&r=")), "{text}");
    }
}

#[test]
fn a_session_sends_what_it_was_told_before() {
    let tokens = Arc::new(Mutex::new(HashSet::new()));
    let issued = tokens.clone();
    let server = Server::start(move |mut stream| {
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) else { return };
            received.extend_from_slice(&buffer[..count]);
            while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&received[..end]).into_owned();
                received.drain(..end + 4);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = if let Some(number) = path.strip_prefix("/login/") {
                    let token = format!("t{number}x");
                    issued.lock().expect("no holder panics").insert(token.clone());
                    (200, format!("{{\"auth\":{{\"token\":\"{token}\"}}}}"))
                } else {
                    let token = head.lines().find_map(|line| line.strip_prefix("Authorization: "));
                    let known = issued.lock().expect("no holder panics").contains(token.unwrap_or_default());
                    (if known { 200 } else { 403 }, "me".to_owned())
                };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                );
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
    });
    let template = |fields: &[(&str, &str)]| RequestOptions {
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        template: true,
        ..RequestOptions::default()
    };
    let step =
        |path: &str, request, extract| Target { weight: 1.0, url: url(&server, path), request, extract };
    let token = Extraction::parse("token", "json:/auth/token").expect("it says where");
    let steps = vec![
        step("/login/{{seq}}", template(&[]), vec![token]),
        step("/me", template(&[("Authorization", "{{value:token}}")]), Vec::new()),
        step("/me?again", template(&[("Authorization", "{{value:token}}")]), Vec::new()),
    ];
    let plan = LoadPlan {
        mix: steps.clone(),
        scenario: true,
        expect: Expectation { status: Some(200), same_length: false },
        extent: Extent { duration: None, requests: Some(300) },
        ..server.plan(4, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (300, 0), "{}", record.to_text());
    assert!(tokens.lock().expect("no holder panics").len() >= 98, "a third of the requests log in");

    let open = LoadPlan {
        loop_model: LoopModel::PartlyOpen { rate: 50.0, requests: 3 },
        ..LoadPlan { extent: server.plan(1, 1000).extent, ..plan.clone() }
    };
    let record = measure(&open);
    assert!((75..=153).contains(&record.sent) && record.errors.total() == 0, "{}", record.to_text());

    let missing = Extraction::parse("token", "json:/none").expect("it says where");
    let lost = LoadPlan {
        mix: vec![step("/login/1", template(&[]), vec![missing]), steps[1].clone()],
        extent: Extent { duration: None, requests: Some(20) },
        ..plan
    };
    let record = measure(&lost);
    assert_eq!((record.errors.missing_value, record.errors.total()), (20, 20), "{}", record.to_text());

    let unknown = LoadPlan { mix: steps[1..].to_vec(), ..lost };
    let error = run(&unknown, &NoProgress).expect_err("no step takes out a token").to_string();
    assert!(error.contains("{{value:token}}"), "{error}");
}

#[test]
fn bodies_come_from_the_lines_of_a_file() {
    let path = std::env::temp_dir().join(format!("covet-bodies-{}", std::process::id()));
    std::fs::write(&path, "one\ntwo\nthree\n").expect("a directory to write to");
    let seen = Seen::default();
    let server = seen.server(OK);
    let mut plan = LoadPlan { extent: Extent { duration: None, requests: Some(90) }, ..server.plan(1, 0) };
    plan.request.method = Method::PUT;
    plan.request.body = Body::Lines(path.clone());
    let record = measure(&plan);
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!((record.completed, record.errors.total()), (90, 0), "{}", record.to_text());
    let texts = seen.texts();
    for body in ["one", "two", "three"] {
        assert_eq!(texts.iter().filter(|text| text.ends_with(&format!("\n{body}"))).count(), 30, "{body}");
    }
}

#[test]
fn a_server_on_a_unix_socket_is_loaded() {
    let path = std::env::temp_dir().join(format!("covet-load-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a free path");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let (mut stream, mut buffer) = (stream, [0; 4096]);
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    if stream.write_all(OK).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let url = TargetUrl::parse("http://example.org/x").expect("a URL");
    let plan = LoadPlan {
        reach: Reach { unix_socket: Some(path.clone()), ..Reach::default() },
        connections: 3,
        warmup: Duration::ZERO,
        canary: true,
        extent: Extent { duration: Some(Duration::from_millis(400)), requests: None },
        ..LoadPlan::closed(url, vec![last_cpu()])
    };
    let record = measure(&plan);
    std::fs::remove_file(&path).expect("it is there");
    assert!(record.completed > 50 && record.errors.total() == 0, "{}", record.to_text());
    assert!(record.probes.canary.as_ref().is_some_and(|canary| canary.len() > 3), "{}", record.to_text());
}

#[test]
fn connections_lead_elsewhere_and_come_from_several_addresses() {
    let peers = Arc::new(Mutex::new(HashSet::new()));
    let hosts = Arc::new(Mutex::new(HashSet::new()));
    let (from, named) = (peers.clone(), hosts.clone());
    let server = Server::start(move |mut stream| {
        let peer = stream.peer_addr().expect("it is connected").ip();
        from.lock().expect("no holder panics").insert(peer);
        let mut buffer = [0; 4096];
        while let Some(count) = stream.read(&mut buffer).ok().filter(|&count| count > 0) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let host =
                text.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default().to_owned();
            named.lock().expect("no holder panics").insert(host);
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    });
    let here = server.url();
    let local: Vec<IpAddr> =
        ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|ip| ip.parse().expect("an address")).to_vec();
    let plan = LoadPlan {
        url: TargetUrl::parse("http://service.invalid/x").expect("a URL"),
        reach: Reach {
            connect_to: Some((here.host().to_owned(), here.port())),
            local: local.clone(),
            ..Reach::default()
        },
        ..server.plan(6, 300)
    };
    let record = measure(&plan);
    assert!(record.completed > 50 && record.errors.total() == 0, "{}", record.to_text());
    assert_eq!(*peers.lock().expect("no holder panics"), local.into_iter().collect());
    assert_eq!(*hosts.lock().expect("no holder panics"), HashSet::from(["service.invalid".to_owned()]));
    assert!(record.to_text().contains("connected to 127.0.0.1:"), "{}", record.to_text());
}

#[test]
fn the_first_byte_comes_before_the_rest() {
    let server = Server::start(|mut stream| {
        let mut received = Vec::new();
        while let Some(requests) = read_requests(&mut stream, &mut received) {
            for _ in 0..requests {
                let (head, body) = OK.split_at(OK.len() - 2);
                if stream.write_all(head).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(40));
                if stream.write_all(body).is_err() {
                    return;
                }
            }
        }
    });
    let record = measure(&server.plan(4, 1000));
    assert!(record.errors.total() == 0 && record.completed > 20, "{}", record.to_text());
    assert_eq!(record.first_byte.len(), record.service.len());
    let whole = record.service.quantile(0.5);
    let first = record.first_byte.quantile(0.5);
    assert!(first + Duration::from_millis(15) < whole, "{first:?} {whole:?}");
}

#[test]
fn requests_that_a_reset_cut_off_are_kept_with_their_age() {
    let server = Server::start(|mut stream| {
        let mut received = Vec::new();
        if read_requests(&mut stream, &mut received).is_some() {
            thread::sleep(Duration::from_millis(30));
        }
    });
    let record = measure(&server.plan(2, 500));
    assert!(record.cut_off > 2 && record.completed == 0, "{}", record.to_text());
    assert_eq!(record.censored.len(), record.cut_off + record.in_flight_at_end);
    assert!(record.censored.quantile(0.5) >= Duration::from_millis(29), "{}", record.to_text());
}

#[test]
fn a_load_test_is_built_in_a_few_words() {
    let server = Server::answering(OK);
    let record = LoadTest::new(server.url().to_string())
        .rate(300.0)
        .connections(8)
        .duration(Duration::from_millis(700))
        .warmup(Duration::from_millis(100))
        .cpus([last_cpu()])
        .run()
        .expect("the run begins");
    assert_accounts_close(&record);
    assert!((100..=215).contains(&record.completed), "{}", record.to_text());
    let error = LoadTest::new("nonsense").run().expect_err("it is no URL").to_string();
    assert!(error.contains("write http://nonsense"), "{error}");
}
