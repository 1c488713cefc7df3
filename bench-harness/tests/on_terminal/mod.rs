//! A program on a pseudo-terminal.

#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as loudly as it does")]

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

pub(crate) const ENTER: &str = "\x1b[?1049h";
pub(crate) const LEAVE: &str = "\x1b[?1049l";
const PATIENCE: Duration = Duration::from_secs(60);

/// A program on a terminal of its own, 80 by 24.
pub(crate) struct OnTerminal {
    pub(crate) process: Child,
    terminal: OwnedFd,
    before: Termios,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl OnTerminal {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> OnTerminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        // The terminal is what it is, whatever that of the test is called, and how wide that is.
        command.env("TERM", "xterm-256color").env_remove("COLUMNS").env_remove("LINES");
        let process = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (sender, output) = channel();
        let mut master = File::from(master);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        OnTerminal { process, terminal, before, output, seen: String::new() }
    }

    /// Reads until `text` was written; returns how much of what was written ends with it.
    pub(crate) fn expect(&mut self, text: &str) -> usize {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} was not written: {:?}", self.seen),
            }
        }
        self.seen.find(text).map_or(0, |at| at + text.len())
    }

    /// Reads until `text` was written; returns all of it.
    pub(crate) fn until(&mut self, text: &str) -> String {
        self.expect(text);
        self.seen.clone()
    }

    /// Makes the terminal larger, so that the next frame is written whole and not only where it differs from the last.
    pub(crate) fn enlarge(&self) {
        tcsetwinsize(&self.terminal, Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
    }

    /// The modes of the terminal.
    pub(crate) fn modes(&self) -> LocalModes {
        tcgetattr(&self.terminal).unwrap().local_modes
    }

    /// Waits for the end and checks that the terminal is as it was before.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.process.wait().unwrap();
        let after = tcgetattr(&self.terminal).unwrap();
        // With the last end of the terminal closed, what was written is read to its end, however long that takes.
        drop(self.terminal);
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert_eq!(after.local_modes, self.before.local_modes, "{}", self.seen);
        let (enter, leave) = (self.seen.rfind(ENTER).unwrap(), self.seen.rfind(LEAVE).unwrap());
        assert!(enter < leave, "{:?}", self.seen);
        assert!(self.seen.rfind("\x1b[?25l") < self.seen.rfind("\x1b[?25h"), "the cursor is back");
        (status, self.seen)
    }
}
