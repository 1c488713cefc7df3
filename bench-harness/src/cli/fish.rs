//! What `clap_complete` leaves out of its script for fish: the values of arguments that have no name of their own.
//!
//! Where none of these lines holds, fish completes file names, which is what the other arguments are.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

/// Says at which argument of a subcommand the cursor is, by leaving its options out as fish itself does.
const AT: &str = r#"
function __fish_covet_bench_at_argument
    # A subcommand, the first and the last of its arguments that are meant, and its options.
    set -l wanted $argv[1..3]
    set -l options $argv[4..]
    set -l words (commandline -opc)
    test "$words[2]" = $wanted[1]
    or return
    argparse --ignore-unknown $options -- $words[3..] 2>/dev/null
    or return
    set -l at (math (count $argv) + 1)
    test $at -ge $wanted[2] -a $at -le $wanted[3]
end

"#;

/// Lines that complete the arguments with values to choose from, of each subcommand.
pub(super) fn arguments(root: &Command) -> String {
    let mut script = AT.to_owned();
    for command in root.get_subcommands() {
        let options: String = command.get_arguments().filter_map(option).collect();
        for (place, argument) in (1..).zip(command.get_positionals()) {
            let values: Vec<String> = argument
                .get_possible_values()
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| {
                    let help = value.get_help().map(ToString::to_string).unwrap_or_default();
                    format!("{}\\t'{}'", value.get_name(), quoted(&help))
                })
                .collect();
            if !values.is_empty() {
                let last = if is_repeated(argument) { usize::from(u16::MAX) } else { place };
                let _ = writeln!(
                    script,
                    "complete -c covet-bench -n \"__fish_covet_bench_at_argument {} {place} {last}{options}\" -f -a \"{}\"",
                    command.get_name(),
                    values.join("\n")
                );
            }
        }
    }
    script
}

fn is_repeated(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

/// An option as argparse(1) of fish takes it, led by a space.
fn option(argument: &Arg) -> Option<String> {
    let long = argument.get_long()?;
    let value = if argument.get_action().takes_values() { "=" } else { "" };
    Some(match argument.get_short() {
        Some(short) => format!(" {short}/{long}{value}"),
        None => format!(" {long}{value}"),
    })
}

/// Text within single quotes that are within double ones.
fn quoted(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' => escaped.push_str(r"\\'"),
            '\\' | '"' | '$' => escaped.extend(['\\', c]),
            '\n' => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}
