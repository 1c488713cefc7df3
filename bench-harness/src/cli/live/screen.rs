//! The terminal while the view has it, and its return however the process ends.

use std::io::{self, Stdout};
use std::sync::{Mutex, Once, PoisonError};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::Size;
use ratatui::{Frame, Terminal};
use rustix::stdio::stdout;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGQUIT};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::cli::interrupt;

/// The other screen, without a cursor; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const CLEAR: &[u8] = b"\x1b[2J";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// The terminal's modes before the view; `None` while it has not got the terminal.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// Held by whoever writes on the screen, and for ever once a signal has ended the view: a frame would hide the cursor of a
/// terminal that was given back.
static DRAWING: Mutex<()> = Mutex::new(());

/// The terminal, given back when dropped, at a panic of any thread, and at a signal that ends the process.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    size: Size,
}

impl Screen {
    /// Takes the terminal on standard output.
    pub(super) fn enter() -> io::Result<Screen> {
        return_on_panic();
        return_on_signals()?;
        let before = tcgetattr(stdout())?;
        let mut modes = before.clone();
        // Keys are neither shown nor gathered. Control-C stays a signal; a stopped run would measure nothing, so
        // Control-Z does not.
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
        let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // From here on the terminal goes back whatever fails.
        let taken = tcsetattr(stdout(), OptionalActions::Now, &modes).and_then(|()| write(ENTER));
        let cleared = taken.map_err(io::Error::from).and_then(|()| clear());
        cleared.map(|(terminal, size)| Screen { terminal, size }).inspect_err(|_| leave())
    }

    /// Draws a frame.
    pub(super) fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal.backend().size()? != self.size {
            (self.terminal, self.size) = clear()?;
        }
        self.terminal.draw(frame).map(drop)
    }
}

/// An empty screen of the size that the terminal has now.
///
/// [`Terminal::clear`] asks the terminal where its cursor is, and waits for an answer that not every one gives.
fn clear() -> io::Result<(Terminal<CrosstermBackend<Stdout>>, Size)> {
    write(CLEAR)?;
    let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    let size = terminal.backend().size()?;
    Ok((terminal, size))
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back, once.
fn leave() {
    let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let _ = write(LEAVE);
    // What was typed meanwhile was meant for nobody.
    let _ = tcsetattr(stdout(), OptionalActions::Flush, &before);
}

/// Gives the terminal back behind the frame that is being drawn, the last one.
fn leave_for_good() {
    std::mem::forget(DRAWING.lock().unwrap_or_else(PoisonError::into_inner));
    leave();
}

/// Writes past the lock of standard output, which the thread that panicked may hold.
fn write(mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn return_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Before the message, so that it is read where it stays.
            leave();
            usual(panic);
        }));
    });
}

/// Gives the terminal back at a signal that ends the process, and lets it do so.
///
/// [`interrupt`] hears of SIGINT and SIGTERM, which do not always end it at once.
fn return_on_signals() -> io::Result<()> {
    static WATCHED: Mutex<bool> = Mutex::new(false);
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    if *watched {
        return Ok(());
    }
    let mut signals = Signals::new([SIGHUP, SIGQUIT])?;
    std::thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        for signal in signals.forever() {
            leave_for_good();
            let _ = emulate_default_handler(signal);
        }
    })?;
    interrupt::undo(leave_for_good);
    *watched = true;
    Ok(())
}

#[cfg(test)]
#[path = "../../../tests/on_terminal/mod.rs"]
mod on_terminal;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::on_terminal::{LEAVE, OnTerminal};
    use super::*;

    /// Says to a copy of this test's process that it is the one to panic.
    const PANIC: &str = "COVET_BENCH_TEST_PANIC";

    #[test]
    fn a_panic_of_any_thread_gives_the_terminal_back_before_its_message() {
        if std::env::var_os(PANIC).is_some() {
            let screen = Screen::enter().unwrap();
            let panicked = std::thread::spawn(|| panic!("a core went wrong")).join();
            // Not by being dropped.
            std::mem::forget(screen);
            std::process::exit(if panicked.is_err() { 7 } else { 8 });
        }
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "--nocapture"]).env(PANIC, "1");
        itself.arg(
            "cli::live::screen::tests::a_panic_of_any_thread_gives_the_terminal_back_before_its_message",
        );
        let mut panicking = OnTerminal::start(itself);
        panicking.expect("a core went wrong");
        let modes = panicking.modes();
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON), "{modes:?}");
        let (status, seen) = panicking.end();
        assert_eq!(status.code(), Some(7), "{seen}");
        let message = seen.find("a core went wrong").unwrap();
        assert!(seen.find(LEAVE).unwrap() < message, "{seen:?}");
    }
}
