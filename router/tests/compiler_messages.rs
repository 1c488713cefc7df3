//! What the compiler says to whoever writes something that is no handler, no service or no main function.
//!
//! The compiler is asked as cargo asks it, with the libraries that this test was built beside. Only the words that are
//! ours, or that lead to the place, are looked for: the rest is the compiler's, and changes with it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("covet-compiler-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where cargo has put the libraries: beside this test.
fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The library of this crate that was built last, of those that are of this toolchain and whole: there are others where
/// it was built with other features, or what it depends on was built anew.
fn library(folder: &Folder, name: &str) -> PathBuf {
    let start = format!("lib{name}-");
    let is_it = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.starts_with(&start) && file.ends_with(".rlib")
    };
    let found = fs::read_dir(libraries()).unwrap().map(|entry| entry.unwrap().path()).filter(is_it);
    let mut found: Vec<PathBuf> = found.collect();
    found.sort_by_key(|path| Reverse(fs::metadata(path).and_then(|data| data.modified()).unwrap()));
    let first = found.into_iter().find(|path| ask(folder, name, path, &format!("extern crate {name};")).0);
    first.unwrap_or_else(|| panic!("no {start}*.rlib in {} can be used", libraries().display()))
}

/// Compiles a library of this text. Returns whether it could be, and what was said.
fn compile(folder: &Folder, library_of: &str, text: &str) -> (bool, String) {
    ask(folder, library_of, &library(folder, library_of), text)
}

fn ask(folder: &Folder, name: &str, library: &Path, text: &str) -> (bool, String) {
    let source = folder.0.join("lib.rs");
    fs::write(&source, text).unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        // Some of it is known only when code is made.
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "obj", "--cap-lints", "allow"])
        .args(["--extern", &format!("{name}={}", library.display())])
        .arg("-L")
        .arg(format!("dependency={}", libraries().display()))
        .arg("--out-dir")
        .args([folder.0.as_path(), source.as_path()])
        // In the crate's folder the same toolchain answers that has built this.
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Texts that are refused, each with what is to be said of it.
fn refused(library_of: &str, cases: &[(&str, &[&str])]) {
    let folder = Folder::new(library_of);
    for (text, words) in cases {
        let (taken, said) = compile(&folder, library_of, text);
        assert!(!taken, "it was taken:\n{text}");
        for words in *words {
            assert!(said.contains(words), "{words:?} is not said of\n{text}\nbut\n{said}");
        }
        assert_eq!(said.matches("error: aborting due to 1 previous error").count(), 1, "{text}\n{said}");
    }
}

/// What is no handler, between the same two lines.
fn handlers(cases: &[(&str, &[&str])]) {
    let with_route = |text: &str| {
        format!(
            "use covet_router::*;\n{text}\npub fn router() -> Router {{ Router::new().post(\"/\", handler) }}\n"
        )
    };
    let cases: Vec<(String, &[&str])> =
        cases.iter().map(|(text, words)| (with_route(text), *words)).collect();
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(text, words)| (text.as_str(), *words)).collect();
    refused("covet_router", &cases);
}

#[test]
fn what_is_right_is_taken() {
    let folder = Folder::new("right");
    for (library_of, text) in [
        (
            "covet_router",
            "use covet_router::*;\nasync fn handler(_: Path<u32>, _: Json<u32>) -> Result<String> { Ok(String::new()) }\n\
             pub fn router() -> Router { Router::new().post(\"/{id}\", handler) }",
        ),
        (
            "covet_http",
            "pub fn of(it: impl covet_http::Service) -> impl covet_http::Service { std::rc::Rc::new(it) }",
        ),
        (
            "covet_runtime",
            "#[covet_runtime::main(cores = 2)]\npub async fn main(_: covet_runtime::Core) -> Result<(), u8> { Ok(()) }",
        ),
    ] {
        let (taken, said) = compile(&folder, library_of, text);
        assert!(taken, "{text}\n{said}");
    }
}

#[test]
fn of_what_is_no_handler_it_is_said_which_part_does_not_fit() {
    let no_handler = [
        "is not a handler",
        "not an async function of up to twelve arguments",
        "a handler is an `async fn` or an `async` closure with 0 to 12 arguments",
    ];
    let thirteen = format!("async fn handler({}) {{}}", "_: Method, ".repeat(13));
    handlers(&[
        (
            "struct Mine; async fn handler(_: Path<u32>, _: Mine) {}",
            &["`Mine` cannot be extracted from a request", "not an extractor for a router with the state"],
        ),
        ("async fn handler(_: &str) {}", &["`&str` cannot be extracted from a request"]),
        (
            "struct Mine; async fn handler() -> Mine { Mine }",
            &["`Mine` is not a response", "a handler returns a type that implements `IntoResponse`"],
        ),
        ("fn handler() -> &'static str { \"\" }", &no_handler),
        (&thirteen, &no_handler),
        (
            "async fn handler(_: String, _: Json<u32>) {}",
            &[
                "a handler may have only one extractor that takes the request body (Json, Form, Bytes, String, Body",
            ],
        ),
        (
            "async fn handler(_: Request, _: Option<String>) {}",
            &["a handler may have only one extractor that takes the request body"],
        ),
    ]);
}

#[test]
fn of_what_is_no_service_it_is_said_how_one_is_made() {
    refused(
        "covet_http",
        &[(
            "struct Mine; pub fn service() -> impl covet_http::Service { Mine }",
            &[
                "`Mine` does not answer requests",
                "not a `Service`",
                "`service_fn` makes a service of an async function",
            ],
        )],
    );
}

#[test]
fn of_what_is_no_main_function_it_is_said_what_to_write() {
    refused(
        "covet_runtime",
        &[
            (
                "#[covet_runtime::main]\npub fn main() {}",
                &["the function must be async: write `async fn`, or leave the attribute away", "lib.rs:2:5"],
            ),
            (
                "#[covet_runtime::main(threads = 2)]\npub async fn main() {}",
                &["there is no option `threads`: those are `cores`, `signals` and `crate`", "lib.rs:1:23"],
            ),
            (
                "#[covet_runtime::main(cores = 2)]\npub async fn main(_: u8) {}",
                &["expected function signature `fn(Core) -> _`", "lib.rs:2:14"],
            ),
            (
                "#[covet_runtime::main]\npub async fn main() -> u8 { \"text\" }",
                &["mismatched types", "expected `u8`, found `&str`", "lib.rs:2:29"],
            ),
        ],
    );
}
