//! Parses the arguments, runs the command, and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate::cli::run()
}
