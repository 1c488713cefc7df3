//! `covet-bench compat` against what the tools themselves say of their options: none is unknown, each takes a value where
//! it does there, and what comes out is a command line of `covet-bench run`.

use std::process::Command;

use clap::Parser;
use covet_bench::cli::Cli;
use covet_bench::cli::compat::{Tool, translate};

/// What a tool prints of its options; on which of the two streams differs.
fn help(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run scripts/install-test-tools"));
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The names of an option, and whether it takes a value.
type Spelling = (Vec<String>, bool);

/// `  -c, --connections <N>  Connections`, as wrk and oha print it.
fn with_angles(text: &str) -> Vec<Spelling> {
    let mut options = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let names: Vec<String> = words
            .iter()
            .map(|word| word.trim_end_matches(','))
            .take_while(|word| word.starts_with('-'))
            .map(str::to_owned)
            .collect();
        if !names.is_empty() {
            options.push((names.clone(), words.get(names.len()).is_some_and(|word| word.starts_with('<'))));
        }
    }
    options
}

/// `    -n requests     Number of requests`, as ab prints it: a flag has several spaces after it.
fn with_columns(text: &str) -> Vec<Spelling> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    -"));
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            Some((vec![format!("-{name}")], !rest.starts_with(' ')))
        })
        .collect()
}

/// `  -n  Number of requests`, as hey prints it, which does not say what takes a value.
fn with_flags(text: &str, flags: &[&str]) -> Vec<Spelling> {
    let words =
        text.lines().filter(|line| line.starts_with("  -")).filter_map(|line| line.split_whitespace().next());
    words.map(|word| (vec![word.to_owned()], !flags.contains(&word))).collect()
}

/// A value that the option can have.
fn value(option: &str) -> &'static str {
    match option {
        "-H" | "--header" => "X-Name: value",
        "--connect-to" => "a:80:b:81",
        "-B" => "127.0.0.1",
        "-d" | "--duration" | "-T" | "--timeout" => "5s",
        "-m" | "--method" => "POST",
        "--http-version" => "1.1",
        "--output-format" => "json",
        "-r" | "--redirect" => "0",
        _ => "1",
    }
}

#[test]
fn the_options_of_the_tools_are_known() {
    const URL: &str = "http://127.0.0.1:9/";
    let oha = include_str!("fixtures/help/oha.txt");
    let tools = [
        (Tool::Wrk, with_angles(&help("wrk", &["--help"])), 7),
        (Tool::Oha, with_angles(oha), 50),
        (
            Tool::Hey,
            with_flags(
                &help("hey", &[]),
                &["-h2", "-disable-compression", "-disable-keepalive", "-disable-redirects"],
            ),
            18,
        ),
        (Tool::Ab, with_columns(&help("ab", &["-h"])), 35),
    ];
    for (tool, options, least) in tools {
        assert!(options.len() >= least, "{tool:?} tells of {} options: {options:?}", options.len());
        let spelt =
            options.iter().flat_map(|(names, takes)| names.iter().map(move |name| (name.as_str(), *takes)));
        for (name, takes) in spelt {
            let mut option = vec![name.to_owned()];
            option.extend(takes.then(|| value(name).to_owned()));
            // A certificate and its key go together, here as there.
            let other = [("--cert", "--key"), ("--key", "--cert")].into_iter().find(|(one, _)| *one == name);
            option.extend(other.into_iter().flat_map(|(_, other)| [other.to_owned(), "1".to_owned()]));
            let url = [URL.to_owned()];
            match translate(tool, &[&option[..], &url].concat()) {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.starts_with(&format!("`{name}` of {tool:?}: ")), "{option:?}: {text}");
                }
                Ok(words) => {
                    let after = translate(tool, &[&url[..], &option].concat()).expect("the same option");
                    assert_eq!(words, after, "{option:?} of {tool:?} takes a value, or does not");
                    let line = ["covet-bench", "run"].into_iter().map(str::to_owned).chain(words);
                    Cli::try_parse_from(line)
                        .unwrap_or_else(|error| panic!("{option:?} of {tool:?}: {error}"));
                }
            }
        }
    }
}
