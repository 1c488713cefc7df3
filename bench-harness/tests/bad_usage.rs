//! Values that no option takes: one line that names the option, and the exit status of a usage error.

mod folder;
mod judging;
mod nobody;

use clap::{Arg, ArgAction, CommandFactory};
use covet_bench::cli::Cli;
use folder::Folder;
use judging::{fails_in_one_line, run};
use nobody::nobody;

/// What each subcommand needs beside the option that is tried. Nothing listens at `{url}`, so what takes a value after all
/// ends soon, as a failure of its own.
const NEEDED: [(&str, &str); 21] = [
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
    ("worker", "--master 127.0.0.1:1 --patience 100ms {url}"),
    ("man", ""),
    ("completions", ""),
];

/// Options that take any text: names, paths, commands, bodies. What is wrong with it shows when it is used.
const ANY_TEXT: [&str; 19] = [
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
    "name",
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
    let nothing = Folder::new("bad-usage");
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
fn files_that_are_not_there_are_named_before_anything_is_loaded() {
    let folder = Folder::new("bad-usage");
    let (secure, plain) = (format!("https://{}/", nobody()), format!("http://{}/", nobody()));
    let missing = folder.0.join("missing").display().to_string();
    let (trace, line) = (format!("trace:{missing}"), format!("x={{{{line:{missing}}}}}"));
    let cases: [&[&str]; 10] = [
        &["--body-file", &missing],
        &["--body-lines", &missing],
        &["--urls", &missing],
        &["--scenario", &missing],
        &["--arrivals", &trace],
        &["--template", "--body", &line],
        &["--cacert", &missing],
        &["--cert", &missing, "--key", &missing],
        &["--unix-socket", &missing],
        &["--html", &format!("{missing}/page.html")],
    ];
    for case in cases {
        let url = if case[0].starts_with("--c") { &secure } else { &plain };
        let output = run(&[&["run", url, "-d", "1s"], case].concat());
        // A socket is a server, which may come and go.
        fails_in_one_line(&output, if case[0] == "--unix-socket" { 1 } else { 2 }, &[&missing]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.matches("(os error").count() <= 1, "{said}");
    }
    let empty = folder.0.join("empty");
    std::fs::write(&empty, "").expect("the folder is ours");
    let empty = empty.display().to_string();
    for option in ["--body-lines", "--urls", "--scenario", "--arrivals", "--cacert"] {
        let url = if option == "--cacert" { &secure } else { &plain };
        let value = if option == "--arrivals" { format!("trace:{empty}") } else { empty.clone() };
        fails_in_one_line(&run(&["run", url, "-d", "1s", option, &value]), 2, &[]);
    }
}

#[test]
fn a_worker_gives_up_a_master_that_is_not_there() {
    // RFC 6761, section 6.4: the name never resolves.
    for (master, why) in [("127.0.0.1:1", "refused"), ("nobody.invalid", "lookup")] {
        let output = run(&["worker", "--master", master, "--patience", "1s", "http://127.0.0.1:1/"]);
        let said = String::from_utf8_lossy(&output.stderr);
        let [first, last] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
        assert!(first.contains(why) && first.ends_with("trying again, for 1s at most"), "{said}");
        let whole = format!(
            "covet-bench: the worker ends: nothing was heard of the master for 1s: cannot connect to the master at {master}"
        );
        assert!(last.starts_with(&whole) && last.contains("Start `locust --master` there"), "{said}");
        assert_eq!(output.status.code(), Some(1), "{said}");
    }
}

#[test]
fn a_worker_that_cannot_load_says_so_before_it_looks_for_its_master() {
    let worker = |more: &[&str]| run(&[&["worker", "--master", "127.0.0.1:1"], more].concat());
    fails_in_one_line(&worker(&["ws://127.0.0.1:1/"]), 2, &["speak HTTP/1.1", "http:// or https://"]);
    fails_in_one_line(&worker(&["--body-lines", "/nowhere/lines"]), 2, &["/nowhere/lines"]);
    fails_in_one_line(
        &worker(&["https://127.0.0.1:1/", "--cacert", "/nowhere/roots"]),
        2,
        &["/nowhere/roots"],
    );
    fails_in_one_line(&worker(&["--rate", "5"]), 2, &["--rate is not a worker's"]);
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
