//! `covet-bench slow-clients`: a server that slow clients slow down is told, and too little tells nothing.

mod judging;
mod load_servers;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use judging::{cores, fails_in_one_line, run};
use load_servers::{OK, Server};

/// Answers late while anybody is in the middle of a head.
fn server_that_minds() -> Server {
    let slow = Arc::new(AtomicUsize::new(0));
    Server::start(move |mut stream| {
        let (mut received, mut buffer, mut is_slow) = (Vec::new(), [0; 4096], false);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            received.extend_from_slice(&buffer[..count]);
            if !received.ends_with(b"\r\n\r\n") {
                if !std::mem::replace(&mut is_slow, true) {
                    slow.fetch_add(1, Ordering::SeqCst);
                }
                continue;
            }
            received.clear();
            if slow.load(Ordering::SeqCst) > 0 {
                std::thread::sleep(Duration::from_millis(300));
            }
            if stream.write_all(OK).is_err() {
                break;
            }
        }
        slow.fetch_sub(usize::from(is_slow), Ordering::SeqCst);
    })
}

fn words(arguments: &str) -> Vec<&str> {
    arguments.split(' ').collect()
}

#[test]
fn a_server_that_slow_clients_slow_down_is_told() {
    if cores() < 2 {
        return;
    }
    let server = server_that_minds();
    let url = format!("http://{}/path", server.url().host_field());
    let arguments = format!(
        "slow-clients --url {url} --clients 20 -c 8 --load 0.05 --pairs 20 --slices 1 --slice 400ms --standstill 10s"
    );
    let output = run(&words(&arguments));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(99), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("with 20 slow clients over without"), "{text}");
    assert!(text.contains("of 20 pairs") && text.contains("LONGER by more than 10 %"), "{text}");
}

#[test]
fn too_few_pairs_tell_nothing() {
    if cores() < 2 {
        fails_in_one_line(&run(&words("slow-clients --pairs 2")), 2, &["two cores or more"]);
        return;
    }
    let output = run(&words("slow-clients --clients 10 -c 2 --load 0.1 --pairs 2 --slices 1 --slice 50ms"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(98), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.contains("cannot tell whether within 10 %") && text.contains("an interval takes 20"),
        "{text}"
    );
    fails_in_one_line(&run(&words("slow-clients --pairs 0")), 2, &["nothing would be measured"]);
    fails_in_one_line(&run(&words("slow-clients --url https://127.0.0.1:1/")), 2, &["plain HTTP", "http://"]);
    let many = &["need 20000000128 open files", "ulimit -n 20000000128"];
    fails_in_one_line(&run(&words("slow-clients --clients 10000000000")), 1, many);
}

/// No machine is that still. The rule holds on both sides, whatever they measured.
#[test]
fn slices_in_which_the_machine_stood_still_are_left_out_on_either_side() {
    if cores() < 2 {
        return;
    }
    let output = run(&words(
        "slow-clients --clients 10 -c 2 --load 0.1 --pairs 2 --slices 2 --slice 50ms --standstill 0ms",
    ));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(98), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let none = text.contains("0 of 4 with, 0 of 4 without");
    assert!(none || text.contains("no slice is left out"), "{text}");
}
