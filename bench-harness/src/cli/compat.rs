//! `covet-bench compat`: the command lines of wrk, oha, hey and ab.

mod options;

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args, Parser, ValueEnum};

use self::options::CLOSE;
use self::options::Meaning::{
    Basic, BodyBy, ConnectTo, Field, Nothing, NothingWithValue, Only, RatePerConnection, Refused, Same,
    Seconds, Threads, Timeout, Whole, Words,
};
use super::exit::{Advice, Exit};
use super::{Cli, Command, run, usage};
use crate::load::allowed_cpus;

/// Options of `covet-bench compat`.
#[derive(Debug, Clone, Args)]
pub struct CompatArgs {
    /// Whose arguments follow
    #[arg(value_enum)]
    pub tool: Tool,
    /// The arguments, after `--`
    #[arg(last = true, required = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
    /// Print the command line of covet-bench and do not run it
    #[arg(long)]
    pub dry_run: bool,
}

/// A tool whose command line is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// wrk, and wrk2 with its -R
    Wrk,
    /// oha
    Oha,
    /// hey
    Hey,
    /// ApacheBench
    Ab,
}

/// What a timeout of 0 is, and that of a tool that has none.
const NO_TIMEOUT: &str = "1h";

impl Tool {
    /// Whether letters and values may follow an option of one letter without a space: `-kc64`.
    fn joins(self) -> bool {
        self != Self::Hey
    }

    /// What the tool does when it is told nothing.
    fn defaults(self, given: &[String]) -> Vec<String> {
        let has = |option: &str| given.iter().any(|word| word == option);
        let mut words: Vec<&str> = Vec::new();
        if !has("-c") {
            let connections = match self {
                Self::Wrk => "10",
                Self::Oha | Self::Hey => "50",
                Self::Ab => "1",
            };
            words.extend(["-c", connections]);
        }
        if matches!(self, Self::Oha | Self::Hey) && !has("-X") {
            // They send what they were given with GET, unless they are told otherwise.
            let with_body = has("--body") || has("--body-file") || has("--body-lines");
            words.extend(with_body.then_some(["-X", "GET"]).into_iter().flatten());
        }
        match (self, has("-n"), has("-d")) {
            (Self::Oha | Self::Hey, false, false) => words.extend(["-n", "200"]),
            (Self::Ab, false, false) => words.extend(["-n", "1"]),
            (Self::Ab, false, true) => words.extend(["-n", "50000"]),
            _ => {}
        }
        if !has("-T") {
            match self {
                Self::Wrk => {}
                Self::Oha => words.extend(["-T", NO_TIMEOUT]),
                Self::Hey => words.extend(["-T", "20s"]),
                Self::Ab => words.extend(["-T", "30s"]),
            }
        }
        // None of them warms up.
        words.extend(["--warmup", "0", "--no-validate-length"]);
        words.into_iter().map(str::to_owned).collect()
    }
}

