//! `covet-bench man` and `covet-bench completions`: what a package installs beside the program.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::{Advise, Exit};
use super::{Cli, fish};

const NAME: &str = "covet-bench";

/// Options of `covet-bench man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Directory that receives the pages, such as /usr/local/share/man/man1; made if it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Options of `covet-bench completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes a manual page for the program and one for each subcommand, and prints their paths.
///
/// # Errors
/// When the directory or a page cannot be written.
pub fn man(args: ManArgs) -> anyhow::Result<Exit> {
    const REMEDY: &str = "Name a directory that you may write to";
    let what = || format!("the manual cannot be written to {}", args.directory.display());
    std::fs::create_dir_all(&args.directory).advise(what(), REMEDY)?;
    let mut written = Vec::new();
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, &args.directory, &mut written).advise(what(), REMEDY)?;
    let lines: String = written.iter().map(|page| format!("{}\n", page.display())).collect();
    print(lines.as_bytes())
}

/// The page of this command, then those below it.
fn write_pages(command: &Command, directory: &Path, written: &mut Vec<PathBuf>) -> io::Result<()> {
    written.push(Man::new(command.clone()).generate_to(directory)?);
    let mut below = command.get_subcommands().filter(|below| !below.is_hide_set());
    below.try_for_each(|below| write_pages(below, directory, written))
}

/// Prints the script that makes a shell complete the command line.
///
/// # Errors
/// When standard output cannot be written to.
pub fn completions(args: CompletionsArgs) -> anyhow::Result<Exit> {
    // Into memory first: the generators take a failed write for a defect, and `| head` is none.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if args.shell == Shell::Fish {
        let mut command = Cli::command();
        command.build();
        script.push_str(&fish::arguments(&command));
    }
    // For bash, clap_complete 4.6.11 takes the hyphen in our name for the step down to a subcommand, in half of the
    // places where it writes the name.
    print(script.replace("covet__subcmd__bench", "covet__bench").as_bytes())
}

fn print(text: &[u8]) -> anyhow::Result<Exit> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).advise("cannot write to standard output", "Check where it goes")
        }
        _ => Ok(Exit::Success),
    }
}
