//! Sessions whose requests need what earlier answers said.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use covet_bench::load::{Expectation, Extent, Extraction, LoadPlan, NoProgress, RequestOptions, Target, run};
use covet_bench::record::LoopModel;

use crate::load_servers::{Server, held_up, measure, read_text};
use crate::url;

fn path(text: &str) -> &str {
    text.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn a_session_sends_what_it_was_told_before() {
    let tokens = Arc::new(Mutex::new(HashSet::new()));
    let issued = tokens.clone();
    let server = Server::per_text(move |text| {
        let (status, body) = if let Some(number) = path(text).strip_prefix("/login/") {
            let token = format!("t{number}x");
            issued.lock().expect("no holder panics").insert(token.clone());
            (200, format!("{{\"auth\":{{\"token\":\"{token}\"}}}}"))
        } else {
            let token = text.lines().find_map(|line| line.strip_prefix("Authorization: "));
            let known = issued.lock().expect("no holder panics").contains(token.unwrap_or_default());
            (if known { 200 } else { 403 }, "me".to_owned())
        };
        let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
        Some(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes())
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
    let due = (150.0 * (record.elapsed + held_up(&record)).as_secs_f64()) as u64;
    assert!((75..=due + 3).contains(&record.sent) && record.errors.total() == 0, "{}", record.to_text());

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
fn a_session_hears_answers_that_last_until_the_connection_ends() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let server = Server::start(move |mut stream| {
        let Some(text) = read_text(&mut stream, &mut Vec::new()) else { return };
        let mut noted = noted.lock().expect("no holder panics");
        noted.push(path(&text).to_owned());
        // The fifth is refused, and its session begins again.
        let status = if noted.len() == 5 { 500 } else { 200 };
        let answer = format!("HTTP/1.0 {status} X\r\n\r\nnumber <{}>", noted.len());
        let _ = stream.write_all(answer.as_bytes());
    });
    let number = Extraction::parse("number", "between:<..>").expect("it says where");
    let step = |at: &str, extract| Target {
        weight: 1.0,
        url: server.url().at(at).expect("a path"),
        request: RequestOptions { template: true, ..RequestOptions::default() },
        extract,
    };
    let plan = LoadPlan {
        mix: vec![step("/a", vec![number]), step("/b/{{value:number}}", Vec::new()), step("/c", Vec::new())],
        scenario: true,
        expect: Expectation { status: Some(200), same_length: false },
        extent: Extent { duration: None, requests: Some(8) },
        ..server.plan(1, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.unexpected_status), (7, 1), "{}", record.to_text());
    assert_eq!(record.errors.total(), 1, "{}", record.to_text());
    let asked = asked.lock().expect("no holder panics");
    assert_eq!(asked[..8], ["/a", "/b/1", "/c", "/a", "/b/4", "/a", "/b/6", "/c"]);
}

#[test]
fn a_session_goes_where_it_is_sent() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let server = Server::per_text(move |text| {
        let mut noted = noted.lock().expect("no holder panics");
        noted.push(path(text).to_owned());
        let head = format!("HTTP/1.1 201 Created\r\nLocation: /there/{}?x\r\n", noted.len());
        Some(format!("{head}Content-Length: 0\r\n\r\n").into_bytes())
    });
    let next = Extraction::parse("next", "header:Location").expect("it says where");
    let step = |at: &str, extract| Target {
        weight: 1.0,
        url: server.url().at(at).expect("a path, or what is filled in"),
        request: RequestOptions { template: true, ..RequestOptions::default() },
        extract,
    };
    let plan = LoadPlan {
        mix: vec![step("/begin", vec![next]), step("{{value:next}}", Vec::new())],
        scenario: true,
        extent: Extent { duration: None, requests: Some(6) },
        ..server.plan(1, 0)
    };
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (6, 0), "{}", record.to_text());
    let asked = asked.lock().expect("no holder panics");
    assert_eq!(asked[..6], ["/begin", "/there/1?x", "/begin", "/there/3?x", "/begin", "/there/5?x"]);
    for at in ["x", "{x", "{{seq}}", "{{value:a b}}"] {
        assert!(server.url().at(at).is_err(), "{at}");
    }
}