/// Translates a tool's arguments into those of `covet-bench run`.
///
/// # Errors
/// With the exit status of a usage error, when an option is not understood.
pub fn translate(tool: Tool, arguments: &[String]) -> anyhow::Result<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let (mut url, mut per_connection, mut kept_alive) = (None, None, tool != Tool::Ab);
    let mut rest: VecDeque<String> = arguments.iter().cloned().collect();
    while let Some(word) = rest.pop_front() {
        if !word.starts_with('-') {
            url = Some(word);
            continue;
        }
        let (option, joined) = split(tool, &word);
        let meaning = match tool.meaning(option) {
            Some(meaning) => meaning,
            None => return Err(refused(format!("`{word}` of {tool:?} is not understood"))),
        };
        kept_alive |= option == "-k";
        if let (Nothing | Words(_), Some(more)) = (&meaning, joined) {
            // Letters of one word: the next one is an option as well.
            rest.push_front(format!("-{more}"));
        }
        let mut value = || {
            let value = joined.map(str::to_owned).or_else(|| rest.pop_front());
            value.ok_or_else(|| refused(format!("`{option}` has no value")))
        };
        match meaning {
            Same(own) => words.extend([own.to_owned(), value()?]),
            Whole(own) => words.extend([own.to_owned(), whole(&value()?)?.to_string()]),
            Seconds(own) => words.extend([own.to_owned(), seconds(value()?)]),
            Timeout => match seconds(value()?) {
                none if none == "0s" => words.extend(["-T".to_owned(), NO_TIMEOUT.to_owned()]),
                timeout => words.extend(["-T".to_owned(), timeout]),
            },
            Words(own) => words.extend(own.iter().map(|word| (*word).to_owned())),
            Nothing => {}
            NothingWithValue => drop(value()?),
            Threads => {
                // On more threads than CPUs the others measure their own scheduler; here that is refused.
                let room = allowed_cpus().len().div_ceil(2).max(1) as u64;
                words.extend(["-t".to_owned(), whole(&value()?)?.clamp(1, room).to_string()]);
            }
            Field(name) => words.extend(["-H".to_owned(), format!("{name}: {}", value()?)]),
            Basic => {
                let credentials = BASE64.encode(value()?);
                words.extend(["-H".to_owned(), format!("Authorization: Basic {credentials}")]);
            }
            BodyBy(method) => {
                words.extend(["-X".to_owned(), method.to_owned(), "--body-file".to_owned(), value()?]);
            }
            RatePerConnection => {
                let value = value()?;
                per_connection =
                    Some(value.parse::<f64>().map_err(|_| refused(format!("`{value}` is no rate")))?);
            }
            ConnectTo => {
                let value = value()?;
                let own = value.splitn(3, ':').nth(2).map(str::to_owned);
                words.extend([
                    "--connect-to".to_owned(),
                    own.ok_or_else(|| refused(format!("`{value}` is not HOST:PORT:HOST:PORT")))?,
                ]);
            }
            Only(good, why) => {
                let value = value()?;
                if value != good {
                    return Err(refused(format!("`{option} {value}` of {tool:?}: {why}")));
                }
            }
            Refused(why) => return Err(refused(format!("`{option}` of {tool:?}: {why}"))),
        }
    }
    if matches!(tool, Tool::Oha | Tool::Hey) && words.iter().any(|word| word == "-d") {
        // Both forget about -n where they are given a time.
        while let Some(at) = words.iter().position(|word| word == "-n") {
            words.drain(at..at + 2);
        }
    }
    let defaults = tool.defaults(&words);
    words.extend(defaults);
    if !kept_alive {
        words.extend(CLOSE.iter().map(|word| (*word).to_owned()));
    }
    if let Some(rate) = per_connection {
        let at = words
            .iter()
            .rposition(|word| word == "-c")
            .map_or(1.0, |at| words[at + 1].parse().unwrap_or(1.0));
        words.extend(["-R".to_owned(), (rate * at).to_string()]);
    }
    let url = url.ok_or_else(|| refused("there is no URL".to_owned()))?;
    if url.starts_with("https://") && tool != Tool::Oha {
        // The others take any certificate.
        words.push("--insecure".to_owned());
    }
    words.insert(0, url);
    Ok(words)
}

fn refused(text: String) -> anyhow::Error {
    Advice::error(Exit::Usage, text, "See covet-bench run --help for what there is")
}

/// A length of time, which is in seconds where it has no unit.
fn seconds(value: String) -> String {
    let bare = value.bytes().all(|byte| byte.is_ascii_digit());
    if bare { value + "s" } else { value }
}

/// A whole number, with a suffix of thousands or without.
fn whole(value: &str) -> anyhow::Result<u64> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match value[digits.len()..].to_ascii_lowercase().as_str() {
        "" => Some(1),
        "k" => Some(1_000),
        "m" => Some(1_000_000),
        "g" => Some(1_000_000_000),
        _ => None,
    };
    let number =
        digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    number.ok_or_else(|| refused(format!("`{value}` is not a whole number")))
}

/// Takes off what is joined to an option: `-c64`, `-kc64`, `--rate=50`, and hey's `-c=64`.
fn split(tool: Tool, word: &str) -> (&str, Option<&str>) {
    if tool.meaning(word).is_some() {
        return (word, None);
    }
    if let Some((option, value)) = word.split_once('=').filter(|_| word.starts_with("--") || !tool.joins()) {
        return (option, Some(value));
    }
    match word.char_indices().nth(2) {
        Some((at, _)) if tool.joins() && !word.starts_with("--") => (&word[..at], Some(&word[at..])),
        _ => (word, None),
    }
}

/// Prints the line of covet-bench that the arguments mean, and runs it.
///
/// # Errors
/// When an option is not understood, and as for `covet-bench run`.
pub fn compat(args: CompatArgs) -> anyhow::Result<Exit> {
    let words = translate(args.tool, &args.arguments)?;
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    eprintln!("covet-bench run {}", quoted.join(" "));
    if args.dry_run {
        return Ok(Exit::Success);
    }
    let line = ["covet-bench", "run"].into_iter().map(str::to_owned).chain(words);
    match Cli::try_parse_from(line) {
        Ok(Cli { command: Some(Command::Run(args)), .. }) => run::run(*args),
        Ok(_) => Err(Advice::error(Exit::Usage, "the arguments are not those of a run", "See --help")),
        Err(error) => Err(Advice::error(Exit::Usage, usage::what(&error), "See covet-bench run --help")),
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=%,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
