//! `covet-bench man` and `covet-bench completions`: the pages say what `--help` says, and bash completes.

mod folder;

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
fn every_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(COVET_BENCH, &["completions", shell]);
        assert!(output.status.success() && text(output.stdout).contains("pipeline"), "{shell}");
    }
}
