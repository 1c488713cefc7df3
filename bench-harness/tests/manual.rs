//! `covet-bench man` and `covet-bench completions`: the pages say what `--help` says, man shows them, and shells complete.

mod folder;

use std::path::Path;
use std::process::{Command, Output};

use folder::Folder;

const COVET_BENCH: &str = env!("CARGO_BIN_EXE_covet-bench");
const SUBCOMMANDS: [&str; 22] = [
    "serve",
    "null",
    "run",
    "ab",
    "max",
    "rate",
    "selfcheck",
    "compat",
    "peers",
    "plan",
    "compare",
    "export",
    "import",
    "merge",
    "slow-clients",
    "memory",
    "overhead",
    "soak",
    "verify",
    "worker",
    "man",
    "completions",
];

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("the program runs")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it is text")
}

#[test]
fn every_subcommand_has_a_page_with_its_options() {
    let folder = Folder::new("man");
    let folder = folder.0.join("share/man/man1");
    let output = run(COVET_BENCH, &["man", folder.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", text(output.stderr));
    let said = text(output.stdout);
    let main = std::fs::read_to_string(folder.join("covet-bench.1")).expect("the page is there");
    assert!(main.contains(".TH covet-bench 1") && main.contains("Exit status: 0 success"), "{main}");
    for name in SUBCOMMANDS {
        let path = folder.join(format!("covet-bench-{name}.1"));
        assert!(said.contains(&format!("{}\n", path.display())), "{said}");
        assert!(
            main.contains(&format!("covet\\-bench\\-{}(1)", name.replace('-', "\\-"))),
            "{name} in {main}"
        );
        let page = std::fs::read_to_string(path).expect("the page is there");
        let help = text(run(COVET_BENCH, &[name, "--help"]).stdout);
        let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let words = lines.flat_map(|line| line.split(' ').take(2)).filter(|word| word.starts_with("--"));
        for option in words {
            assert!(page.contains(&option.replace('-', "\\-")), "{option} of {name} in {page}");
        }
    }
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let folder = Folder::new("man-shows");
    let written = run(COVET_BENCH, &["man", folder.as_str()]);
    let pages = text(written.stdout);
    assert_eq!(pages.lines().count(), SUBCOMMANDS.len() + 1, "{pages}");
    for page in pages.lines() {
        let man = Command::new("man")
            .args(["--warnings", "-l", page])
            .envs([("LC_ALL", "C.UTF-8"), ("MANPAGER", "cat")])
            .output()
            .expect("man is there: run scripts/install-test-tools");
        let (shown, said) = (text(man.stdout), text(man.stderr));
        let name = Path::new(page).file_stem().and_then(|name| name.to_str()).expect("it has a name");
        assert!(man.status.success() && said.is_empty(), "{page}: {said}");
        // Lines are filled up with spaces.
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains(&format!(" NAME {name} - ")) && words.contains(" SYNOPSIS "),
            "{page}: {shown}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_one_line() {
    let output = run(COVET_BENCH, &["man", "/proc/nowhere"]);
    let complaint = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.starts_with("covet-bench: the manual cannot be written to /proc/nowhere: "),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
fn bash_completes_subcommands_and_options() {
    let folder = Folder::new("completions");
    let script = folder.0.join("covet-bench.bash");
    std::fs::write(&script, run(COVET_BENCH, &["completions", "bash"]).stdout).expect("it is written");
    let complete = |words: &str| {
        let ask = format!(
            ". {}; how=$(complete -p covet-bench); how=${{how#*-F }}; how=${{how%% *}}; \
             COMP_WORDS=(covet-bench {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             $how covet-bench \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = run("bash", &["-c", &ask]);
        assert!(output.status.success(), "{}", text(output.stderr));
        text(output.stdout).trim().to_owned()
    };
    assert_eq!(complete("ser"), "serve");
    assert_eq!(complete("run --pip"), "--pipeline");
    assert_eq!(complete("run --output-format js"), "json");
}

#[test]
fn fish_completes_subcommands_and_options() {
    let folder = Folder::new("fish");
    let script = folder.path("covet-bench.fish");
    std::fs::write(&script, run(COVET_BENCH, &["completions", "fish"]).stdout).expect("it is written");
    for (words, completed) in
        [("ser", "serve\t"), ("run --pip", "--pipeline\t"), ("run --output-format js", "json\t")]
    {
        let ask = format!("source {script}; complete -C 'covet-bench {words}'");
        let output = run("fish", &["--no-config", "-c", &ask]);
        let (found, said) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success() && said.is_empty(), "{said}");
        assert!(found.lines().any(|line| line.starts_with(completed)), "{words}: {found}");
    }
}

#[test]
fn fish_completes_arguments_by_their_places_and_the_names_of_files() {
    let folder = Folder::new("fish-files");
    let script = folder.path("covet-bench.fish");
    std::fs::write(&script, run(COVET_BENCH, &["completions", "fish"]).stdout).expect("it is written");
    for name in ["junction.json", "wrk.lua", "ohaoha"] {
        std::fs::write(folder.path(name), "").expect("it is written");
    }
    std::fs::create_dir(folder.path("bundle")).expect("it is made");
    let cases: [(&str, &[&str]); 15] = [
        ("export ju", &["junit"]),
        ("export --threshold 'p99<5ms' ju", &["junit"]),
        ("export junit ju", &["junction.json"]),
        ("export junit bun", &["bundle/"]),
        ("export --threshold=errors<1% junit bun", &["bundle/"]),
        ("compat wr", &["wrk"]),
        ("compat --dry-run oh", &["oha"]),
        ("compat wrk -- -s wr", &["wrk.lua"]),
        ("compat oha -- -D oh", &["ohaoha"]),
        ("compat wrk wr", &["wrk.lua"]),
        ("import wr", &["wrk", "wrk2"]),
        ("import wrk ju", &["junction.json"]),
        ("selfcheck clock ti", &["timers"]),
        ("completions zs", &["zsh"]),
        ("merge bun", &["bundle/"]),
    ];
    for (words, completed) in cases {
        let line = format!("covet-bench {words}").replace('\'', "\\'");
        let ask = format!("source {script}; cd {}; complete -C '{line}'", folder.as_str());
        let output = run("fish", &["--no-config", "-c", &ask]);
        let (found, said) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success() && said.is_empty(), "{words}: {said}");
        let mut found: Vec<&str> = found.lines().filter_map(|line| line.split('\t').next()).collect();
        found.sort_unstable();
        assert_eq!(found, completed, "{words}");
    }
}

/// A shell of its own on a terminal of its own, in which words are typed and the tabulator after them.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w -n shell "covet-bench $2"$'\t'
zpty -r -m shell out "*$3*" && print -r -- completed
zpty -d shell
"#;

#[test]
fn zsh_completes_subcommands_and_options() {
    let folder = Folder::new("zsh");
    let script = run(COVET_BENCH, &["completions", "zsh"]).stdout;
    std::fs::write(folder.0.join("_covet-bench"), script).expect("it is written");
    for (words, completed) in
        [("ser", "serve"), ("run --pip", "--pipeline"), ("run --output-format js", "json")]
    {
        let ask = ["60", "zsh", "-fc", ZSH, "zsh", folder.as_str(), words, completed];
        let output = run("timeout", &ask);
        let (found, said) = (text(output.stdout), text(output.stderr));
        assert_eq!(found, "completed\n", "{words}: {:?} {said}", output.status);
    }
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(COVET_BENCH, &["completions", shell]);
        assert!(output.status.success() && text(output.stdout).contains("pipeline"), "{shell}");
    }
}
