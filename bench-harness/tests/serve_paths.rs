//! Paths that the reference service can't listen at: one line, and whatever is there stays as it was.

mod folder;
mod judging;

use std::fs;
use std::os::unix::fs::symlink;

use folder::Folder;
use judging::{fails_in_one_line, run};

#[test]
fn no_socket_takes_the_place_of_something_else() {
    let scratch = Folder::new("serve-paths");
    let folder = &scratch.0;
    let (file, link, inner) = (folder.join("file"), folder.join("link"), folder.join("folder"));
    fs::write(&file, "somebody's").expect("a file");
    symlink(&file, &link).expect("a link");
    fs::create_dir(&inner).expect("a folder");
    for path in [&file, &link, &inner] {
        let path = path.to_str().expect("UTF-8");
        for option in ["--unix", "--handover"] {
            // With the first of them the address is the path, so there is no other.
            let listen: &[&str] = if option == "--unix" { &[] } else { &["--listen", "127.0.0.1:0"] };
            let arguments = [&["serve", "--cores", "0", option, path][..], listen].concat();
            fails_in_one_line(&run(&arguments), 1, &[path, "not a socket"]);
        }
        assert_eq!(fs::read_to_string(&file).expect("the file is there"), "somebody's");
        assert_eq!(fs::read_link(&link).expect("the link is there"), file);
        assert!(inner.is_dir());
    }
    let names = fs::read_dir(folder).expect("it is there").count();
    assert_eq!(names, 3, "nothing else is left there");
}

#[test]
fn a_path_that_is_too_long_or_leads_nowhere_is_named() {
    let scratch = Folder::new("serve-paths");
    let long = scratch.0.join("x".repeat(120));
    let nowhere = scratch.0.join("missing/socket");
    for path in [&long, &nowhere] {
        let path = path.to_str().expect("UTF-8");
        fails_in_one_line(&run(&["serve", "--cores", "0", "--unix", path]), 1, &[path, "at most 107 bytes"]);
        let handover = ["serve", "--cores", "0", "--listen", "127.0.0.1:0", "--handover", path];
        fails_in_one_line(&run(&handover), 1, &[path]);
    }
}
