//! What a command says on standard output.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use super::exit::Advise;
use crate::report::text::wrap::fitted;

/// Form of a result on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

/// The text in lines that fit the terminal, where it goes to one.
pub(super) fn on_terminal(text: String) -> String {
    if !io::stdout().is_terminal() {
        return text;
    }
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
    match size.map_or(0, |size| usize::from(size.ws_col)) {
        0 => text,
        columns => fitted(&text, columns),
    }
}

/// Writes a result to standard output.
pub(super) fn write_out(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.advise("cannot write the result", "Check where standard output goes"),
    }
}
