//! The command line: one file per command. Progress and errors go to stderr, results to stdout.

mod budgets;
mod certs;
mod check;
mod policy;
mod policy_paths;
mod serve;

use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
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
    Serve(Box<serve::Args>),
    /// Review manifests as the webhook would
    Check(check::Args),
    /// Look after policy files
    Policy(policy::Args),
    /// Look after the budgets that Quorate made
    Budgets(budgets::Args),
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let result = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Budgets(args) => budgets::run(args),
        Command::Certs(args) => certs::run(args),
    };
    result.unwrap_or_else(|error| {
        // A reader that has seen enough, as in `quorate check … | head`, wants to hear nothing more.
        if error.downcast_ref::<io::Error>().is_none_or(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            eprintln!("quorate: {}", describe(&error));
        }
        ExitCode::from(FAILED)
    })
}

/// An error and its causes, each said once: many errors' own text holds their cause's.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints the help or version that was asked for, or says in one line what is wrong with the arguments.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A reader that has gone wants no help.
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { FAILED } else { 0 });
    }
    let text = error.to_string();
    let paragraphs = text.split("\n\n").take_while(|text| !text.starts_with("Usage:") && !text.starts_with("For more"));
    let clauses = paragraphs.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let line = clauses.filter(|clause| !clause.is_empty()).collect::<Vec<_>>().join("; ");
    eprintln!("quorate: {}; see --help", line.trim_start_matches("error: "));
    ExitCode::from(FAILED)
}
