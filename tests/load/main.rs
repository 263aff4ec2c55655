//! Measures what clients that mean no good cost those that do: `make load`.
//!
//! Quorate serves without a cluster. While a client asks for reviews as the API server does, another process, of the lowest
//! priority so that its own work isn't what is measured, does its worst. Each scenario is run several times, each time beside
//! a phase without it, for machines are never quiet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

mod attack;
mod client;
mod probe;
mod process;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use attack::Scenario;
use probe::Probe;
use process::{Attack, Quorate};
use table::Row;

#[derive(Debug, Parser)]
struct Args {
    /// The program to measure
    #[arg(long, default_value = "target/release/quorate")]
    quorate: PathBuf,
    /// How often each scenario is run
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each phase is, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many attack, in percent of what is said of a scenario
    #[arg(long, default_value_t = 100)]
    crowd: usize,
    /// The niceness of those who attack: 19, lest their own work is measured, unless the machine is so busy that they get none
    #[arg(long, default_value_t = 19)]
    nice: u8,
    /// Which scenarios [default: all]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// More flags for `quorate serve`
    #[arg(last = true)]
    flags: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the second process does
    #[command(hide = true)]
    Attack { scenario: Scenario, clients: usize, address: std::net::SocketAddr, ca: PathBuf },
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match args.command {
        Some(Command::Attack { scenario, clients, address, ca }) => {
            runtime.block_on(attack::run(scenario, clients, address, &ca));
        }
        None => runtime.block_on(measure(&args)),
    }
}

async fn measure(args: &Args) {
    let scenarios = if args.only.is_empty() { Scenario::ALL.to_vec() } else { args.only.clone() };
    let phase = Duration::from_secs(args.seconds);
    table::head();
    for scenario in scenarios {
        let flags: Vec<_> = scenario.flags().iter().map(ToString::to_string).chain(args.flags.clone()).collect();
        let quorate = Quorate::start(&args.quorate, &flags).await;
        let probe = Probe::new(quorate.webhook, &quorate.ca());
        probe.run(phase / 2).await;
        let mut rows = Vec::new();
        for _ in 0..args.rounds {
            let before = probe.run(phase).await;
            let clients = scenario.clients() * args.crowd / 100;
            let attack = Attack::start(scenario, clients, args.nice, quorate.webhook, &quorate.ca()).await;
            let watch = quorate.watch();
            let during = probe.run(phase).await;
            let row = Row { before, during, peak: watch.end().await, attack: attack.end().await };
            table::row(scenario, &row);
            rows.push(row);
            quorate.until_quiet().await;
        }
        table::verdict(scenario, &rows);
        println!("{:<18} rejected: {}", "", quorate.rejected().await);
    }
}
