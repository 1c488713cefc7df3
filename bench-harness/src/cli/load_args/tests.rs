use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    load: LoadArgs,
}

fn plan(line: &str) -> anyhow::Result<LoadPlan> {
    let words = std::iter::once("load").chain(line.split_whitespace());
    Line::try_parse_from(words)?.load.plan("http://127.0.0.1:1/")
}

#[test]
fn stages_give_the_length_and_the_mean_rate() {
    let plan = plan("--stages 10s:1k,10s:1k..3k").unwrap();
    assert_eq!(plan.extent.duration, Some(Duration::from_secs(20)));
    assert_eq!(plan.loop_model, LoopModel::Open { rate: 1500.0 });
}

#[test]
fn the_loop_follows_from_rate_and_session() {
    assert_eq!(plan("").unwrap().loop_model, LoopModel::Closed);
    assert_eq!(
        plan("-R 1k --session 5 --think exp:2ms").unwrap().loop_model,
        LoopModel::PartlyOpen { rate: 1000.0, requests: 5 }
    );
    assert!(plan("--session 5").unwrap_err().to_string().contains("--rate"));
    assert_eq!(plan("-n 5k").unwrap().extent, Extent { duration: None, requests: Some(5000) });
}

#[test]
fn a_warm_up_has_a_length_or_a_longest() {
    let of = |line: &str| plan(line).map(|plan| (plan.warmup, plan.steady_within)).unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(of(""), (seconds(1), None));
    assert_eq!(of("--warmup 5s"), (seconds(5), None));
    assert_eq!(of("--warmup auto"), (seconds(0), Some(seconds(30))));
    assert_eq!(of("--warmup auto:2m"), (seconds(0), Some(seconds(120))));
    assert!(plan("--warmup automatic").is_err() && plan("--warmup auto:x").is_err());
}

#[test]
fn a_body_is_posted_unless_a_method_is_given() {
    let of = |line: &str| plan(line).unwrap().request.method;
    assert_eq!(of(""), Method::GET);
    assert_eq!(of("--body x"), Method::POST);
    assert_eq!(of("--body-file /proc/self/status"), Method::POST);
    assert_eq!(of("--body-lines /proc/self/status"), Method::POST);
    assert_eq!(of("--body-file /dev/null"), Method::GET);
    assert_eq!(of("--body x -X GET"), Method::GET);
    assert_eq!(of("--body x -X PUT"), Method::PUT);
    assert_eq!(of("-X DELETE"), Method::DELETE);
    let line = Line::try_parse_from(["load", "--body", "x"]).unwrap();
    assert_eq!(line.load.plan("ws://127.0.0.1:1/").unwrap().request.method, Method::GET, "it is a message");
}

#[test]
fn hosts_come_with_ports() {
    assert_eq!(host_port("[::1]:80"), Ok(("::1".to_owned(), 80)));
    assert_eq!(host_port("a.b:81"), Ok(("a.b".to_owned(), 81)));
    for text in ["a", "a:", ":80", "a:0", "a:x"] {
        assert!(host_port(text).is_err(), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "--arrivals odd",
        "--arrivals trace:/nowhere",
        "--stages 5",
        "--urls /nowhere",
        "--body-file /nowhere",
    ] {
        let error = plan(line).unwrap_err();
        assert_eq!(super::super::exit::status_of(&error), Exit::Usage, "{line}: {error}");
    }
}
