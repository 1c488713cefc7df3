//! The example of a core inside tokio, which echoes three times.

#![cfg(feature = "tokio-rt")]

#[path = "../examples/inside_tokio.rs"]
#[expect(dead_code, reason = "its main is not called here")]
mod inside_tokio;

#[test]
fn a_core_of_ours_answers_a_client_of_tokios_on_one_thread() {
    let mut lines = Vec::new();
    inside_tokio::run(|line| lines.push(line)).unwrap();
    let round = |round| format!("round {round}: \"hello over tokio\"");
    assert_eq!(lines, [round(1), round(2), round(3), "the core echoed 48 bytes".to_owned()]);
}
