//! `covet-bench`: loads HTTP servers, records what happened, and judges claims about speed.

use std::process::ExitCode;

fn main() -> ExitCode {
    covet_bench::cli::main()
}
