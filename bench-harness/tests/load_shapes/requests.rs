//! What requests are made of: mixes, templates, bodies.

use std::collections::HashSet;

use covet_bench::load::{Body, Extent, LoadPlan, NoProgress, RequestOptions, Target, run};
use covet_http::Method;

use crate::folder::Folder;
use crate::load_servers::{OK, Server, measure, ok};
use crate::seen::Seen;
use crate::url;

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
    // 400 with a standard deviation of 18.
    assert!((346..=454).contains(&first), "{first} of 2000");
}

#[test]
fn lengths_are_compared_within_each_kind() {
    let server = Server::per_text(|text| {
        Some(ok(if text.starts_with("GET /long") { "a long answer" } else { "short" }))
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
fn bodies_come_from_the_lines_of_a_file() {
    let folder = Folder::new("bodies");
    let path = folder.0.join("bodies");
    std::fs::write(&path, "one\ntwo\nthree\n").expect("a directory to write to");
    let seen = Seen::default();
    let server = seen.server(OK);
    let mut plan = LoadPlan { extent: Extent { duration: None, requests: Some(90) }, ..server.plan(1, 0) };
    plan.request.method = Method::PUT;
    plan.request.body = Body::Lines(path);
    let record = measure(&plan);
    assert_eq!((record.completed, record.errors.total()), (90, 0), "{}", record.to_text());
    let texts = seen.texts();
    for body in ["one", "two", "three"] {
        assert_eq!(texts.iter().filter(|text| text.ends_with(&format!("\n{body}"))).count(), 30, "{body}");
    }
}
