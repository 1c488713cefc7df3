//! README.md and docs/ against the repository: links lead somewhere, and options that are shown are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

/// The pages for readers, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = [root(), root().join("docs"), root().join("docs/bench")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder of the repository"));
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    let pages: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), fs::read_to_string(path).expect("it is text")))
        .collect();
    assert!(pages.len() >= 12, "the pages were not found: {}", pages.len());
    pages
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for (page, text) in pages() {
        let folder = page.parent().expect("it lies in a folder");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            count += 1;
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { folder.join(file) };
            assert!(path.exists(), "{}: {target}", page.display());
            if !part.is_empty() {
                let linked = fs::read_to_string(&path).expect("it is text");
                let mut headings = linked.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line.trim_start_matches('#')) == part),
                    "{}: {target} is no heading there",
                    page.display()
                );
            }
        }
    }
    assert!(count > 15, "only {count} links were found");
}

#[test]
fn paths_that_are_named_are_there() {
    let mut count = 0;
    for (page, text) in pages() {
        for (at, _) in text.match_indices('`') {
            let name = text[at + 1..].split('`').next().unwrap_or_default();
            let first = name.split('/').next().unwrap_or_default();
            let of_ours = ["runtime", "http", "router", "bench-harness", "claims", "scripts", "docs", ".ci"]
                .contains(&first);
            let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
            if !(of_ours && name.contains('/') && name.chars().all(plain)) {
                continue;
            }
            count += 1;
            assert!(root().join(name).exists(), "{}: `{name}` is not there", page.display());
        }
    }
    assert!(count > 20, "only {count} paths were found");
}

/// The long options that a command's help lists.
fn options(subcommand: &str) -> BTreeSet<String> {
    let arguments: &[&str] = if subcommand.is_empty() { &["--help"] } else { &[subcommand, "--help"] };
    let output = Command::new(env!("CARGO_BIN_EXE_covet-bench")).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "there is no `covet-bench {subcommand}`");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

#[test]
fn options_of_commands_that_are_shown_are_in_their_help() {
    let mut count = 0;
    for (page, text) in pages() {
        let lines = text.replace("\\\n", " ");
        for line in lines.lines() {
            for (at, found) in line.match_indices("covet-bench ") {
                // Code only: what ends the span ends the command.
                let command =
                    line[at + found.len()..].split(['`', '|', '>', '#', ';', '&']).next().unwrap_or_default();
                // What is quoted is another program's.
                let command: String = command.split('\'').step_by(2).collect();
                let mut words = command.split_whitespace();
                let Some(subcommand) = words.next() else { continue };
                let is_name = subcommand.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
                let wanted: Vec<&str> = words
                    .take_while(|word| *word != "--")
                    .map(|word| word.split('=').next().unwrap_or_default())
                    .filter(|word| word.starts_with("--"))
                    .collect();
                if !is_name || wanted.is_empty() || subcommand.starts_with('-') {
                    continue;
                }
                count += 1;
                let known = options(subcommand);
                for option in wanted {
                    let option = option.trim_end_matches([',', '.', ')', '\'']);
                    assert!(known.contains(option), "{}: {option} in `{line}`", page.display());
                }
            }
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

/// A package of the workspace by its name, and where its examples are.
const PACKAGES: [(&str, &str); 4] = [
    ("covet-runtime", "runtime/examples"),
    ("covet-http", "http/examples"),
    ("covet-router", "router/examples"),
    ("covet-bench", "bench-harness/examples"),
];

#[test]
fn examples_are_run_from_the_root_as_they_say() {
    let mut texts = pages();
    for (_, folder) in PACKAGES {
        let entries = fs::read_dir(root().join(folder)).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("its entries can be read").path());
        texts.extend(
            paths
                .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
                .map(|path| (path.clone(), fs::read_to_string(path).expect("it is text"))),
        );
    }
    let mut count = 0;
    for (page, text) in texts {
        for line in text.lines() {
            let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || c == '`').collect();
            let after = |option: &str| {
                words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1).copied())
            };
            let Some(example) = after("--example") else { continue };
            count += 1;
            // Without a package cargo looks in that of the main job only.
            let folder = PACKAGES.iter().find(|(package, _)| after("-p") == Some(package));
            let (_, folder) = folder.unwrap_or_else(|| panic!("{}: no package in `{line}`", page.display()));
            assert!(root().join(folder).join(format!("{example}.rs")).exists(), "{}: {line}", page.display());
        }
    }
    assert!(count >= 8, "only {count} examples are shown");
}
