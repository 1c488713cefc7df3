//! `covet-bench compat`: the command lines of wrk, oha, hey and ab.

use clap::{Args, Parser, ValueEnum};

use super::exit::{Advice, Exit};
use super::{Cli, Command, run};
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

/// How an option of a tool is said here.
enum Meaning {
    /// This option, with the tool's value.
    Same(&'static str),
    /// This option, with the tool's value and a unit where it has none.
    Seconds(&'static str),
    /// These words, and the option has no value.
    Words(&'static [&'static str]),
    /// Nothing: it changes what is printed, or how.
    Nothing,
    /// Nothing, and its value neither.
    NothingWithValue,
    /// As many generator threads as there are CPUs for, at most.
    Threads,
    /// A field of this name.
    Field(&'static str),
    /// A rate for each connection.
    RatePerConnection,
    /// `HOST:PORT:HOST:PORT`, of which the second pair is where to connect to.
    ConnectTo,
    /// It is not understood, for this reason.
    Refused(&'static str),
}

use Meaning::{
    ConnectTo, Field, Nothing, NothingWithValue, RatePerConnection, Refused, Same, Seconds, Threads, Words,
};

const CLOSE: &[&str] = &["--requests-per-connection", "1"];
const LUA: &str = "scripts in Lua are not run: say what they do with --urls, --template and --body-lines";

impl Tool {
    fn meaning(self, option: &str) -> Option<Meaning> {
        Some(match (self, option) {
            (Self::Wrk, "-t" | "--threads") => Threads,
            (_, "-c" | "--connections") => Same("-c"),
            (Self::Wrk, "-d" | "--duration") => Seconds("-d"),
            (Self::Wrk, "-R" | "--rate") => Same("-R"),
            (_, "-H" | "--header") => Same("-H"),
            (Self::Wrk, "-T" | "--timeout") => Seconds("-T"),
            (Self::Wrk, "-s" | "--script") => Refused(LUA),
            (Self::Wrk, "-L" | "--latency" | "-U" | "--u_latency") => Nothing,

            (Self::Oha | Self::Hey | Self::Ab, "-n") => Same("-n"),
            (Self::Oha | Self::Hey, "-z") => Seconds("-d"),
            (Self::Oha, "-q") => Same("-R"),
            (Self::Hey, "-q") => RatePerConnection,
            (Self::Oha | Self::Hey, "-m") | (Self::Oha, "--method") | (Self::Ab, "-m") => Same("-X"),
            (Self::Oha | Self::Hey, "-d") => Same("--body"),
            (Self::Oha | Self::Hey, "-D") | (Self::Ab, "-p") => Same("--body-file"),
            (Self::Oha | Self::Hey | Self::Ab, "-T") => Field("Content-Type"),
            (Self::Oha | Self::Hey, "-t") | (Self::Ab, "-s") => Seconds("-T"),
            (Self::Ab, "-t") => Seconds("-d"),
            (Self::Oha | Self::Hey, "-A") => Field("Accept"),
            (Self::Oha, "--host") | (Self::Hey, "-host") => Field("Host"),
            (Self::Oha, "--disable-keepalive") | (Self::Hey, "-disable-keepalive") => Words(CLOSE),
            (Self::Oha, "--unix-socket") => Same("--unix-socket"),
            (Self::Oha, "--connect-to") => ConnectTo,
            (Self::Oha, "--insecure") => Words(&["--insecure"]),
            (Self::Oha, "--cacert") => Same("--cacert"),
            (Self::Oha, "--cert") => Same("--cert"),
            (Self::Oha, "--key") => Same("--key"),
            (Self::Oha, "--no-tui" | "--latency-correction" | "--no-color" | "-p") => Nothing,
            (Self::Hey, "-disable-compression" | "-disable-redirects") => Nothing,
            (Self::Hey, "-cpus") => Threads,
            (Self::Hey, "-o") => NothingWithValue,
            (Self::Ab, "-k" | "-q" | "-r" | "-l" | "-d" | "-S") => Nothing,
            (Self::Ab, "-v" | "-g" | "-e") => NothingWithValue,
            (_, "-h2" | "--http2") => Refused("the generator speaks HTTP/1.1"),
            _ => return None,
        })
    }

    /// What the tool does when it is told nothing.
    fn defaults(self, given: &[String]) -> Vec<String> {
        let has = |options: &[&str]| given.iter().any(|word| options.contains(&word.as_str()));
        let mut words: Vec<&str> = Vec::new();
        match self {
            Self::Wrk if !has(&["-c"]) => words.extend(["-c", "10"]),
            Self::Oha | Self::Hey if !has(&["-c"]) => words.extend(["-c", "50"]),
            Self::Ab if !has(&["-c"]) => words.extend(["-c", "1"]),
            _ => {}
        }
        match self {
            Self::Oha | Self::Hey if !has(&["-n", "-d"]) => words.extend(["-n", "200"]),
            Self::Ab if !has(&["-n", "-d"]) => words.extend(["-n", "1"]),
            _ => {}
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
    let usage =
        |text: String| Advice::error(Exit::Usage, text, "See covet-bench run --help for what there is");
    let mut words: Vec<String> = Vec::new();
    let (mut url, mut per_connection, mut kept_alive) = (None, None, tool != Tool::Ab);
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            url = Some(word.to_owned());
            continue;
        }
        kept_alive |= word == "-k";
        let (option, joined) = split(word);
        let meaning = match tool.meaning(option) {
            Some(meaning) => meaning,
            None => return Err(usage(format!("`{word}` of {tool:?} is not understood"))),
        };
        let mut value = || {
            let value = joined.map(str::to_owned).or_else(|| rest.next().map(str::to_owned));
            value.ok_or_else(|| usage(format!("`{option}` has no value")))
        };
        match meaning {
            Same(own) => words.extend([own.to_owned(), value()?]),
            Seconds(own) => {
                let value = value()?;
                let bare = value.bytes().all(|byte| byte.is_ascii_digit());
                words.extend([own.to_owned(), if bare { value + "s" } else { value }]);
            }
            Words(own) => words.extend(own.iter().map(|word| (*word).to_owned())),
            Nothing => {}
            NothingWithValue => drop(value()?),
            Threads => {
                let asked =
                    value()?.parse::<usize>().map_err(|_| usage(format!("`{word}` is not a number")))?;
                // On more threads than CPUs the others measure their own scheduler; here that is refused.
                let room = allowed_cpus().len().div_ceil(2).max(1);
                words.extend(["-t".to_owned(), asked.clamp(1, room).to_string()]);
            }
            Field(name) => {
                let value = value()?;
                words.extend(["-H".to_owned(), format!("{name}: {value}")]);
            }
            RatePerConnection => {
                let value = value()?;
                per_connection =
                    Some(value.parse::<f64>().map_err(|_| usage(format!("`{value}` is no rate")))?);
            }
            ConnectTo => {
                let value = value()?;
                let own = value.splitn(3, ':').nth(2).map(str::to_owned);
                words.extend([
                    "--connect-to".to_owned(),
                    own.ok_or_else(|| usage(format!("`{value}` is not HOST:PORT:HOST:PORT")))?,
                ]);
            }
            Refused(why) => return Err(usage(format!("`{option}` of {tool:?}: {why}"))),
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
    let url = url.ok_or_else(|| usage("there is no URL".to_owned()))?;
    if url.starts_with("https://") && tool != Tool::Oha {
        // The others take any certificate.
        words.push("--insecure".to_owned());
    }
    words.insert(0, url);
    Ok(words)
}

/// Takes a value off that is joined to its option: `-c64`, `--rate=50`.
fn split(word: &str) -> (&str, Option<&str>) {
    match word.strip_prefix("--") {
        Some(_) => word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value))),
        None if word[1..].starts_with(|c: char| c.is_ascii_alphabetic())
            && word[2..].starts_with(|c: char| c.is_ascii_digit()) =>
        {
            (&word[..2], Some(&word[2..]))
        }
        None => (word, None),
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
        Err(error) => Err(Advice::error(Exit::Usage, error.to_string(), "See covet-bench run --help")),
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
mod tests {
    use super::*;

    fn line(tool: Tool, arguments: &str) -> String {
        let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        translate(tool, &words).map_or_else(|error| format!("error: {error}"), |words| words.join(" "))
    }

    #[test]
    fn the_usual_lines_are_understood() {
        let tail = "--warmup 0 --no-validate-length";
        assert_eq!(
            line(Tool::Wrk, "-t1 -c64 -d30s --latency http://h/"),
            format!("http://h/ -t 1 -c 64 -d 30s {tail}")
        );
        assert_eq!(
            line(Tool::Wrk, "-R2000 -d 10 http://h/"),
            format!("http://h/ -R 2000 -d 10s -c 10 {tail}")
        );
        assert_eq!(
            line(Tool::Oha, "-z 10s -q 500 --no-tui --disable-keepalive http://h/"),
            format!("http://h/ -d 10s -R 500 --requests-per-connection 1 -c 50 {tail}")
        );
        assert_eq!(
            line(Tool::Hey, "-n 1000 -c 20 -q 5 -m POST -T text/plain http://h/"),
            format!("http://h/ -n 1000 -c 20 -X POST -H Content-Type: text/plain {tail} -R 100")
        );
        assert_eq!(line(Tool::Ab, "-k -n 100 -c 8 http://h/"), format!("http://h/ -n 100 -c 8 {tail}"));
        assert_eq!(
            line(Tool::Ab, "-n 100 http://h/"),
            format!("http://h/ -n 100 -c 1 {tail} --requests-per-connection 1")
        );
        assert_eq!(
            line(Tool::Oha, "--connect-to a:80:b:81 http://h/"),
            format!("http://h/ --connect-to b:81 -c 50 -n 200 {tail}")
        );
        assert_eq!(
            line(Tool::Oha, "--cacert ca.pem --cert c.pem --key k.pem https://h/"),
            format!("https://h/ --cacert ca.pem --cert c.pem --key k.pem -c 50 -n 200 {tail}")
        );
        assert_eq!(line(Tool::Wrk, "-c 5 https://h/"), format!("https://h/ -c 5 {tail} --insecure"));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(line(Tool::Wrk, "-s x.lua http://h/").contains("Lua"));
        assert!(line(Tool::Hey, "-x proxy http://h/").contains("`-x` of Hey"));
        assert!(line(Tool::Wrk, "-c").contains("`-c` has no value"));
        assert!(line(Tool::Wrk, "-c 5").contains("no URL"));
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(
            (quote("a:b"), quote("a b"), quote("it's")),
            ("a:b".into(), "'a b'".into(), r"'it'\''s'".into())
        );
    }
}
