//! What a round that hangs leaves behind: its seed, the state of the driver, where the threads are.

use std::fmt::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::super::super::Driver;
use super::super::super::stream::Receive;

impl Driver {
    /// What is under way, for the report of a test that hangs.
    pub(in crate::ring) fn describe(&self) -> String {
        let mut text = format!(
            "in flight {}, slots {:?}, buffers {:?}, starved {}\n",
            self.in_flight(),
            self.slots(),
            self.recv_buffers(),
            self.starved.len()
        );
        for (index, slot) in &self.streams {
            let receives = slot.receive == Receive::Armed;
            let _ = writeln!(
                text,
                "stream {index}: fd {} held {} receives {receives} stopping {} starved {} missed {} sending {} \
                 waiting {} ended {}",
                slot.descriptor,
                slot.held,
                slot.stopping,
                slot.starved,
                slot.missed,
                slot.sending.is_some(),
                slot.waiting_bytes,
                slot.ended.is_some()
            );
        }
        for (index, slot) in &self.listeners {
            let _ = writeln!(
                text,
                "listener {index}: held {} armed {} stopping {} accepted {}",
                slot.held,
                slot.armed,
                slot.stopping,
                slot.accepted.len()
            );
        }
        text + &self.backend.describe()
    }
}

/// A round takes about a second on a machine that does much else, and ends itself after two minutes.
const PATIENCE: Duration = Duration::from_secs(150);

/// Ends the process when a round has not ended in time: for a loop that is stuck, and can't report by itself.
pub(super) struct Watchdog(Sender<String>);

impl Watchdog {
    pub(super) fn start() -> Watchdog {
        let (send, rounds) = channel::<String>();
        std::thread::spawn(move || {
            let mut round = String::from("no round yet");
            loop {
                match rounds.recv_timeout(PATIENCE) {
                    Ok(next) => round = next,
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            println!("stuck in {round}\n{}", threads());
            std::process::abort();
        });
        Watchdog(send)
    }

    pub(super) fn begins(&self, round: &str) {
        println!("{round}");
        let _ = self.0.send(round.to_owned());
    }
}

/// Where the kernel says that the threads of this process are.
fn threads() -> String {
    let mut text = String::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        for file in ["comm", "syscall", "wchan", "stat"] {
            let content = std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let _ = write!(text, "{file}: {} ", content.trim());
        }
        text.push('\n');
    }
    text
}
