//! `docs/http-conformance.md` and `docs/http-defence.md` name tests: each must be there, and be one.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the tests of a module are, and what they are called there.
fn place(name: &str) -> (PathBuf, &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (modules, test) = name.rsplit_once("::").unwrap_or(("", name));
    let file = match modules {
        "" => "http/tests/server/main.rs".to_owned(),
        "decode" | "chunked" | "encode" | "compress" => format!("http/tests/{modules}.rs"),
        "date" => "http/src/h1/date.rs".to_owned(),
        "ranges" | "multipart" => format!("http/src/{modules}/tests.rs"),
        "hostile" | "refusals" => format!("http/tests/tls/{modules}.rs"),
        "forms" | "routing" => format!("router/tests/{modules}.rs"),
        _ => match modules.split_once("::") {
            Some(("conformance", module)) => format!("http/tests/server/conformance/{module}.rs"),
            Some(("tls", module)) => format!("http/tests/tls/{module}.rs"),
            _ => format!("http/tests/server/{modules}.rs"),
        },
    };
    (root.join(file), test)
}

/// Whether a file has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let begins = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        line.strip_prefix("async ").unwrap_or(line).starts_with(&begins)
            && lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#["))
                .any(|line| *line == "#[test]")
    })
}

/// What is between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http-conformance.md");
    let table = fs::read_to_string(table).unwrap();
    let mut files = HashMap::new();
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() >= 6) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let tests = cells.last().unwrap();
        if *tests == "Test" {
            continue;
        }
        assert!(quoted(tests).count() > 0, "a requirement without a test: {row}");
        for name in quoted(tests).filter(|name| !["connection", "server", "differential"].contains(name)) {
            let (path, test) = place(name);
            let source = files.entry(path.clone()).or_insert_with(|| {
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {path:?}: {error}"))
            });
            assert!(has_test(source, test), "{name} is not in {}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} names were found: has the table another form?");
}

#[test]
fn every_test_that_the_limits_name_is_there() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http-defence.md");
    let document = fs::read_to_string(document).unwrap();
    let modules = ["slow", "limits", "floods", "overload", "proxies", "bodies", "panics", "vanishing"];
    let others = ["hostile", "refusals", "conformance", "tls"];
    let words: Vec<&str> = quoted(&document).collect();
    let mut checked = 0;
    for (at, name) in words.iter().enumerate() {
        let (path, test) = match name.split_once("::") {
            // Not a module as a whole, and no type.
            Some((module, test))
                if test.starts_with(char::is_lowercase)
                    && modules.iter().chain(&others).any(|known| *known == module) =>
            {
                if *name == "conformance::connection" {
                    continue;
                }
                place(name)
            }
            None if name.matches('_').count() > 3 && !name.contains([' ', '/', '.']) => {
                let file = words[at + 1];
                assert!(file.ends_with(".rs"), "where is {name}? Behind it stands {file}");
                (Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file), *name)
            }
            _ => continue,
        };
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {path:?}: {error}"));
        assert!(has_test(&source, test), "{name} is not in {}", path.display());
        checked += 1;
    }
    assert!(checked > 40, "only {checked} names were found: has the document another form?");
}

#[test]
fn a_name_without_a_test_is_noticed() {
    let source = "#[test]\nfn one() {}\n\nfn two() {}\n    #[test]\n    #[ignore]\n    fn three(x: u8) {}\n";
    assert!(has_test(source, "one") && has_test(source, "three"));
    assert!(!has_test(source, "two") && !has_test(source, "thre") && !has_test(source, "four"));
}
