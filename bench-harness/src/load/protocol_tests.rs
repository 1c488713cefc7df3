//! The loop under a protocol whose peer changes how many exchanges may be under way, as HTTP/2's SETTINGS do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::*;
use crate::load::conduct::run_with;
use crate::load::generator::generate;
use crate::load::{Extent, LoadPlan, NoProgress, TargetUrl, allowed_cpus};
use crate::record::LoopModel;

/// Requests are `?`; answers are `!`, and a digit is how many requests may be under way from now on.
struct Digits(u64);

impl Protocol for Digits {
    type Shared = ();

    const FRAMES: bool = true;
    const STATUS: bool = false;
    const ECHOES: bool = false;
    const SLOTS_VARY: bool = true;
    const FAREWELL: bool = false;

    fn begin(_: &Traffic, _: &mut Random, _: &mut Vec<u8>) -> Self {
        Self(1)
    }

    fn establish(&mut self, _: &[u8]) -> Result<bool, ReadError> {
        Ok(true)
    }

    fn slots(&self, depth: u64) -> u64 {
        self.0.min(depth)
    }

    fn frame(out: &mut Vec<u8>, start: usize, _: &mut Random) -> u32 {
        out.truncate(start);
        out.push(b'?');
        0
    }

    fn receive(
        &mut self,
        bytes: &[u8],
        _: &mut (),
        _: &Traffic,
        mut on_answer: impl FnMut(u64, Answer) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for byte in bytes {
            match byte {
                b'!' => on_answer(0, Answer { status: 0, body: 0, mark: 0, keep_alive: true })?,
                digit => self.0 = u64::from(digit - b'0'),
            }
        }
        Ok(())
    }

    fn owes_reply(&self) -> bool {
        false
    }

    fn reply(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn is_inside(&self) -> bool {
        false
    }

    fn finish(&mut self) -> Option<Answer> {
        None
    }

    fn farewell(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn part(&mut self, _: &[u8]) -> bool {
        true
    }
}

/// What is said, and how many requests are to follow it.
type Line = (&'static [u8], usize);

/// Says each line, and tells how many requests came for it: those that are to, or none within a long time, and any more
/// within a short one.
fn converse(mut stream: TcpStream, lines: &[Line], told: &Sender<usize>) {
    let mut buffer = [0; 64];
    for (line, expected) in lines {
        stream.write_all(line).unwrap();
        let mut seen = 0;
        loop {
            let patience =
                if seen < *expected { Duration::from_secs(20) } else { Duration::from_millis(150) };
            stream.set_read_timeout(Some(patience)).unwrap();
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => seen += count,
                _ => break,
            }
        }
        told.send(seen).unwrap();
    }
    // What is left is answered, so that the run can end.
    let left = lines.iter().map(|(_, requests)| requests).sum::<usize>()
        - lines.iter().flat_map(|(line, _)| *line).filter(|byte| **byte == b'!').count();
    let _ = stream.write_all(&b"!".repeat(left));
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let _ = stream.write_all(&b"!".repeat(count));
    }
}

fn requests_between(loop_model: LoopModel, lines: &'static [Line]) -> Vec<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (told, requests) = channel();
    let server = std::thread::spawn(move || converse(listener.accept().unwrap().0, lines, &told));
    let plan = LoadPlan {
        connections: 1,
        pipeline: 8,
        loop_model,
        warmup: Duration::ZERO,
        timeout: Duration::from_secs(30),
        extent: Extent { duration: None, requests: Some(20) },
        ..LoadPlan::closed(
            TargetUrl::parse(&format!("http://{address}/")).unwrap(),
            vec![*allowed_cpus().last().unwrap()],
        )
    };
    let record = run_with(&plan, &NoProgress, |runtime, job, core, events| {
        runtime.block_on(generate::<Digits>(job.clone(), core, events))
    })
    .unwrap();
    assert_eq!((record.completed, record.errors.total()), (20, 0), "{}", record.to_text());
    server.join().unwrap();
    requests.iter().collect()
}

/// One may be under way; then three and four; then fewer than there are, and as these end one more; then eight.
const LINES: &[Line] = &[(b"", 1), (b"3", 2), (b"4", 1), (b"2!", 0), (b"!", 0), (b"!", 1), (b"8!", 7)];

#[test]
fn what_a_peer_allows_is_kept_full_and_never_exceeded() {
    let expected: Vec<usize> = LINES.iter().map(|(_, requests)| *requests).collect();
    for loop_model in [LoopModel::Closed, LoopModel::Open { rate: 2000.0 }] {
        assert_eq!(requests_between(loop_model, LINES), expected, "{loop_model:?}");
    }
}
