//! The command line: one file per command. Progress and errors go to stderr, results to stdout.

mod certs;
mod check;
mod policy;
mod policy_paths;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps every StatefulSet of a Kubernetes cluster highly available.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the admission webhook
    Serve(serve::Args),
    /// Review manifests as the webhook would
    Check(check::Args),
    /// Look after policy files
    Policy(policy::Args),
    /// Make a CA and a serving certificate for development
    Certs(certs::Args),
}

/// The exit code of every command that could not do its work: wrong arguments, bad input, no cluster.
const FAILED: u8 = 2;

/// Parses the arguments and runs the command they name.
///
/// An error is one line on stderr and exit code 2. A command that did its work decides on its own exit code.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Certs(args) => certs::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("quorate: {error:#}");
        ExitCode::from(FAILED)
    })
}
