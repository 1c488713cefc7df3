//! A load test inside another program.

use std::time::Duration;

use covet_bench::load::LoadTest;

use crate::load_servers::{OK, Server, assert_accounts_close, held_up, last_cpu};

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
    let due = (300.0 * (record.elapsed + held_up(&record)).as_secs_f64()) as u64;
    assert!((160..=due + 5).contains(&record.completed), "{}", record.to_text());
    let error = LoadTest::new("nonsense").run().expect_err("it is no URL").to_string();
    assert!(error.contains("write http://nonsense"), "{error}");
}
