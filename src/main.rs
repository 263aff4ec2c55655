//! Parses the arguments, runs the command, and ends with its exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// glibc's gives memory back to the system after nearly every review, and asks for it again with the next.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    quorate::cli::run()
}
