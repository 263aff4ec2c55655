//! `quorate budgets`: the budgets that Quorate made.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cluster::{Target, connect};
use crate::controller;

/// Arguments of `quorate budgets`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Delete every budget that Quorate made, in all namespaces; a running controller makes them anew
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// The cluster's kubeconfig [default: the pod's ServiceAccount, else as kubectl]
    #[arg(long, env = "QUORATE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context
    #[arg(long, env = "QUORATE_CONTEXT", value_name = "NAME")]
    context: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Remove(RemoveArgs { kubeconfig, context }) = args.command;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let removed = runtime.block_on(async {
        let client = connect(&Target { kubeconfig, context }).await?;
        anyhow::Ok(controller::remove(&client).await?)
    })?;
    match removed {
        1 => println!("1 PodDisruptionBudget deleted"),
        count => println!("{count} PodDisruptionBudgets deleted"),
    }
    Ok(ExitCode::SUCCESS)
}
