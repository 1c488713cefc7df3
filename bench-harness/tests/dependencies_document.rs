//! docs/dependencies.md against what the manifests of the repository name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's manifests, of every workspace in it.
fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("its entries can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            manifests(&path, found);
        } else if name == "Cargo.toml" {
            found.push(path);
        }
    }
}

/// The crates that a manifest takes in from outside, by the names that they have in the registry.
fn named(value: &toml::Table, crates: &mut Vec<String>) {
    for (key, value) in value {
        let Some(table) = value.as_table() else { continue };
        if !key.ends_with("dependencies") {
            named(table, crates);
            continue;
        }
        for (name, wish) in table {
            if wish.get("path").is_none() {
                crates.push(wish.get("package").and_then(|name| name.as_str()).unwrap_or(name).to_owned());
            }
        }
    }
}

fn is_named_in(document: &str, name: &str) -> bool {
    let part_of_name =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"-_".contains(b));
    document.match_indices(name).any(|(at, _)| {
        let bytes = document.as_bytes();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        !part_of_name(before) && !part_of_name(bytes.get(at + name.len()))
    })
}

#[test]
fn every_crate_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above");
    let document = fs::read_to_string(root.join("docs/dependencies.md")).expect("the document is there");
    let mut files = Vec::new();
    manifests(root, &mut files);
    let mut unexplained: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut count = 0;
    for file in files {
        let manifest = fs::read_to_string(&file).expect("it can be read");
        let mut crates = Vec::new();
        named(&manifest.parse().expect("it is TOML"), &mut crates);
        count += crates.len();
        let ours = |name: &String| name.starts_with("covet-") || name == "contract";
        for name in crates.into_iter().filter(|name| !ours(name) && !is_named_in(&document, name)) {
            unexplained.insert(name, file.clone());
        }
    }
    assert!(count > 100, "the manifests were not found: {count} dependencies");
    assert!(unexplained.is_empty(), "no row in docs/dependencies.md: {unexplained:#?}");
}
