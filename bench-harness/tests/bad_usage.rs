//! Values that no option takes: one line that names the option, and the exit status of a usage error.

mod judging;

use clap::{Arg, ArgAction, CommandFactory};
use covet_bench::cli::Cli;
use judging::{Scratch, fails_in_one_line, nobody, run};

/// What each subcommand needs beside the option that is tried. Nothing listens at `{url}`, so what takes a value after all
/// ends soon, as a failure of its own.
const NEEDED: [(&str, &str); 20] = [
    ("serve", ""),
    ("null", ""),
    ("run", "{url} -d 1s"),
    ("ab", "--a {url} --b {url}"),
    ("max", "{url} --slo p99<5ms"),
    ("rate", "{url} --rates 1k"),
    ("selfcheck", "stats"),
    ("peers", "--peers axum"),
    ("plan", ""),
    ("compare", "{nothing} {nothing}"),
    ("export", "{nothing}"),
    ("import", "wrk {nothing}"),
    ("merge", "{nothing}"),
    ("slow-clients", ""),
    ("memory", "--url {url}"),
    ("overhead", "middleware"),
    ("soak", "-d 3s --url {url}"),
    ("verify", "{nothing}"),
    ("man", ""),
    ("completions", ""),
];

/// Options that take any text: names, paths, commands, bodies. What is wrong with it shows when it is used.
const ANY_TEXT: [&str; 18] = [
    "a-cmd",
    "b-cmd",
    "body",
    "body-file",
    "cacert",
    "cert",
    "from",
    "handover",
    "html",
    "key",
    "method",
    "out",
    "server-cmd",
    "sni",
    "target-dir",
    "trust",
    "unix",
    "unix-socket",
];

fn takes_a_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append) && !option.is_positional()
}

#[test]
fn no_option_takes_what_makes_no_sense() {
    let nothing = Scratch::new();
    let url = format!("http://{}/", nobody());
    let (nothing, mut tried) = (nothing.0.join("nothing"), 0);
    let command = Cli::command();
    for (name, needed) in NEEDED {
        let subcommand = command.find_subcommand(name).unwrap_or_else(|| panic!("there is no {name}"));
        let options = subcommand.get_arguments().filter(|option| takes_a_value(option));
        for option in options.filter_map(Arg::get_long).filter(|option| !ANY_TEXT.contains(option)) {
            let spelt = format!("--{option}");
            let needed = needed.replace("{url}", &url).replace("{nothing}", &nothing.display().to_string());
            let mut words: Vec<&str> = needed.split_whitespace().collect();
            // Given once only: that which is tried.
            if let Some(at) =
                words.iter().position(|word| *word == spelt || (*word == "-d" && option == "duration"))
            {
                words.drain(at..=at + 1);
            }
            let bad = format!("{spelt}=bogus value~");
            let arguments = [&[name][..], &words, &[&bad]].concat();
            fails_in_one_line(&run(&arguments), 2, &[]);
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried} options were tried");
}

#[test]
fn numbers_out_of_range_are_refused_before_anything_is_loaded() {
    let url = format!("http://{}/", nobody());
    let cases: [(&[&str], &str); 18] = [
        (&["run", &url, "-R", "99999999999999999999999"], "10^15"),
        (&["run", &url, "--connection-rate", "1e30"], "--connection-rate"),
        (&["run", &url, "-R", "-5"], "negative"),
        (&["max", &url, "--slo", "p99<5ms", "--max", "99999999999999999999999"], "--max"),
        (&["plan", "--detect", "1000000000%"], "10,000 %"),
        (&["compare", "a", "b", "--margin", "1000000000"], "--margin"),
        (&["slow-clients", "--load=-5"], "from 0.01 to 1"),
        (&["slow-clients", "--load", "7"], "--load"),
        (&["slow-clients", "--percentile", "100"], "from 1 to 99.999"),
        (&["memory", "--url", &url, "--cpus", "x"], "--cpus"),
        (&["soak", "-d", "3s", "--url", &url, "--server-cmd", ""], "--server-cmd"),
        (&["run", &url, "--server-cmd", ""], "--server-cmd"),
        (&["serve", "--cores", "foo"], "--cores"),
        (&["serve", "--max-connections", "0"], "--max-connections"),
        (&["serve", "--max-in-flight", "0"], "--max-in-flight"),
        (&["serve", "--tls-self-signed", "--ocsp", "of-another"], "--ocsp"),
        (&["null", "--cores", "foo"], "--cores"),
        (&["null", "--body", "99999999999"], "--body"),
    ];
    for (arguments, word) in cases {
        fails_in_one_line(&run(arguments), 2, &[word]);
    }
}
