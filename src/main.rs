//! The `mspec` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    mspec::cli::main()
}
