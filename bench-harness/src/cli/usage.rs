//! A command line that cannot be read, in one line like every other error.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::{Cli, Exit};

/// Says what is wrong and what to write; or prints the help or version that was asked for.
pub(super) fn refuse(error: &Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody is left to tell when the reader of the help has gone.
        let _ = error.print();
        return Exit::Success.into();
    }
    let names = Cli::command();
    let subcommand = std::env::args().nth(1).filter(|word| names.find_subcommand(word).is_some());
    let help = subcommand.map_or_else(String::new, |name| format!("{name} "));
    eprintln!("covet-bench: {}. See covet-bench {help}--help", what(error));
    Exit::Usage.into()
}

/// What the parser says, without its heading, its usage and its line feeds.
pub(super) fn what(error: &Error) -> String {
    if let Some(word) = negative(error) {
        return format!("`{word}` begins like an option, and no number here may be negative");
    }
    let text = error.render().to_string();
    let said = text.split("\nUsage:").next().unwrap_or_default();
    let said = said.split("\nFor more information").next().unwrap_or_default();
    let mut parts = said.split("\n\n").map(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        words.join(" ")
    });
    let mut line = parts.next().unwrap_or_default();
    for tip in parts.filter(|part| !part.is_empty()) {
        line.push_str("; ");
        line.push_str(tip.trim_start_matches("tip: "));
    }
    plain(line.trim_start_matches("error: "))
}

/// A word such as `-5`, which the parser takes for an option that is not there.
fn negative(error: &Error) -> Option<&str> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let digit = word.strip_prefix('-')?.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    (error.kind() == ErrorKind::UnknownArgument && digit).then_some(word)
}

/// What the standard library says of a value, as what to write instead.
fn plain(line: &str) -> String {
    const SAID: [(&str, &str); 6] = [
        ("invalid digit found in string", "write a whole number"),
        ("cannot parse integer from empty string", "write a whole number"),
        ("number too large to fit in target type", "it is too large"),
        ("invalid float literal", "write a number"),
        ("invalid socket address syntax", "write an address and a port, such as 127.0.0.1:8080"),
        ("invalid IP address syntax", "write an address, such as 10.0.0.2"),
    ];
    SAID.iter().fold(line.to_owned(), |line, (said, meant)| line.replace(said, meant))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn said(arguments: &str) -> String {
        let words = ["covet-bench"].into_iter().chain(arguments.split(' '));
        what(&Cli::try_parse_from(words).expect_err("it cannot be read"))
    }

    #[test]
    fn what_the_parser_says_fits_on_a_line() {
        for (arguments, line) in [
            ("runn", "unrecognized subcommand 'runn'; a similar subcommand exists: 'run'"),
            (
                "run http://h/ --conections 5",
                "unexpected argument '--conections' found; a similar argument exists: '--connections'",
            ),
            ("run", "the following required arguments were not provided: <URL>"),
            (
                "run http://h/ -c many",
                "invalid value 'many' for '--connections <CONNECTIONS>': write a whole number",
            ),
            (
                "run http://h/ --output-format yaml",
                "invalid value 'yaml' for '--output-format <OUTPUT_FORMAT>' [possible values: text, json, junit, \
                 markdown]",
            ),
            ("run http://h/ -R -5", "`-5` begins like an option, and no number here may be negative"),
            (
                "run http://h/ -d=-1s",
                "invalid value '-1s' for '--duration <DURATION>': it cannot be negative",
            ),
            ("run http://h/ -n 0", "invalid value '0' for '--requests <REQUESTS>': write 1 or more"),
            (
                "serve --listen nonsense",
                "invalid value 'nonsense' for '--listen <ADDR>': write an address and a port, such as 127.0.0.1:8080",
            ),
        ] {
            assert_eq!(said(arguments), line, "{arguments}");
        }
    }
}
